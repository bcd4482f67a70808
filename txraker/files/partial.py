"""A file or folder that isn't whole yet: hidden in its folder until it is put where it belongs, in one step.

Everything here blocks: it is done in a worker thread.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from txraker.errors import BadRequest, Forbidden, InsufficientStorage, Unavailable

MODE = 0o644
"""Who may read and write a file that was put in place, whatever the process's umask."""

SYNC_EVERY = 16 * 1024 * 1024
"""Bytes after which what was written has to be on the disk, so that memory doesn't fill with what isn't."""

SURELY_OLD = 24 * 3600.0
"""Seconds after which a file isn't being written any more, where locks don't tell."""

_MARK = re.compile(r"\.txraker-[0-9a-f]{16}\.part")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_BAD_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


def is_partial(name: str) -> bool:
    """Say whether a name is that of something that isn't whole yet: nobody is to see it."""
    return _MARK.fullmatch(name) is not None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Make what the system says is wrong an ApiError: ``what`` is the work, to be put before the reason."""
    try:
        yield
    except OSError as problem:
        text = f"{what}: {problem.strerror or 'failed'}"
        if problem.errno in _NO_SPACE:
            raise InsufficientStorage(text) from None
        if problem.errno in _NOT_ALLOWED:
            raise Forbidden(text) from None
        if problem.errno in _BAD_NAME:
            raise BadRequest(text) from None
        raise Unavailable(text) from None


def check_space(folder: Path, size: int) -> None:
    """Raise InsufficientStorage when there is no room for ``size`` bytes on the disk of a folder."""
    with told("The free space can't be found out"):
        about = os.statvfs(folder)
    free = about.f_bavail * about.f_frsize
    if size > free:
        raise InsufficientStorage(f"{size} bytes are needed, and {free} bytes are free")


@define(eq=False, repr=False)
class PartialFile:
    """A file being written under a hidden name. It must end by ``publish`` or by ``discard``.

    ``size`` is the number of bytes so far. The file is locked as long as it is open.
    """

    path: Path
    _descriptor: int
    size: int = field(default=0, init=False)
    _hash: Any = field(factory=hashlib.sha256, init=False)
    _unsynced: int = field(default=0, init=False)

    @classmethod
    def create(cls, folder: Path) -> PartialFile:
        """Begin a file in a folder. Raises ApiError."""
        while True:
            path = _hidden_in(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with told("The file can't be created"):
                descriptor = os.open(path, flags, MODE)
                os.fchmod(descriptor, MODE)
            if _is_ours(descriptor):
                return cls(path, descriptor)
            os.close(descriptor)

    @property
    def checksum(self) -> str:
        """The SHA-256 of what was written, as hexadecimal digits."""
        digits: str = self._hash.hexdigest()
        return digits

    def write(self, data: bytes) -> None:
        """Add bytes at the end. Raises ApiError."""
        self._hash.update(data)
        with told("The file can't be written"):
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            self.size += len(data)
            self._unsynced += len(data)
            if self._unsynced >= SYNC_EVERY:
                self._unsynced = 0
                os.fdatasync(self._descriptor)

    def reader(self) -> int:
        """Return a descriptor, to be closed by who asks, that reads the file from its beginning."""
        with told("The file can't be read"):
            return os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def publish(self, target: Path) -> os.stat_result:
        """Put the file where it belongs, in place of what is there; return what it is there.

        When it returns, the file is on the disk whatever happens. Raises ApiError; then nothing has changed.
        """
        with told("The file can't be saved"):
            os.fsync(self._descriptor)
            try:
                os.rename(self.path, target)
            except OSError as problem:
                if problem.errno != errno.EXDEV:
                    raise
                return self._publish_elsewhere(target)
            about = os.fstat(self._descriptor)
            self._close()
            _sync_folder(target.parent)
        return about

    def discard(self) -> None:
        """Remove the file, unless it was published."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.unlink(self.path)
            self._close()

    def _publish_elsewhere(self, target: Path) -> os.stat_result:
        """Publish on another disk than the one that was written to."""
        copy = PartialFile.create(target.parent)
        try:
            with os.fdopen(self.reader(), "rb") as ours:
                shutil.copyfileobj(ours, copy, 1024 * 1024)
            about = copy.publish(target)
        finally:
            copy.discard()
        self.discard()
        return about

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.close(descriptor)


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder, to be filled and renamed; if it wasn't, it is removed. Raises OSError."""
    while True:
        path = _hidden_in(parent)
        path.mkdir()
        descriptor = os.open(path, _FOLDER)
        if _is_ours(descriptor):
            break
        os.close(descriptor)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def make_folders(folder: Path) -> list[Path]:
    """Make a folder, and those it is in, if they aren't there; return what was made. Raises ApiError."""
    missing, new = [], []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    with told("The folder can't be created"):
        for made in reversed(missing):
            with suppress(FileExistsError):
                made.mkdir()
                made.chmod(0o755)
                _sync_folder(made.parent)
                new.append(made)
    return new


def remove_leftovers(folders: Iterable[Path], now: float) -> list[Path]:
    """Remove what a crash has left in folders and below; ``now`` is Unix time (s). Return what is gone."""
    removed = []
    for folder in folders:
        for place, inner, names in os.walk(folder):
            paths = [Path(place) / name for name in (*inner, *names) if is_partial(name)]
            removed += [path for path in paths if _remove_leftover(path, now)]
            inner[:] = [name for name in inner if not is_partial(name)]
    return removed


def _remove_leftover(path: Path, now: float) -> bool:
    """Remove a file or a folder unless somebody writes to it; say whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        is_left = _try_lock(descriptor)
        about = os.fstat(descriptor)
        if is_left is None:
            is_left = now - about.st_mtime > SURELY_OLD
        if is_left and stat.S_ISDIR(about.st_mode):
            shutil.rmtree(path)
        elif is_left:
            path.unlink()
        return is_left
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _hidden_in(folder: Path) -> Path:
    return folder / f".txraker-{secrets.token_hex(8)}.part"


def _is_ours(descriptor: int) -> bool:
    """Lock what was just created; False when who removes leftovers was faster."""
    return _try_lock(descriptor) is not False and os.fstat(descriptor).st_nlink > 0


def _try_lock(descriptor: int) -> bool | None:
    """Lock a file if nobody else has; None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync_folder(folder: Path) -> None:
    """Have a folder's entries on the disk, where that can be asked for."""
    with suppress(OSError):
        descriptor = os.open(folder, _FOLDER)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
