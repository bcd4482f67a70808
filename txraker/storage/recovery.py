"""A database that is damaged is put aside, and the newest backup that is good takes its place.

The copy of the backup is made first, under a name of its own: whatever happens between, the next start either
finds the damaged file again, or the copy that is ready.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from attrs import define

from txraker.storage.backups import Backups
from txraker.storage.copies import sync
from txraker.storage.database import StorageError

_LOGS = ("-wal", "-shm")


@define(eq=False, repr=False)
class Recovery:
    """Provides what a Database asks for when its file is damaged. It works in the database's thread."""

    _backups: Backups

    def before(self, file: Path) -> str:
        """See to a file before it is opened, and return what users must know.

        If a recovery was cut short, the copy that is ready is put in the file's place. A file that is empty,
        as a loss of power leaves some, is a damaged one if there is a backup.
        """
        ready = _ready(file)
        if file.exists():
            ready.unlink(missing_ok=True)
            is_empty = file.stat().st_size == 0
            return self._recover(file, "it is empty") if is_empty and self._backups.names() else ""
        if ready.exists():
            _replace(ready, file)
        return ""

    def __call__(self, file: Path, damage: StorageError) -> str:
        """Put a damaged file aside, and a backup in its place if there is one; return what users must know.

        Raises OSError and StorageError when that can't be done; then the file is left as it is.
        """
        return self._recover(file, damage.reason)

    def _recover(self, file: Path, reason: str) -> str:
        ready = _ready(file)
        found = self._backups.prepare_newest(ready)
        aside = _free(file.with_name(f"{file.name}.damaged-{self._backups.stamp()}"))
        for ending in _LOGS:
            with suppress(FileNotFoundError):
                _beside(file, ending).rename(_beside(aside, ending))
        file.rename(aside)
        if found is None:
            return (
                f"The database was damaged ({reason}) and there was no backup that could be used: a "
                f"new one was begun. Users, keys and settings are gone; the damaged file is kept as {aside}"
            )
        as_of = datetime.fromtimestamp(found.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
        _replace(ready, file)
        return (
            f"The database was damaged ({reason}) and was restored from the backup {found.name}, as "
            f"it was on {as_of}; what was changed since is lost. The damaged file is kept as {aside}"
        )


def _ready(file: Path) -> Path:
    return _beside(file, ".restored")


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _free(path: Path) -> Path:
    """Return a path that nothing has, like the one given."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = _beside(path, f"-{number}")
    return free


def _replace(ready: Path, file: Path) -> None:
    for ending in _LOGS:
        _beside(file, ending).unlink(missing_ok=True)
    ready.replace(file)
    sync(file.parent)
