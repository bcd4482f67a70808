"""Small files of the kernel's and of ``/etc``: read whole, and read again and again.

What isn't there, or can't be read, is as good as empty: every machine lacks something.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import define, field

_PIECE = 16 * 1024
_WHOLE_PIECE = 2 * 1024
"""The kernel cuts long lists a little below 4 KiB a read; a piece shorter than this is the last."""

_MOST = 1024 * 1024


def read_text(path: Path) -> str:
    """Return the text of a file, or its first MiB, without the white space and NUL bytes around it.

    Bytes that are no UTF-8 are replaced.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST)
    except OSError:
        return ""
    return data.decode("utf-8", "replace").strip(" \t\r\n\0")


def exists(path: Path) -> bool:
    """Say whether there is something at a path, as far as we may look."""
    try:
        return path.exists()
    except OSError:
        return False


def children(path: Path, start: str = "") -> list[Path]:
    """Return what is in a folder and begins with ``start``, numbers in their order: ``zone2``, ``zone10``."""
    found: list[Path] = []
    with suppress(OSError):
        found = [child for child in path.iterdir() if child.name.startswith(start)]
    return sorted(found, key=lambda child: (len(child.name), child.name))


def pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of lines like ``key: value``; lines without a separator are left out."""
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found:
            yield key.strip(), value.strip()


@define(eq=False, repr=False)
class HotFile:
    """A file of procfs or sysfs that is read every second: it is kept open."""

    path: Path
    _descriptor: int | None = field(default=None, init=False)

    def read(self) -> bytes:
        """Return what it says now, or nothing if it can't be read; it is opened when needed."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            return _read_whole(self._descriptor)
        except OSError:
            self.close()
            return b""

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _read_whole(descriptor: int) -> bytes:
    piece = whole = os.pread(descriptor, _PIECE, 0)
    while len(piece) >= _WHOLE_PIECE and len(whole) < _MOST:
        piece = os.pread(descriptor, _PIECE, len(whole))
        whole += piece
    return whole
