"""What is in roots and folders, as clients are told of it. Everything here blocks.

Contract: "List available files" and "Get directory information" of the file management documentation.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import msgspec

from txraker.errors import ApiError, BadRequest
from txraker.files.disk import Disk, Rules, explained, no_folder
from txraker.files.gcodes import GCODES, is_printable
from txraker.files.places import Place

_Waiting = deque[tuple[Path, Place]]


class FileInfo(msgspec.Struct, frozen=True):
    """A file: ``path`` is relative to its root, ``modified`` Unix time, ``size`` in bytes.

    ``permissions`` are `rw`, `r` or, for what can't be accessed, empty.
    """

    path: str
    modified: float
    size: int
    permissions: str


class FolderInfo(msgspec.Struct, frozen=True):
    """A folder in a folder; see FileInfo."""

    modified: float
    size: int
    permissions: str
    dirname: str


class DiskUsage(msgspec.Struct, frozen=True):
    """A disk's bytes; ``free`` are those we may use."""

    total: int
    used: int
    free: int


class FolderContents(msgspec.Struct, frozen=True):
    """What is directly in a folder; files by their paths from the root."""

    folders: list[FolderInfo]
    files: list[FileInfo]
    disk_usage: DiskUsage


def files_of(disk: Disk, place: Place) -> list[FileInfo]:
    """Return all files of a root, in alphabetical order; of ``gcodes`` just those that can be printed.

    What can't be read is left out. Each folder is listed once, however many links lead to it. Raises
    ApiError.
    """
    rules = disk.rules()
    top = rules.locate(place)
    if not top.is_dir():
        raise BadRequest(f"Failed to build file list, invalid path: {place}")
    found: list[FileInfo] = []
    waiting = deque([(top, place)])
    seen: set[Path] = set()
    while waiting:
        folder, inner = waiting.popleft()
        if folder not in seen:
            seen.add(folder)
            found += _files_in(rules, folder, inner, waiting)
    wanted = [file for file in found if place.root.name != GCODES or is_printable(file.path)]
    return sorted(wanted, key=lambda file: file.path.casefold())


def _files_in(rules: Rules, folder: Path, place: Place, waiting: _Waiting) -> list[FileInfo]:
    """Return a folder's files, and let its folders wait; those that links lead to come last."""
    try:
        entries = rules.entries(folder, place)
    except ApiError:
        return []
    files = []
    for entry in entries:
        inner, real = Place(place.root, (*place.parts, entry.name)), Path(entry.real)
        if not entry.is_folder:
            files.append(FileInfo(inner.relative, entry.modified, entry.size, entry.permissions))
        elif entry.permissions and real == folder / entry.name:
            waiting.appendleft((real, inner))
        elif entry.permissions:
            waiting.append((real, inner))
    return files


def contents_of(disk: Disk, place: Place) -> FolderContents:
    """Return what is in a folder, in alphabetical order. Raises ApiError."""
    rules = disk.rules()
    folder = rules.locate(place)
    if not folder.is_dir():
        raise no_folder(place)
    folders, files = [], []
    for entry in sorted(rules.entries(folder, place), key=lambda entry: entry.name.casefold()):
        if entry.is_folder:
            folders.append(FolderInfo(entry.modified, entry.size, entry.permissions, entry.name))
        else:
            path = "/".join((*place.parts, entry.name))
            files.append(FileInfo(path, entry.modified, entry.size, entry.permissions))
    return FolderContents(folders, files, _usage(folder, place))


def _usage(folder: Path, place: Place) -> DiskUsage:
    with explained("looked at", place, no_folder(place)):
        about = os.statvfs(folder)
    used = about.f_blocks - about.f_bfree
    return DiskUsage(about.f_blocks * about.f_frsize, used * about.f_frsize, about.f_bavail * about.f_frsize)
