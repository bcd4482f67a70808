"""The parts of a gcode file that are read: its beginning with all pictures, and its end."""

from __future__ import annotations

from typing import BinaryIO, Final

from txraker.metadata.parse import Window
from txraker.metadata.thumbnails import is_open

WINDOW: Final = 512 * 1024
"""Bytes read from either end."""

LARGEST_HEAD: Final = 24 * 1024 * 1024
"""Bytes read at most from the beginning, for the sake of pictures."""


def read_windows(file: BinaryIO, size: int) -> list[Window]:
    """Return what is to be looked at of a file that has ``size`` bytes, in whole lines.

    The beginning reaches beyond ``WINDOW`` as long as it ends within a picture, and one window further, so
    that settings behind pictures are seen, too. Raises OSError.
    """
    head = file.read(WINDOW)
    if is_open(head):
        head = _through_pictures(file, head)
    if len(head) + WINDOW >= size:
        return [Window(head + file.read(WINDOW))]
    file.seek(size - WINDOW)
    tail = file.read(WINDOW)
    cut = tail.find(b"\n") + 1
    return [Window(_whole_lines(head)), Window(tail[cut:], size - WINDOW + cut)]


def _through_pictures(file: BinaryIO, head: bytes) -> bytes:
    read = bytearray(head)
    is_within = True
    while is_within and len(read) < LARGEST_HEAD:
        is_within = is_open(read)
        part = file.read(WINDOW)
        if not part:
            break
        read += part
    return bytes(read)


def _whole_lines(head: bytes) -> bytes:
    return head[: head.rfind(b"\n") + 1] or head
