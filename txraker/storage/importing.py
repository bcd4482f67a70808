"""A Moonraker's database file taken over into a data path, while no server runs; or only looked at."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from txraker.storage.database import open_database, path_in, storage_error, transact
from txraker.storage.migrations import CannotMigrate
from txraker.storage.moonraker_import import Imported, NoImport, import_moonraker, shown
from txraker.storage.schema import MIGRATIONS

SOURCE: Final = "moonraker-sql.db"
"""The name of a Moonraker's database."""


def import_database(data_path: Path, source: Path) -> Imported:
    """Import a Moonraker's database into that of a data path, which is made if it isn't there.

    All of it is imported or nothing. Raises NoImport, and StorageError, as when a server uses the database.
    """
    path = path_in(data_path)
    try:
        _check_paths(data_path, source)
        with ExitStack() as held:
            connection, _ = open_database(path, MIGRATIONS, held)
            imported = transact(connection, partial(import_moonraker, source, scratch=path.parent))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return imported
    except (OSError, sqlite3.Error, CannotMigrate) as problem:
        raise storage_error(path, problem) from problem


def preview(data_path: Path) -> Imported:
    """Return what would be imported into a data path where nothing is yet; nothing in it is changed.

    The Moonraker may run. Raises NoImport, and StorageError when there is no room for a copy of its database.
    """
    source = data_path / "database" / SOURCE
    try:
        _check_paths(data_path, source)
        with ExitStack() as held:
            scratch = Path(held.enter_context(TemporaryDirectory()))
            ours = held.enter_context(closing(sqlite3.connect(":memory:", isolation_level=None)))
            for migration in MIGRATIONS:
                migration.apply(ours)
            return transact(ours, partial(import_moonraker, source, scratch=scratch))
    except OSError as problem:
        raise storage_error(source, problem) from problem


def told(imported: Imported) -> Iterator[str]:
    """Yield what was imported, and what wasn't, a line each."""
    for name, count in sorted(imported.namespaces.items()):
        yield f"namespace {shown(name)}: {count} values"
    for name in imported.users:
        yield f"user {name}, whose password stays"
    yield "the API key" if imported.api_key else "no API key"
    yield f"{imported.jobs} jobs and {imported.totals} totals of the history"
    for reason in imported.left:
        yield f"left out: {reason}"


def _check_paths(data_path: Path, source: Path) -> None:
    if not data_path.is_dir():
        raise NoImport(f"There is no folder {data_path}")
    if os.geteuid() != data_path.stat().st_uid:
        raise NoImport(f"{data_path} belongs to another user: run this as the user whom the server runs as")
    if not source.exists() and source.with_name("data.mdb").exists():
        raise NoImport(
            f"{source.parent} holds a database of a Moonraker before 0.9.0: start a newer one, which makes a "
            f"{SOURCE} of it"
        )
