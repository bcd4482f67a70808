"""A text on its way to clients: encoded once, and framed once for each kind of connection."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

Framing = Callable[[bytes], bytes]
"""Turns a JSON text into the bytes that go over one kind of connection."""


@define(eq=False, repr=False)
class Outgoing:
    """One text for any number of clients."""

    text: bytes
    _framed: dict[Framing, bytes] = field(factory=dict, init=False)

    def framed(self, framing: Framing) -> bytes:
        """Return the text framed; the work is done for the first client only."""
        frame = self._framed.get(framing)
        if frame is None:
            frame = self._framed[framing] = framing(self.text)
        return frame
