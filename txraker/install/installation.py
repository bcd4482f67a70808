"""One txraker on this machine: who runs it, from which venv, for which printers."""

from __future__ import annotations

import grp
import os
import pwd
import re
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

from attrs import field, frozen

from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.config.options import MachineOptions, ServerOptions
from txraker.config.schema import SchemaT
from txraker.install.errors import InstallError
from txraker.system.services import DEFAULT_ALLOWED, parse_allowed

DEFAULT_NAME: Final = "txraker"
DEFAULT_DATA_FOLDER: Final = "printer_data"

HELPFUL_GROUPS: Final = (
    "dialout",
    "gpio",
    "i2c",
    "input",
    "plugdev",
    "render",
    "spi",
    "tty",
    "video",
)
"""Groups that a printer's hardware belongs to, as Debian and Raspberry Pi OS name them."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_ALLOWED_FILE: Final = "moonraker.asvc"


@frozen
class Account:
    """A user of this machine; ``groups`` are the names of all groups the user is in."""

    user: str
    user_id: int
    group: str
    groups: tuple[str, ...]
    home: Path


class IAccounts(Protocol):
    """Knows the users of this machine."""

    def named(self, user: str) -> Account:
        """Return a user. Raises InstallError when there is none of the name."""

    def own(self) -> Account:
        """Return the user who runs this. Raises InstallError when the user has no name."""


@frozen
class Accounts:
    """Provides IAccounts, by the system's own databases."""

    def named(self, user: str) -> Account:
        try:
            return _account(pwd.getpwnam(user))
        except KeyError:
            raise InstallError(f"There is no user {user!r} on this machine") from None

    def own(self) -> Account:
        number = os.geteuid()
        try:
            return _account(pwd.getpwuid(number))
        except KeyError:
            raise InstallError(f"The user with the id {number} has no name: say whom by --user") from None


@frozen
class Installation:
    """One txraker: its unit's name without ``.service``, whom it runs as, and what it serves.

    ``groups`` are the helpful groups the user is in, ``twistd`` is the program of the venv. ``uses_sudo``
    says that a configuration asks for commands by sudo, which the unit must then leave possible, and
    ``needs_network`` that one names an address to listen on which isn't there before the network is.
    """

    name: str
    user: str
    group: str
    groups: tuple[str, ...]
    twistd: Path
    data_paths: tuple[Path, ...]
    uses_sudo: bool = field(default=False, kw_only=True)
    needs_network: bool = field(default=False, kw_only=True)

    @property
    def unit(self) -> str:
        """The name of its unit."""
        return f"{self.name}.service"


def find_installation(
    data_paths: Sequence[Path | str] = (),
    user: str | None = None,
    name: str = DEFAULT_NAME,
    *,
    accounts: IAccounts | None = None,
    scripts: Path | None = None,
) -> Installation:
    """Return the installation that this very program belongs to.

    ``data_paths`` are, if none are given, ``printer_data`` in the user's home; the user is whoever runs this
    unless named. ``scripts`` is the folder of the venv's programs. Raises InstallError for root unless named,
    for users who don't exist, names that no unit can have, and without ``twistd``.
    """
    if not _NAME.fullmatch(name):
        raise InstallError(f"{name!r} can't be a unit's name: letters, digits, '-', '_' and '.' can")
    account = _account_of(user, accounts or Accounts())
    program = (scripts or Path(sysconfig.get_path("scripts"))) / "twistd"
    if not program.exists():
        raise InstallError(f"There is no {program}: install txraker into its venv again")
    if not str(program).isprintable() or set(str(program)) & set("'\"\\"):
        raise InstallError(f"systemd can't run {str(program)!r}: make a venv with a plainer path")
    paths = tuple(absolute(path) for path in data_paths) or (account.home / DEFAULT_DATA_FOLDER,)
    return Installation(
        name,
        account.user,
        account.group,
        tuple(group for group in HELPFUL_GROUPS if group in account.groups and group != account.group),
        program,
        tuple(dict.fromkeys(paths)),
        uses_sudo=any(map(_uses_sudo, paths)),
        needs_network=any(map(_needs_network, paths)),
    )


def allowed_services(data_paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the services that the ``moonraker.asvc`` of data paths name, in order.

    A file that isn't there yet will be made with what Moonraker's has at first; one that can't be read
    allows nothing.
    """
    found: list[str] = []
    for data_path in data_paths:
        try:
            text = (data_path / _ALLOWED_FILE).read_text(errors="replace")
        except FileNotFoundError:
            found += DEFAULT_ALLOWED
        except OSError:
            continue
        else:
            found += parse_allowed(text)
    return tuple(dict.fromkeys(found))


def absolute(path: Path | str) -> Path:
    """Return a path as a person gives it from the root on; ``~`` is a home folder."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def _account_of(user: str | None, accounts: IAccounts) -> Account:
    if user is not None:
        return accounts.named(user)
    own = accounts.own()
    if own.user_id == 0:
        raise InstallError(
            "txraker shouldn't run as root: call this as the user of the printer, or say whom by --user"
        )
    return own


def _account(entry: pwd.struct_passwd) -> Account:
    numbers = {entry.pw_gid}
    with suppress(OSError):
        numbers.update(os.getgrouplist(entry.pw_name, entry.pw_gid))
    names = {number: _group_name(number) for number in sorted(numbers)}
    return Account(
        entry.pw_name, entry.pw_uid, names[entry.pw_gid], tuple(names.values()), Path(entry.pw_dir)
    )


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _uses_sudo(data_path: Path) -> bool:
    """Say whether a printer's configuration asks for sudo."""
    options = _options(data_path, "machine", MachineOptions)
    return options.provider == "systemd_cli" or options.sudo_password is not None


def _needs_network(data_path: Path) -> bool:
    """Say whether a printer's configuration names an address of an interface, or a name that may be one."""
    host = _options(data_path, "server", ServerOptions).host
    try:
        address = ip_address(host)
    except ValueError:
        return host not in ("all", "localhost")
    return not (address.is_unspecified or address.is_loopback)


def _options(data_path: Path, section: str, schema: type[SchemaT]) -> SchemaT:
    """Return a section of a printer's configuration; one that can't be read asks for nothing."""
    try:
        return load(data_path, None).read(section, schema)
    except ConfigError:
        return schema()
