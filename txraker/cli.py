"""``txraker``: the command line beside the server, for its data and for the machine it runs on.

It parses and picks; what is done to the machine is in ``install``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from txraker.install.commands import Commands
from txraker.install.doctor.checkup import Checkup, findings
from txraker.install.doctor.command import tell
from txraker.install.errors import InstallError
from txraker.install.installation import DEFAULT_NAME, absolute, find_installation
from txraker.install.migration.command import MigrateCommand
from txraker.install.migration.situation import Lookout
from txraker.install.system_files import SystemFiles
from txraker.install.unit_command import UnitCommand, ask_person
from txraker.storage.database import StorageError
from txraker.storage.importing import SOURCE, import_database, told
from txraker.storage.moonraker_import import NoImport

if TYPE_CHECKING:  # it has no parameters at run time
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def say_at_once(line: str) -> None:
    """Print a line, and don't let it wait for others when it goes into a file or another program."""
    print(line, flush=True)


def main(words: Sequence[str] | None = None, say: Callable[[str], object] = say_at_once) -> int:
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
    installation = find_installation(options.data_paths, options.user, options.name)
    command = UnitCommand(installation, SystemFiles(Commands()), say, ask_person)
    if options.print:
        command.print_one(options.print)
    elif options.write:
        return command.write(yes=options.yes)
    else:
        command.show()
    return 0


def _migrate(options: argparse.Namespace, say: Callable[[str], object]) -> int:
    commands = Commands()
    lookout = Lookout(commands, SystemFiles(commands))
    command = MigrateCommand(lookout, commands, say, ask_person, partial(time.strftime, "%Y%m%d-%H%M%S"))
    return command.run(
        options.data_path, options.service, options.name, dry_run=options.dry_run, yes=options.yes
    )


def _doctor(options: argparse.Namespace, say: Callable[[str], object]) -> int:
    installation = find_installation(options.data_paths, None, options.name)
    return tell(findings(Checkup(installation).facts(), installation), say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="txraker", description="Sets up txraker; the server is twistd txraker."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_import_database(commands)
    _add_unit(commands)
    _add_doctor(commands)
    _add_migrate(commands)
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
    command.add_argument("--user", help="whom the server runs as; default: who runs this")
    command.add_argument("--write", action="store_true", help="install both, after a question")
    command.add_argument("--yes", action="store_true", help="don't ask, unless a file isn't ours")
    command.add_argument("--print", choices=("unit", "rule"), help="print one of them and nothing else")
    command.set_defaults(command=_unit)


def _add_doctor(commands: _Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="check this machine and a printer's data",
        description=(
            "Check this machine and a printer's data, and say what is missing and the command that mends it. "
            "Nothing is changed. The exit code is 1 when something keeps the server from working."
        ),
    )
    _add_installation_options(command)
    command.set_defaults(command=_doctor)


def _add_migrate(commands: _Commands) -> None:
    command = commands.add_parser(
        "migrate",
        help="move a printer from Moonraker to txraker",
        description=(
            "Look at a printer's Moonraker, show what will be done, ask, and do it: Moonraker is stopped and "
            "disabled, what it keeps is taken over, and txraker is started in its place. Nothing of "
            "Moonraker's is changed; when a step fails, those before it are undone."
        ),
    )
    command.add_argument("-d", "--data-path", help="the printer's data folder; default: that of the service")
    command.add_argument("--service", default="moonraker", help="Moonraker's service; default: %(default)s")
    command.add_argument("--name", default=DEFAULT_NAME, help="our unit's name; default: %(default)s")
    command.add_argument("--dry-run", action="store_true", help="show every step, and change nothing")
    command.add_argument("--yes", action="store_true", help="don't ask")
    command.set_defaults(command=_migrate)


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
    command.add_argument("--name", default=DEFAULT_NAME, help="the unit's name; default: %(default)s")


if __name__ == "__main__":
    sys.exit(main())
