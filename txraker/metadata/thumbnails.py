"""Pictures that slicers put into gcode files: base64 in comments, found in bytes."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final

import msgspec
from attrs import field, frozen

from txraker.metadata.facts import ImageFormat

MOST_PICTURES: Final = 16
"""Pictures taken from one file."""

LARGEST_SIDE: Final = 8192
"""Pixels of a side."""

LARGEST_PICTURE: Final = 8 * 1024 * 1024
"""Bytes of base64 of one picture."""

_BEGIN: Final = re.compile(
    rb"; {0,4}thumbnail(?:_(?:JPG|PNG|QOI))? begin (\d{1,5})[x ](\d{1,5}) (\d{1,9})\s{0,4}"
)
_INLINE: Final = re.compile(rb";\s{0,4}thumbnail: data:image/(?:png|jpeg);base64,")
_SIGNATURES: Final[tuple[tuple[bytes, ImageFormat], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"qoif", "qoi"),
)
_PNG_SIZE: Final = slice(16, 24)


@frozen
class Picture:
    """A picture as the slicer made it; ``width`` and ``height`` are what the slicer says, in pixels."""

    width: int
    height: int
    format: ImageFormat
    content: bytes = field(repr=False)


class _Block(msgspec.Struct):
    width: int
    height: int
    length: int
    lines: list[bytes] = msgspec.field(default_factory=list)
    size: int = 0

    def add(self, line: bytes) -> None:
        """Take a line; of what is too long nothing is kept."""
        text = line.lstrip(b"; ").strip()
        self.size += len(text)
        if self.size <= LARGEST_PICTURE:
            self.lines.append(text)

    def picture(self) -> Picture | None:
        """Return the picture, None where it isn't what it says that it is."""
        if self.size != self.length:
            return None
        return _picture(b"".join(self.lines), self.width, self.height)


def pictures(content: bytes) -> list[Picture]:
    """Return the pictures in a part of a file, each size once; what isn't whole or valid is left out."""
    found: dict[tuple[int, int, str], Picture] = {}
    for picture in _find(content):
        if len(found) < MOST_PICTURES:
            found.setdefault((picture.width, picture.height, picture.format), picture)
    return list(found.values())


def is_open(content: bytes | bytearray) -> bool:
    """Say whether a part of a file ends within a picture."""
    begin = content.rfind(b" begin ")
    line = content[content.rfind(b"\n", 0, begin) + 1 :][:128] if begin >= 0 else b""
    return _BEGIN.match(line) is not None and content.find(b"thumbnail", begin) < 0


def _find(content: bytes) -> Iterator[Picture]:
    block: _Block | None = None
    for line in content.split(b"\n"):
        if not line.startswith(b";"):
            block = None
            continue
        begin = _BEGIN.match(line[:128])
        picture = None
        if begin is not None:
            block = _Block(int(begin[1]), int(begin[2]), int(begin[3]))
        elif b"thumbnail" in line[:32]:
            picture = block.picture() if block is not None else _inline(line)
            block = None
        elif block is not None:
            block.add(line)
        if picture is not None:
            yield picture


def _inline(line: bytes) -> Picture | None:
    """Return the picture in Luban's ``;thumbnail: data:image/png;base64,…``; it must be a PNG."""
    found = _INLINE.match(line)
    if found is None or len(line) > LARGEST_PICTURE:
        return None
    encoded = line[found.end() :].strip()
    try:
        beginning = binascii.a2b_base64(encoded[:32])
    except binascii.Error:
        return None
    sides = beginning[_PNG_SIZE]
    return _picture(encoded, int.from_bytes(sides[:4]), int.from_bytes(sides[4:]))


def _picture(encoded: bytes, width: int, height: int) -> Picture | None:
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        return None
    try:
        content = binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error:
        return None
    for signature, named in _SIGNATURES:
        if content.startswith(signature):
            return Picture(width, height, named, content)
    return None
