"""The warnings of ``server.info``: each has a key, so that it can go when its reason has gone."""

from __future__ import annotations

from attrs import define, field
from twisted.logger import Logger


@define(eq=False, repr=False)
class ServerWarnings:
    """What a user should know of one printer's server, in the order it came up."""

    _log: Logger
    _texts: dict[str, str] = field(factory=dict, init=False)

    def put(self, key: str, text: str) -> None:
        """Show a warning, or a new text for the one of that key."""
        if self._texts.get(key) != text:
            self._texts[key] = text
            self._log.warn("{warning}", warning=text)

    def drop(self, key: str) -> None:
        """Take a warning back, if it is there."""
        self._texts.pop(key, None)

    def texts(self) -> list[str]:
        """Return what is shown now."""
        return list(self._texts.values())
