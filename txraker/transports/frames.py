"""Websocket frames, as far as we read and write them ourselves. Contract: RFC 6455, section 5.2. Pure.

Almost every message of a client is one short frame that is read as a whole. Such a frame is taken here,
because Autobahn's general way costs as much as everything else that is done for a small request. Whatever
else comes is Autobahn's: messages in pieces, control frames, long ones, and everything that is wrong.
"""

from __future__ import annotations

import struct
from codecs import getincrementaldecoder
from typing import Final

SHORT: Final = 126
"""Bytes from which on a frame's length isn't in its second byte."""

MEDIUM: Final = 0x10000
"""Bytes from which on a frame's length isn't in 16 bits."""

WHOLE_TEXT: Final = 0x81
"""The first byte of a message of text in one frame."""

_MASKED: Final = 0x80
_IN_16_BITS: Final = 126
_IN_64_BITS: Final = 127
_KEY: Final = 4


def text_frame(text: bytes) -> bytes:
    """Return a text as one frame from a server."""
    size = len(text)
    if size < SHORT:
        return bytes((WHOLE_TEXT, size)) + text
    if size < MEDIUM:
        return struct.pack("!BBH", WHOLE_TEXT, _IN_16_BITS, size) + text
    return struct.pack("!BBQ", WHOLE_TEXT, _IN_64_BITS, size) + text


def take_text(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the message that begins at an offset, and the offset of what comes after it.

    None unless that is a whole message of text from a client, in one frame of less than 64 KiB.
    """
    if len(data) < at + 2 or data[at] != WHOLE_TEXT:
        return None
    size = data[at + 1] - _MASKED
    key = at + 2
    if size == _IN_16_BITS:
        size = int.from_bytes(data[key : key + 2], "big")
        key += 2
        if size < SHORT:
            return None
    elif not 0 <= size < SHORT:
        return None
    begin = key + _KEY
    end = begin + size
    if end > len(data):
        return None
    text = unmasked(data[begin:end], data[key:begin])
    return (text, end) if is_utf8(text) else None


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Return bytes that were masked by a key of four bytes, or mask them."""
    size = len(payload)
    mask = int.from_bytes((key * (size // _KEY + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")


def is_utf8(text: bytes) -> bool:
    """Tell whether bytes are a text."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class Masker:
    """Masks the payload of one frame, piece by piece, as Autobahn wants it done."""

    def __init__(self, key: bytes, length: int | None = None) -> None:
        self._key = key
        self._done = 0

    def pointer(self) -> int:
        """Return how many bytes were masked."""
        return self._done

    def process(self, data: bytes) -> bytes:
        """Mask or unmask what comes next."""
        turned = self._done % _KEY
        self._done += len(data)
        return unmasked(data, self._key[turned:] + self._key[:turned])


class Utf8Validator:
    """Checks the text of one message, piece by piece, as Autobahn wants it done."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")()
        self._done = 0

    def reset(self) -> None:
        """Begin with another message."""
        self._decoder.reset()
        self._done = 0

    def validate(self, data: bytes) -> tuple[bool, bool, int, int]:
        """Return whether all is well so far, whether no character is cut, and where that is.

        The place is given twice: in this piece, and in the message.
        """
        begun = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(data)
        except UnicodeDecodeError as problem:
            at = max(0, problem.start - begun)
            return False, False, at, self._done + at
        self._done += len(data)
        return True, not self._decoder.getstate()[0], len(data), self._done
