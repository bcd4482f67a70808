"""Looks at gcode files on the disk. Everything here blocks: it is done in a worker thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from attrs import define

from txraker.errors import ApiError
from txraker.files.disk import Disk
from txraker.files.listing import files_of
from txraker.files.places import Place
from txraker.metadata.facts import Thumbnail
from txraker.metadata.gallery import rehang, take_down

ENDINGS: Final = frozenset({".gcode", ".g", ".gco", ".nc"})
"""How the names of files end that are read; packages with gcode in them are unpacked when they come."""


class Version(NamedTuple):
    """Which version of a file is there: ``size`` in bytes, ``modified`` in Unix time."""

    size: int
    modified: float


def is_gcode(path: str) -> bool:
    """Say whether a path is that of a gcode file that front-ends list: nothing of it is hidden."""
    is_hidden = any(name.startswith(".") for name in path.split("/"))
    return not is_hidden and os.path.splitext(path)[1].lower() in ENDINGS


def namesakes(path: str) -> list[str]:
    """Return the paths of gcode files whose pictures are named alike: they end in another way."""
    stem, own = os.path.splitext(path)
    endings = {*ENDINGS, *(ending.upper() for ending in ENDINGS)}
    return [stem + ending for ending in sorted(endings - {own})]


@define(eq=False, repr=False)
class Files:
    """The gcode files that may be reached, and the pictures beside them."""

    _disk: Disk

    def version(self, place: Place) -> Version | None:
        """Return which version of a file is there, None when there is none that may be reached."""
        try:
            about = os.stat(self._disk.locate(place))
        except (ApiError, OSError):
            return None
        return Version(about.st_size, about.st_mtime) if stat.S_ISREG(about.st_mode) else None

    def versions(self, folder: Place) -> dict[str, Version]:
        """Return all gcode files below a folder, by their paths in its root; nothing where there is none."""
        try:
            found = files_of(self._disk, folder)
        except ApiError:
            return {}
        return {
            file.path: Version(file.size, file.modified)
            for file in found
            if file.permissions and is_gcode(file.path)
        }

    def path(self, place: Place) -> Path:
        """Return where a file itself is, be it a link. Raises Forbidden."""
        return self._disk.locate(place.parent) / place.name

    def move_pictures(
        self, source: Place, target: Place, pictures: Sequence[Thumbnail], shared: Collection[str]
    ) -> list[Thumbnail]:
        """Let a file's pictures go where it went, and those ``shared`` with others also stay.

        Returns those that are there. Raises Forbidden.
        """
        return rehang(self.path(source), self.path(target), pictures, shared)

    def delete_pictures(self, place: Place, pictures: Sequence[Thumbnail]) -> None:
        """Delete the pictures of a file, whether it is still there or not. Raises Forbidden."""
        take_down(self.path(place).parent, pictures)
