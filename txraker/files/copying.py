"""Copies of files and folders, hidden until they are whole.

Everything here blocks; it raises OSError, and ApiError where that says more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO

from attrs import define, field

from txraker.errors import Unavailable
from txraker.files.disk import open_file
from txraker.files.partial import PartialFile, check_space, partial_folder

CHUNK = 1024 * 1024
"""Bytes that are copied at a time."""


@define(eq=False, repr=False)
class Copying:
    """Copies, until it is stopped: what is under way then fails, and leaves nothing behind."""

    _stopped: Event = field(factory=Event, init=False)

    def stop(self) -> None:
        """Give up what is under way; called in any thread."""
        self._stopped.set()

    def content(self, source: IO[bytes], target: IO[bytes], most: int) -> None:
        """Copy at most so many bytes of a file, which may be growing. Raises Unavailable when stopped."""
        while most > 0 and (data := source.read(min(most, CHUNK))):
            if self._stopped.is_set():
                raise Unavailable("The server is stopping")
            target.write(data)
            most -= len(data)

    def file(self, path: Path, target: Path) -> None:
        """Copy a file with its time and mode, in place of what is at ``target``."""
        descriptor = open_file(path)
        with os.fdopen(descriptor, "rb") as source:
            about = os.fstat(descriptor)
            check_space(target.parent, about.st_size)
            part = PartialFile.create(target.parent)
            try:
                self._fill(part.path, source, about)
                part.publish(target)
            finally:
                part.discard()

    def tree(self, path: Path, target: Path, may_copy: Callable[[str], bool]) -> list[Path]:
        """Copy a folder with all that ``may_copy``, links as links, and return what was copied in it.

        Nothing is at ``target``. What goes meanwhile is left out.
        """
        found = list(walk(path, may_copy))
        check_space(target.parent, sum(size for _, size in found))
        with partial_folder(target.parent) as part:
            copied = [inner for inner, _ in found if self._copy_inner(inner, part / inner.relative_to(path))]
            _like(part, path.stat())
            part.rename(target)
        return copied

    def _copy_inner(self, path: Path, target: Path) -> bool:
        """Copy what is in a folder; say whether it was there."""
        try:
            about = path.lstat()
            if stat.S_ISLNK(about.st_mode):
                target.symlink_to(os.readlink(path))
            elif stat.S_ISDIR(about.st_mode):
                target.mkdir()
                target.chmod(stat.S_IMODE(about.st_mode) | stat.S_IRWXU)
            else:
                self._copy_new(path, target)
        except FileNotFoundError:
            return False
        return True

    def _copy_new(self, path: Path, target: Path) -> None:
        """Copy a file into a folder that nobody sees yet."""
        descriptor = open_file(path)
        with os.fdopen(descriptor, "rb") as source:
            self._fill(target, source, os.fstat(descriptor))

    def _fill(self, path: Path, source: IO[bytes], about: os.stat_result) -> None:
        with path.open("wb") as target:
            self.content(source, target, about.st_size)
            target.flush()
            os.fsync(target.fileno())
        _like(path, about)


def walk(folder: Path, may_read: Callable[[str], bool]) -> Iterator[tuple[Path, int]]:
    """Yield everything in a folder that ``may_read``, with its size (bytes), a folder before what is in it.

    Links aren't followed. What is neither file, folder nor link is left out, and so is what goes meanwhile.
    Raises FileNotFoundError when the folder itself isn't there.
    """
    waiting = [os.scandir(folder)]
    while waiting:
        with waiting.pop() as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                if not may_read(entry.path):
                    continue
                if stat.S_ISDIR(about.st_mode):
                    waiting.append(os.scandir(entry.path))
                    yield Path(entry.path), 0
                elif stat.S_ISREG(about.st_mode) or stat.S_ISLNK(about.st_mode):
                    yield Path(entry.path), about.st_size


def _like(path: Path, about: os.stat_result) -> None:
    """Let a copy have time and mode of what it is a copy of."""
    path.chmod(stat.S_IMODE(about.st_mode) & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
