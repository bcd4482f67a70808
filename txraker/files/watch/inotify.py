"""The kernel's inotify: four system calls, by way of the C library.

``twisted.internet.inotify`` can end all watching when one folder is removed, and tells neither which moves
belong together nor that its queue was full. A library would be as long as this.
"""

from __future__ import annotations

import ctypes
import errno
import os
from threading import Lock

from attrs import define, field

from txraker.files.watch.events import WANTED

_ONLY_FOLDERS = 0x01000000
_NOT_OF_DELETED = 0x04000000
_AT_ONCE = 16 * 1024


@define(eq=False, repr=False)
class Inotify:
    """An open inotify descriptor. ``add`` may be called in any thread."""

    descriptor: int
    _library: ctypes.CDLL
    _lock: Lock = field(factory=Lock, init=False)

    @classmethod
    def open(cls) -> Inotify:
        """Ask the kernel for one; raises OSError, EMFILE if the user has as many as are allowed."""
        library = ctypes.CDLL(None, use_errno=True)
        return cls(_checked(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)), library)

    def add(self, path: str) -> int:
        """Watch a folder and return the number of its watch: the same for the same folder.

        Raises OSError, ENOSPC if there are as many watches as are allowed.
        """
        with self._lock:
            if self.descriptor < 0:
                raise OSError(errno.EBADF, "watching has ended")
            mask = WANTED | _ONLY_FOLDERS | _NOT_OF_DELETED
            return _checked(self._library.inotify_add_watch(self.descriptor, os.fsencode(path), mask))

    def remove(self, watch: int) -> None:
        """Watch a folder no more; one that the kernel has forgotten doesn't matter."""
        self._library.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> bytes:
        """Return some of what is waiting, nothing if nothing is."""
        try:
            return os.read(self.descriptor, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return b""

    def close(self) -> None:
        """End all watching."""
        with self._lock:
            descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
