"""Copies of a database in files of their own, each there whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from txraker.storage.migrations import Migrations, missing, version_of

PART: Final = ".part"
"""How the name of a copy ends while it is being written."""


class NoGoodCopy(Exception):
    """A file can't be put in a database's place; the text says why."""


def save_copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy a database to a file that only we may read, which replaces what is there once it is whole.

    The copy is on the disk when this returns. Raises OSError and sqlite3.Error; then nothing is left of it.
    """
    part = target.with_name(target.name + PART)
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # nobody looks for a log beside a copy
        sync(part)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync(target.parent)


def sync(path: Path) -> None:
    """Return when what is in a file or a folder is on the disk; file systems that can't say are believed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tables_in(connection: sqlite3.Connection) -> list[str]:
    """Return the names of a database's tables, in the order in which they were made."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    return [name for (name,) in rows]


def check_copy(connection: sqlite3.Connection, migrations: Migrations) -> None:
    """Raise NoGoodCopy for a database that is damaged, newer than these migrations, or not theirs."""
    found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise NoGoodCopy(f"it is damaged: {' '.join(found.split())}")
    version = version_of(connection)
    missing(migrations, version)
    expected = _tables_of(migrations[:version])
    if version == 0 or not expected <= set(tables_in(connection)):
        raise NoGoodCopy("it isn't a database of txraker's")


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open a database that must not be changed; it must be there."""
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _tables_of(migrations: Migrations) -> set[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for migration in migrations:
            migration.apply(connection)
        return set(tables_in(connection))
