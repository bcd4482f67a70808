"""Which installation a program belongs to."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import PI, ROOT, FakeAccounts
from txraker.install.errors import InstallError
from txraker.install.installation import (
    Account,
    Accounts,
    Installation,
    allowed_services,
    find_installation,
)
from txraker.system.services import DEFAULT_ALLOWED


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Make the programs of a venv."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "twistd").touch()
    return folder


def test_found(scripts: Path) -> None:
    """The installation is that of the user who runs this, with the groups that help."""
    found = find_installation(accounts=FakeAccounts(), scripts=scripts)
    assert found == Installation(
        "txraker", "pi", "pi", ("dialout", "video"), scripts / "twistd", (Path("/home/pi/printer_data"),)
    )
    assert found.unit == "txraker.service"


def test_data_paths(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data paths are made absolute, with a home folder put in; one that is given twice counts once."""
    monkeypatch.setenv("HOME", "/home/pi")
    monkeypatch.chdir(scripts)
    found = find_installation(["~/a", "b", "/home/pi/a"], accounts=FakeAccounts(), scripts=scripts)
    assert found.data_paths == (Path("/home/pi/a"), scripts / "b")


def test_root_is_refused(scripts: Path) -> None:
    """Root has to say whom the server is to run as, which may be root."""
    with pytest.raises(InstallError, match="--user"):
        find_installation(accounts=FakeAccounts([ROOT]), scripts=scripts)
    accounts = FakeAccounts([ROOT, PI])
    assert find_installation(user="pi", accounts=accounts, scripts=scripts).user == "pi"
    assert find_installation(user="root", accounts=accounts, scripts=scripts).user == "root"


def test_no_such_user(scripts: Path) -> None:
    """A user who doesn't exist is named."""
    with pytest.raises(InstallError, match="There is no user 'nope'"):
        find_installation(user="nope", accounts=FakeAccounts(), scripts=scripts)


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", ".x", "a/b", "a\n", "ü", "x@", "a" * 300, "a'b"])
def test_bad_names(scripts: Path, name: str) -> None:
    """A name that no unit of ours may have is refused."""
    with pytest.raises(InstallError, match="can't be a unit's name"):
        find_installation(name=name, accounts=FakeAccounts(), scripts=scripts)


def test_no_twistd(tmp_path: Path) -> None:
    """A venv without twistd is none of ours."""
    with pytest.raises(InstallError, match=f"There is no {tmp_path}/twistd"):
        find_installation(accounts=FakeAccounts(), scripts=tmp_path)


@pytest.mark.parametrize("name", ['a"b', "a'b", "a\\b", "a\tb"])
def test_venv_that_systemd_cant_run(tmp_path: Path, name: str) -> None:
    """A venv whose path systemd refuses is said to be one."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "twistd").touch()
    with pytest.raises(InstallError, match="systemd can't run"):
        find_installation(accounts=FakeAccounts(), scripts=tmp_path / name)


@pytest.mark.parametrize(
    ("text", "uses_sudo"),
    [
        ("[machine]\nprovider: systemd_cli\n", True),
        ("[machine]\nsudo_password: x\n", True),
        ("[machine]\nprovider: systemd_dbus\n", False),
        ("[machine]\nprovider: nonsense\n", False),
        ("[machine\n", False),
    ],
)
def test_sudo(scripts: Path, tmp_path: Path, text: str, uses_sudo: bool) -> None:
    """sudo is used where a configuration asks for it; one that can't be used doesn't ask for anything."""
    config = tmp_path / "data" / "config"
    config.mkdir(parents=True)
    (config / "moonraker.conf").write_text(text)
    paths = [tmp_path / "empty", tmp_path / "data"]
    assert find_installation(paths, accounts=FakeAccounts(), scripts=scripts).uses_sudo is uses_sudo


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("0.0.0.0", False),
        ("::", False),
        ("all", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("192.0.2.7", True),
        ("fe80::1%eth0", True),
        ("printer.local", True),
    ],
)
def test_network(scripts: Path, tmp_path: Path, host: str, needed: bool) -> None:
    """An address that one interface has isn't there before the network is."""
    config = tmp_path / "data" / "config"
    config.mkdir(parents=True)
    (config / "moonraker.conf").write_text(f"[server]\nhost: {host}\n")
    paths = [tmp_path / "empty", tmp_path / "data"]
    assert find_installation(paths, accounts=FakeAccounts(), scripts=scripts).needs_network is needed


def test_allowed_services(tmp_path: Path) -> None:
    """Services are those of all data paths; a list that isn't there yet will be the default one."""
    for name, text in (("a", "crowsnest\n# no\nwebcamd.service\n"), ("b", "crowsnest\nx y\nsonar\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "moonraker.asvc").write_text(text)
    (tmp_path / "c" / "moonraker.asvc").mkdir(parents=True)
    paths = [tmp_path / name for name in "abc"]
    assert allowed_services(paths) == ("crowsnest", "webcamd", "sonar")
    assert allowed_services([tmp_path / "new"]) == DEFAULT_ALLOWED


def test_real_accounts() -> None:
    """The machine's own users are found, with their groups."""
    own = Accounts().own()
    assert own == Accounts().named(getpass.getuser())
    assert own.user_id == os.geteuid()
    assert own.group in own.groups
    with pytest.raises(InstallError):
        Accounts().named("no such user")


def test_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id without a name, as in containers, is told instead of breaking down."""
    monkeypatch.setattr("os.geteuid", lambda: 3_999_999)
    with pytest.raises(InstallError, match="3999999 has no name"):
        Accounts().own()


def test_groups_keep_to_the_user(scripts: Path) -> None:
    """The main group isn't named again, and groups that the user isn't in aren't at all."""
    account: Account = evolve(PI, group="dialout", groups=("dialout", "tty"))
    assert find_installation(accounts=FakeAccounts([account]), scripts=scripts).groups == ("tty",)
