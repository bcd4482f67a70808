"""``txraker``: the command line beside the server, for its data and for the machine it runs on.

It parses and picks; what is done to the machine is in ``install``.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from txraker.install.commands import Commands
from txraker.install.errors import InstallError
from txraker.install.installation import DEFAULT_NAME, Installation, absolute, find_installation
from txraker.install.system_files import SystemFiles
from txraker.install.unit_command import UnitCommand, ask_person
from txraker.storage.database import StorageError, open_database, path_in, storage_error, transact
from txraker.storage.migrations import CannotMigrate
from txraker.storage.moonraker_import import Imported, NoImport, import_moonraker, shown
from txraker.storage.schema import MIGRATIONS

if TYPE_CHECKING:  # it has no parameters at run time
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SOURCE: Final = "moonraker-sql.db"
"""The name of a Moonraker's database."""


def main(words: Sequence[str] | None = None, say: Callable[[str], object] = print) -> int:
    """Do what a command line asks for; return 0, or 1 when that can't be done."""
    options = _parser().parse_args(words)
    command: Callable[[argparse.Namespace, Callable[[str], object]], int] = options.command
    try:
        return command(options, say)
    except (InstallError, NoImport, StorageError) as problem:
        print(f"txraker: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("txraker: interrupted", file=sys.stderr)
        return 130


def _import_database(options: argparse.Namespace, say: Callable[[str], object]) -> int:
    data_path = absolute(options.data_path)
    source = absolute(options.source) if options.source else data_path / "database" / SOURCE
    for line in told(import_database(data_path, source)):
        say(line)
    return 0


def _unit(options: argparse.Namespace, say: Callable[[str], object]) -> int:
    command = UnitCommand(_installation(options), SystemFiles(Commands()), say, ask_person)
    if options.print:
        command.print_one(options.print)
    elif options.write:
        return command.write(yes=options.yes)
    else:
        command.show()
    return 0


def _installation(options: argparse.Namespace) -> Installation:
    return find_installation(options.data_paths, options.user, options.name)


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
    parser = argparse.ArgumentParser(
        prog="txraker", description="Sets up txraker; the server is twistd txraker."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_import_database(commands)
    _add_unit(commands)
    return parser


def _add_import_database(commands: _Commands) -> None:
    command = commands.add_parser(
        "import-database",
        help="take over front-end settings, webcams, users, API key and history of a Moonraker",
        description=(
            "Take over front-end settings, webcams, users with their passwords, the API key and the history "
            "from the database of a Moonraker, which isn't changed. The server must not be running."
        ),
    )
    command.add_argument("-d", "--data-path", default="~/printer_data", help="default: %(default)s")
    command.add_argument("--source", help=f"the file to read; default: database/{SOURCE} of the data path")
    command.set_defaults(command=_import_database)


def _add_unit(commands: _Commands) -> None:
    command = commands.add_parser(
        "unit",
        help="show, or install, the systemd unit and the PolicyKit rule",
        description=(
            "Show the systemd unit and the PolicyKit rule for this user, venv and data path. Nothing is "
            "written without --write, which asks first and calls sudo for what only root may do."
        ),
    )
    _add_installation_options(command)
    command.add_argument("--write", action="store_true", help="install both, after a question")
    command.add_argument("--yes", action="store_true", help="don't ask, unless a file isn't ours")
    command.add_argument("--print", choices=("unit", "rule"), help="print one of them and nothing else")
    command.set_defaults(command=_unit)


def _add_installation_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-d",
        "--data-path",
        dest="data_paths",
        metavar="DATA_PATH",
        action="append",
        default=[],
        help="a printer's data folder; may be repeated; default: ~/printer_data",
    )
    command.add_argument("--user", help="whom the server runs as; default: who runs this")
    command.add_argument("--name", default=DEFAULT_NAME, help="the unit's name; default: %(default)s")


if __name__ == "__main__":
    sys.exit(main())
