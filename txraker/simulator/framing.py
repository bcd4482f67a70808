"""Pure: messages on Klippy's socket are JSON values, each ended by a byte 0x03."""

from __future__ import annotations

from typing import Any

import msgspec
from attrs import define

TERMINATOR = b"\x03"

_ENCODER = msgspec.json.Encoder()


def encode(message: Any) -> bytes:
    """One message as it goes on the wire."""
    return _ENCODER.encode(message) + TERMINATOR


@define
class FrameSplitter:
    """Cuts a stream of bytes into frames."""

    _rest: bytes = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, without their terminators."""
        *frames, self._rest = (self._rest + data).split(TERMINATOR)
        return frames
