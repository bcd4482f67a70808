"""The directory of gcode files behind the virtual SD card. Nothing outside of it is ever read."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from attrs import define, field

from txraker.simulator.errors import CommandError

_SUFFIXES: Final = frozenset({".gcode", ".gco", ".g"})


@define
class GcodeFile:
    """An open file; ``path`` is absolute, ``size`` is in bytes."""

    name: str
    path: str
    size: int
    _file: BinaryIO

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from an offset."""
        self._file.seek(offset)
        return self._file.read(count)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@define
class GcodeStore:
    """The files a virtual SD card can print."""

    root: Path
    _resolved: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._resolved = self.root.resolve()

    def listing(self) -> list[tuple[str, int]]:
        """Every printable file: its path relative to the root, and its size in bytes."""
        found = (path for path in self._resolved.rglob("*") if self._printable(path))
        return sorted((str(path.relative_to(self._resolved)), path.stat().st_size) for path in found)

    def open(self, name: str) -> GcodeFile:
        """Open a file by its name relative to the root; any failure is "Unable to open file"."""
        try:
            found = self._find(name.lstrip("/"))
            path = found.resolve()
            if not self._printable(path):
                raise OSError(name)
            known_as = str(found.relative_to(self._resolved))
            return GcodeFile(known_as, str(path), path.stat().st_size, path.open("rb"))
        except (OSError, ValueError) as error:
            raise CommandError("Unable to open file") from error

    def _find(self, name: str) -> Path:
        """The file of that name; failing that, one whose name differs in case only."""
        path = self._resolved / name
        if path.is_file():
            return path
        for known, _ in self.listing():
            if known.lower() == name.lower():
                return self._resolved / known
        raise OSError(name)

    def _printable(self, path: Path) -> bool:
        inside = path.resolve().is_relative_to(self._resolved)
        return inside and path.suffix.lower() in _SUFFIXES and path.is_file()
