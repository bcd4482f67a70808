"""``txraker``: what is done with a printer's data while its server isn't running."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from txraker.storage.database import StorageError, open_database, path_in, storage_error, transact
from txraker.storage.migrations import CannotMigrate
from txraker.storage.moonraker_import import Imported, NoImport, import_moonraker, shown
from txraker.storage.schema import MIGRATIONS

SOURCE: Final = "moonraker-sql.db"
"""The name of a Moonraker's database."""


def main(words: Sequence[str] | None = None, say: Callable[[str], object] = print) -> int:
    """Do what a command line asks for; return 0, or 1 when that can't be done."""
    options = _parser().parse_args(words)
    data_path = _absolute(options.data_path)
    source = _absolute(options.source) if options.source else data_path / "database" / SOURCE
    try:
        imported = import_database(data_path, source)
    except (NoImport, StorageError) as problem:
        print(f"txraker: {problem}", file=sys.stderr)
        return 1
    for line in told(imported):
        say(line)
    return 0


def import_database(data_path: Path, source: Path) -> Imported:
    """Import a Moonraker's database into that of a data path, which is made if it isn't there.

    All of it is imported or nothing. Raises NoImport, and StorageError, as when a server uses the database.
    """
    path = path_in(data_path)
    _check_paths(data_path, source)
    try:
        with ExitStack() as held:
            connection, _ = open_database(path, MIGRATIONS, held)
            imported = transact(connection, partial(import_moonraker, source, scratch=path.parent))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return imported
    except (OSError, sqlite3.Error, CannotMigrate) as problem:
        raise storage_error(path, problem) from problem


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="txraker", description="What concerns a printer's data.")
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "import-database",
        help="take over front-end settings, webcams, users, API key and history of a Moonraker",
        description=(
            "Take over front-end settings, webcams, users with their passwords, the API key and the history "
            "from the database of a Moonraker, which isn't changed. The server must not be running."
        ),
    )
    command.add_argument("-d", "--data-path", default="~/printer_data", help="default: %(default)s")
    command.add_argument("--source", help=f"the file to read; default: database/{SOURCE} of the data path")
    return parser


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


if __name__ == "__main__":
    sys.exit(main())
