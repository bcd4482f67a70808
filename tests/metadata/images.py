"""Pictures as slicers write them."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode


def png(width: int, height: int) -> bytes:
    """Return a red PNG of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def block(
    content: bytes, size: str, kind: str = "", length: int | None = None, end: str | None = None
) -> str:
    """Return the comments that hold a picture; ``length`` is what they say that it is."""
    text = b64encode(content).decode()
    lines = "".join(f"; {text[start : start + 78]}\n" for start in range(0, len(text), 78))
    end = f"thumbnail{kind} end" if end is None else end
    return f"; thumbnail{kind} begin {size} {len(text) if length is None else length}\n{lines}; {end}\n"
