"""Klippy's frames: JSON texts, each ended by one byte 0x03."""

from __future__ import annotations

import msgspec
from attrs import Factory, define

TERMINATOR = b"\x03"
LONGEST_FRAME = 128 * 1024 * 1024
"""Bytes after which an unfinished frame is taken for a broken peer rather than for a large reply."""


def encode_frame(message: object) -> bytes:
    """Return a message as it goes on the wire."""
    return msgspec.json.encode(message) + TERMINATOR


class FrameTooLong(Exception):
    """The peer sent more than the longest frame without ending it."""


@define(repr=False)
class FrameSplitter:
    """Cuts a stream of bytes into frames, in time linear in the bytes however they arrive."""

    _longest: int = LONGEST_FRAME
    _pieces: list[bytes] = Factory(list)
    _held: int = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the frames they complete, without terminator.

        Raises :class:`FrameTooLong`.
        """
        *finished, rest = data.split(TERMINATOR)
        frames: list[bytes] = []
        for piece in finished:
            if self._pieces:
                frames.append(b"".join((*self._pieces, piece)))
                self._pieces.clear()
                self._held = 0
            else:
                frames.append(piece)
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
            if self._held > self._longest:
                raise FrameTooLong(f"a frame of more than {self._longest} bytes")
        return [frame for frame in frames if frame]
