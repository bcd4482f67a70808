"""Zip archives of files and folders. Everything here blocks: it is done in a worker thread.

Contract: "Create a ZIP archive" of the file management documentation. Unlike Moonraker 0.11.0, which leaves
them out without a word, folders in folders are archived, too.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import msgspec
from attrs import define

from txraker.errors import BadRequest
from txraker.events import FileChange
from txraker.files.copying import Copying, walk
from txraker.files.disk import GIT, Disk, Rules, explained, is_visible, no_folder, nothing_at, open_file
from txraker.files.operations import Operations, Order, item_at
from txraker.files.partial import PartialFile, check_space
from txraker.files.places import Place

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_LATEST = (2107, 12, 31, 23, 59, 58)


class _Member(msgspec.Struct, frozen=True):
    """A file that is archived: where it is, and its name in the archive."""

    path: Path
    name: str
    size: int


@define(eq=False, repr=False)
class Archiver:
    """Makes archives, each hidden until it is whole."""

    _disk: Disk
    _operations: Operations

    def zip(self, dest: Place, items: Iterable[Place], order: Order, *, store_only: bool) -> FileChange:
        """Archive ``items`` to ``dest``, in place of what is there. Raises ApiError.

        There must be room for all files as they are. Links to files are archived as what they lead to, if
        that may be reached; links to folders in a folder aren't.
        """
        if not dest.root.is_writable:
            raise BadRequest(f"Destination Root '{dest.root.name}' is read-only")
        target = self._disk.locate(dest)
        if target.is_dir():
            raise BadRequest(f"Cannot create archive at '{dest}'.  Path exists as a directory.")
        if not target.parent.is_dir():
            raise BadRequest(f"Cannot create archive at '{dest}'.  Parent directory does not exist.")
        self._operations.check_unused(dest, order)
        members = self._members(items, target)
        check_space(target.parent, sum(member.size for member in members))
        is_new = not target.exists()
        with explained("archived", dest, no_folder(dest.parent)):
            self._write(target, members, ZIP_STORED if store_only else ZIP_DEFLATED)
        return FileChange(
            "create_file" if is_new else "modify_file", item_at(target, dest, self._disk.rules())
        )

    def _members(self, items: Iterable[Place], target: Path) -> list[_Member]:
        rules = self._disk.rules()
        members: dict[str, _Member] = {}
        for item in items:
            path = rules.locate(item)
            if path == target:
                raise BadRequest(f"The archive '{item}' can't be part of itself")
            if not path.exists():
                raise BadRequest(f"No file/directory exists at '{item}'")
            with explained("read", item, nothing_at(item)):
                found = _in_folder(rules, path, item) if path.is_dir() else iter([_member(path, str(item))])
                members |= {member.name: member for member in found if member.path != target}
        if not members:
            raise BadRequest("At least one file or directory must be specified, and hold a file")
        return list(members.values())

    def _write(self, target: Path, members: Iterable[_Member], method: int) -> None:
        part = PartialFile.create(target.parent)
        try:
            with part.path.open("wb") as file, ZipFile(file, "w", method) as archive:
                for member in members:
                    _add(archive, member, method, self._operations.copying)
            part.publish(target)
        finally:
            part.discard()


def _in_folder(rules: Rules, folder: Path, place: Place) -> Iterator[_Member]:
    def may_read(path: str) -> bool:
        name = os.path.basename(path)
        return name != GIT and is_visible(name) and rules.allows(path)

    for path, _ in walk(folder, may_read):
        real = Path(os.path.realpath(path))
        if rules.allows(str(real)) and real.is_file():
            with suppress(FileNotFoundError):  # it has gone meanwhile
                yield _member(real, f"{place}/{path.relative_to(folder)}")


def _member(path: Path, name: str) -> _Member:
    return _Member(path, name, path.stat().st_size)


def _add(archive: ZipFile, member: _Member, method: int, copying: Copying) -> None:
    """Add a file as it is now, and no more of it if it grows meanwhile; one that has gone is left out."""
    try:
        descriptor = open_file(member.path)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as source:
        about = os.fstat(descriptor)
        info = ZipInfo(member.name, _date(about.st_mtime))
        info.compress_type = method
        info.external_attr = (stat.S_IFREG | stat.S_IMODE(about.st_mode)) << 16
        info.file_size = about.st_size
        with archive.open(info, "w") as target:
            copying.content(source, target, about.st_size)


def _date(modified: float) -> tuple[int, int, int, int, int, int]:
    """Return a Unix time as archives have it: local, from 1980 to 2107."""
    try:
        date = time.localtime(modified)[:6]
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    return min(max(date, _EARLIEST), _LATEST)
