"""Backups of a printer's database: files in ``backup/database`` of its data path.

All of this blocks: it is done in the database's thread, with its connection and outside a transaction.
Beside the backups that somebody asks for there are automatic ones, ``auto-<stamp>.db``, and those of what a
restore replaces, ``before-restore-<stamp>.db``; the newest few of either kind are kept. Stamps are local
time. Those of the future, which a clock made that was wrong, count as the oldest.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from attrs import define

from txraker.errors import BadRequest, NotFound
from txraker.storage.copies import PART, NoGoodCopy, check_copy, open_to_read, save_copy, tables_in
from txraker.storage.database import StorageError, blamed, migrate, storage_error
from txraker.storage.migrations import CannotMigrate, Migrations
from txraker.storage.namespaces import names_in

KEPT: Final = 3
"""Automatic backups that are kept, and as many of those made before a restore."""

DAY: Final = 86400.0

LONGEST_NAME: Final = 200
"""Bytes of a backup's name: what comes with it while it is written fits into a name of 255."""

_STAMP = "%Y%m%d-%H%M%S"
_AUTOMATIC = re.compile(r"auto-\d{8}-\d{6}\.db")
_BEFORE_RESTORE = re.compile(r"before-restore-\d{8}-\d{6}\.db")
_OF_SQLITE = ("-journal", "-wal", "-shm")


class Restored(msgspec.Struct, frozen=True):
    """What a database holds since it was restored: the names of its tables and of its namespaces."""

    tables: list[str]
    namespaces: list[str]


@define(eq=False, repr=False)
class Backups:
    """The backups of one printer. ``now`` is local time."""

    folder: Path
    _migrations: Migrations
    _now: Callable[[], datetime]

    def names(self) -> list[str]:
        """Return the names of all backups, in alphabetical order."""
        return sorted(file.name for file in self._files())

    def make(self, connection: sqlite3.Connection, name: str | None = None) -> Path:
        """Make a backup, in the place of one of that name, and return its path.

        Raises BadRequest for a name that none can have, and StorageError.
        """
        target = self._path(f"sqldb-backup-{self.stamp()}.db" if name is None else name)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True, parents=True)
            save_copy(connection, target)
        except (OSError, sqlite3.Error) as problem:
            raise storage_error(target, problem) from problem
        return target

    def delete(self, name: str) -> Path:
        """Delete a backup and return where it was. Raises BadRequest, NotFound and StorageError."""
        path = self._path(name)
        if path not in self._files():
            raise NotFound(f"Backup file {name} does not exist")
        try:
            path.unlink()
        except OSError as problem:
            raise storage_error(path, problem) from problem
        return path

    def restore(self, connection: sqlite3.Connection, name: str) -> Restored:
        """Put a backup's content in the place of what there is, of which a backup is made before.

        Either all of it is done or nothing. Raises BadRequest for a backup that can't be used, and
        StorageError.
        """
        path = self._path(name)
        if path not in self._files():
            raise BadRequest(f"Restoration File {path} does not exist")
        ready = self.folder / ".restore"
        try:
            self.prepare(path, ready)
            replaced = self.make(connection, f"before-restore-{self.stamp()}.db")
            with closing(open_to_read(ready)) as source:
                source.backup(connection)
        except NoGoodCopy as problem:
            raise BadRequest(f"Backup file {name} can't be restored: {problem}") from problem
        finally:
            with suppress(OSError):
                ready.unlink(missing_ok=True)
        self._prune(_BEFORE_RESTORE, replaced)
        return Restored(tables_in(connection), names_in(connection))

    def prepare(self, backup: Path, target: Path) -> None:
        """Make a checked copy of a backup, of the newest version. Raises NoGoodCopy and StorageError.

        StorageError is for a disk that takes no copy: the backup may be good then.
        """
        try:
            self._copy(backup, target)
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                migrate(copy, self._migrations, lambda _version: None)
        except BaseException as problem:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            if not isinstance(problem, CannotMigrate):
                raise
            cause = blamed(target, problem.__cause__ or problem)
            raise cause if isinstance(cause, StorageError) else NoGoodCopy(str(problem)) from problem

    def _copy(self, backup: Path, target: Path) -> None:
        try:
            source = open_to_read(backup)
        except sqlite3.Error as problem:
            raise NoGoodCopy(storage_error(backup, problem).reason) from problem
        with closing(source):
            try:
                check_copy(source, self._migrations)
            except sqlite3.Error as problem:
                raise NoGoodCopy(storage_error(backup, problem).reason) from problem
            try:
                save_copy(source, target)
            except (OSError, sqlite3.Error) as problem:
                raise storage_error(target, problem) from problem

    def prepare_newest(self, target: Path) -> Path | None:
        """Make such a copy of the newest backup that is good, and return which that is, if any.

        What a restore has replaced comes last: somebody didn't want that any more. Raises StorageError when a
        copy can't be written.
        """
        now = self._now().timestamp()

        def rank(file: Path) -> tuple[bool, bool, int]:
            changed = _changed(file)
            return _BEFORE_RESTORE.fullmatch(file.name) is not None, changed / 1e9 > now, -changed

        for backup in sorted(self._files(), key=rank):
            with suppress(NoGoodCopy):
                self.prepare(backup, target)
                return backup
        return None

    def make_if_due(self, connection: sqlite3.Connection) -> Path | None:
        """Make an automatic backup if there is none of the last day and something was changed since.

        Returns its path if one was made; if not, nothing has been written. Raises StorageError.
        """
        now = self._now().timestamp()
        made_at = [_changed(file) for file in self._files() if _AUTOMATIC.fullmatch(file.name)]
        newest = max((moment for moment in made_at if moment / 1e9 <= now), default=0)
        if now - newest / 1e9 < DAY or _last_change(connection) <= newest:
            return None
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the file would be changed by that later
        made = self.make(connection, f"auto-{self.stamp()}.db")
        self._prune(_AUTOMATIC, made)
        return made

    def stamp(self) -> str:
        """Return the time as it is part of names."""
        return self._now().strftime(_STAMP)

    def _path(self, name: str) -> Path:
        """Return the path of a backup. Raises BadRequest for a name that none can have."""
        if "/" in name or not _is_name(name) or len(name.encode()) > LONGEST_NAME:
            raise BadRequest(f"Invalid name {name}.")
        return self.folder / name

    def _files(self) -> list[Path]:
        """Return the files that are backups, as far as their names say."""
        try:
            with os.scandir(self.folder) as entries:
                found = [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
        return [file for file in found if _is_name(file.name)]

    def _prune(self, kind: re.Pattern[str], made: Path) -> None:
        """Delete the oldest of a kind, beside the one that was just made."""
        others = [file for file in self._files() if kind.fullmatch(file.name) and file != made]
        others.sort(key=lambda file: (file.name < made.name, file.name))
        for file in others[: 1 - KEPT]:
            with suppress(OSError):
                file.unlink()


def _is_name(name: str) -> bool:
    """Say whether a file may be a backup: with a name that can be said, not hidden, not in the making.

    Nor may it be what SQLite takes for the log of another one.
    """
    return (
        bool(name)
        and name.isprintable()
        and not name.startswith(".")
        and not name.endswith((PART, *_OF_SQLITE))
    )


def _changed(file: Path) -> int:
    """Return when a file was written to last, in nanoseconds; 0 if that can't be known."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _last_change(connection: sqlite3.Connection) -> int:
    """Return when a database was changed last, in nanoseconds."""
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    log = path.with_name(f"{path.name}-wal")
    try:
        is_used = log.stat().st_size > 0
    except OSError:
        is_used = False
    return max(_changed(path), _changed(log) if is_used else 0)
