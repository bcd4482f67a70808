"""What the kernel hints at: the bytes of an inotify descriptor as values.

Contract: inotify(7). Numbers are in the machine's own byte order.
"""

from __future__ import annotations

import struct

import msgspec

ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
IS_FOLDER = 0x40000000

WANTED = ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
"""What is asked for. Single writes aren't: a file is told of when it has been closed."""

ABOUT_ITSELF = DELETE_SELF | MOVE_SELF | UNMOUNT | IGNORED
"""What happens to the watched folder, not to something in it."""

_HEADER = struct.Struct("=iIII")  # watch, mask, cookie, length of the name


class RawEvent(msgspec.Struct, frozen=True, gc=False):
    """A hint: something happened to ``name`` in the folder of a watch, or, without a name, to the folder.

    ``cookie`` is the same for the two halves of a move, and 0 for what is none. In a name, bytes that are no
    UTF-8 are lone surrogates.
    """

    watch: int
    mask: int
    cookie: int = 0
    name: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether what ``name`` names is a folder, and no link to one."""
        return bool(self.mask & IS_FOLDER)


def parse(data: bytes) -> list[RawEvent]:
    """Return the events in what was read; one that is cut off at the end is dropped."""
    found = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        watch, mask, cookie, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        if offset + length > len(data):
            break
        name = data[offset : offset + length].partition(b"\0")[0]
        found.append(RawEvent(watch, mask, cookie, name.decode("utf-8", "surrogateescape")))
        offset += length
    return found
