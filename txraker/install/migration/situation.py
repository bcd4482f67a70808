"""What is there before a migration: looked at, and nothing changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen

from txraker.install.commands import ICommands
from txraker.install.configured import Configured, configured
from txraker.install.errors import InstallError
from txraker.install.installation import (
    Account,
    Accounts,
    IAccounts,
    Installation,
    absolute,
    find_installation,
)
from txraker.install.migration.launch import Launch
from txraker.install.migration.live import local_socket, print_state
from txraker.install.migration.service import Service, find_launch, find_service
from txraker.install.system_files import Standing, SystemFile, SystemFiles, files_of, standing
from txraker.install.unit import quoted
from txraker.storage.database import StorageError, path_in
from txraker.storage.importing import SOURCE, preview
from txraker.storage.moonraker_import import Imported, NoImport
from txraker.system.listener import Listener, listener_at

ROOM: Final = 32 * 1024 * 1024
"""Bytes that must be free beside what a copy of the database takes."""

OWN_CONFIGURATION: Final = "txraker.conf"
"""The name of a configuration that somebody has written for us."""

_PATH_OPTION: Final = "--data-path "
_DATABASE_ENDINGS: Final = ("", "-wal", "-shm")


@frozen
class Situation:
    """What is there.

    ``moonraker`` and ``own`` are the services that are to change places. ``served`` is the data path that
    Moonraker has, if that is another one, and ``configured_by`` its configuration, if we wouldn't read that.
    ``imported`` is a text where nothing can be: it says why. ``listener`` is the live server of the data
    path, ``print_state`` what that says of the printer. ``earlier`` are the files of a database of ours that
    is there already. ``files`` are those of root's that are to be written, with what is in their places now.
    ``free`` and ``needed`` are bytes.
    """

    installation: Installation
    data_path: Path
    moonraker: Service
    own: Service
    served: Path | None
    configured_by: Path | None
    configuration: Configured
    imported: Imported | str
    listener: Listener | None
    print_state: str | None
    earlier: Sequence[Path]
    files: Sequence[tuple[SystemFile, Standing]]
    free: int
    needed: int


@frozen(eq=False)
class Lookout:
    """Finds out what is there; nothing is changed by that."""

    _commands: ICommands
    _system: SystemFiles
    _accounts: IAccounts = field(factory=Accounts)
    _root: Path = Path("/")
    _scripts: Path | None = None
    _free: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)
    _listener: Callable[[Path], Listener] = listener_at
    _print_state: Callable[[Path], str | None] = print_state

    def look(self, data_path: str | None, service: str, name: str) -> Situation:
        """Return what is there for a data path, by default that of the service.

        Raises InstallError when that can't be found out, or makes no sense at all.
        """
        account = self._account()
        moonraker = find_service(self._commands, service)
        if not moonraker.is_known:
            raise InstallError(
                f"There is no {moonraker.unit} on this machine. If your Moonraker's service has another "
                "name, say it by --service; if there is none any more, use `txraker import-database` and "
                "`txraker unit`"
            )
        launch = find_launch(moonraker, account.home, self._root)
        folder = absolute(data_path) if data_path else launch.data_path
        _check_folder(folder)
        installation = find_installation([folder], None, name, accounts=self._accounts, scripts=self._scripts)
        return self._situation(installation, moonraker, launch)

    def _account(self) -> Account:
        account = self._accounts.own()
        if account.user_id == 0:
            raise InstallError(
                "Call this as the user whom Moonraker runs as, not as root: it calls sudo where it must"
            )
        return account

    def _situation(self, installation: Installation, moonraker: Service, launch: Launch) -> Situation:
        (data_path,) = installation.data_paths
        listener = self._live(data_path)
        configuration = configured(data_path)
        return Situation(
            installation,
            data_path,
            moonraker,
            find_service(self._commands, installation.unit),
            None if _is_same(launch.data_path, data_path) else launch.data_path,
            _unread(launch, configuration),
            configuration,
            _imported(data_path),
            listener,
            self._print_state(local_socket(data_path)) if listener is not None else None,
            _earlier(data_path),
            [(file, self._standing(file, data_path)) for file in files_of(installation)],
            self._free(data_path / "database"),
            2 * _size(data_path / "database" / SOURCE) + ROOM,
        )

    def _standing(self, file: SystemFile, data_path: Path) -> Standing:
        """Judge what is in a file's place; a unit of ours for other printers is somebody else's."""
        present = self._system.present(file.path)
        found = standing(file, present)
        is_unit = _PATH_OPTION in file.text
        if found is Standing.OURS and is_unit and not _serves_just(data_path, str(present)):
            return Standing.FOREIGN
        return found

    def _live(self, data_path: Path) -> Listener | None:
        try:
            return self._listener(local_socket(data_path))
        except OSError:
            return None


def _serves_just(data_path: Path, unit: str) -> bool:
    return unit.count(_PATH_OPTION) == 1 and f"{_PATH_OPTION}{quoted(str(data_path))}\n" in unit


def _check_folder(folder: Path) -> None:
    missing = [name for name in ("config", "database") if not (folder / name).is_dir()]
    if missing:
        raise InstallError(
            f"{folder} isn't a printer's data folder: it has no folder {' and no folder '.join(missing)}. "
            "Say which it is by --data-path"
        )


def _unread(launch: Launch, configuration: Configured) -> Path | None:
    """Return the configuration that Moonraker is told to read, if ours doesn't stand for it."""
    theirs, ours = launch.config_path, configuration.path
    if theirs is None or (ours is not None and (ours.name == OWN_CONFIGURATION or _is_same(theirs, ours))):
        return None
    return theirs


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _imported(data_path: Path) -> Imported | str:
    try:
        return preview(data_path)
    except (NoImport, StorageError) as problem:
        return str(problem)


def _earlier(data_path: Path) -> list[Path]:
    path = path_in(data_path)
    files = [path.with_name(path.name + ending) for ending in _DATABASE_ENDINGS]
    return [file for file in files if file.exists()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
