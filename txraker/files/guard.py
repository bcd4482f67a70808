"""Which file the printer is using, as Klippy says."""

from __future__ import annotations

from attrs import define
from zope.interface import implementer

from txraker.errors import ApiError, Forbidden, KlippyDisconnected, KlippyNotConnected, Unavailable
from txraker.interfaces import IFileGuard, IKlippy, IStatusFeed

_IN_USE = ("printing", "paused")


class FileInUseUnknown(Unavailable):
    """Klippy is there and can't say which file it prints."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Can't find out which file is being printed: {reason}")


class FileInUse(Forbidden):
    """The printer is using the file. Contract: Moonraker 0.11.0 as measured."""

    def __init__(self) -> None:
        super().__init__("File currently in use")


@implementer(IFileGuard)
@define(eq=False)
class PrinterGuard:
    """Asks Klippy. A file is in use from the start of its print to the end, pauses included.

    A file that is loaded and doesn't print, or whose print has ended by a shutdown, isn't in use: so it is
    with Moonraker 0.11.0.
    """

    _klippy: IKlippy
    _status: IStatusFeed

    async def in_use(self) -> str | None:
        if self._klippy.state != "ready":
            return None
        try:
            answer = await self._status.query({"print_stats": ["filename", "state"]})
        except (KlippyNotConnected, KlippyDisconnected):
            return None
        except ApiError as problem:
            raise FileInUseUnknown(str(problem)) from None
        job = answer.status.get("print_stats", {})
        name = job.get("filename")
        if job.get("state") not in _IN_USE or not isinstance(name, str):
            return None
        return name.strip("/") or None
