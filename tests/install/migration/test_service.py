"""A service as systemd tells of it, and how it starts Moonraker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.fakes import FakeCommands
from txraker.install.commands import Outcome
from txraker.install.errors import InstallError
from txraker.install.migration.launch import Launch
from txraker.install.migration.service import Service, find_launch, find_service

HOME = Path("/home/pi")
SHOWN = """\
MainPID=812
ExecStart={ path=/e/python ; argv[]=/e/python $MOONRAKER_ARGS ; ignore_errors=no ; pid=812 }
Environment=LANG=C "MOONRAKER_ARGS=-m moonraker -d /srv/unit"
WorkingDirectory=/home/pi/moonraker
User=pi
LoadState=loaded
ActiveState=active
UnitFileState=enabled
EnvironmentFiles=/srv/one.env (ignore_errors=no)
EnvironmentFiles=/srv/none.env (ignore_errors=yes)
"""


def found(shown: str = SHOWN) -> Service:
    """Return the service that systemd would tell of."""
    return find_service(FakeCommands({"systemctl show": Outcome(0, shown)}), "moonraker")


def process(root: Path, words: bytes, environment: bytes) -> None:
    """Let the service's process be there."""
    folder = root / "proc" / "812"
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(words)
    (folder / "environ").write_bytes(environment)


def test_service() -> None:
    """What systemd tells is understood."""
    service = found()
    assert (service.unit, service.name, service.user) == ("moonraker.service", "moonraker", "pi")
    assert (service.is_known, service.is_active, service.is_enabled) == (True, True, True)
    assert service.process_id == 812


@pytest.mark.parametrize(
    ("shown", "known", "active", "enabled"),
    [
        ("LoadState=not-found\nActiveState=inactive\nUnitFileState=\n", False, False, False),
        ("LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n", True, False, False),
        ("LoadState=loaded\nActiveState=activating\nUnitFileState=static\n", True, True, False),
        ("LoadState=loaded\nActiveState=failed\nUnitFileState=enabled-runtime\n", True, False, True),
        ("", False, False, False),
    ],
)
def test_states(shown: str, known: bool, active: bool, enabled: bool) -> None:
    """A service that is just restarted runs; one that nobody knows does nothing."""
    service = found(shown)
    assert (service.is_known, service.is_active, service.is_enabled) == (known, active, enabled)
    assert (service.user, service.process_id) == ("root", 0)


def test_no_systemd() -> None:
    """Where systemd can't be asked, that is the answer."""
    with pytest.raises(InstallError, match=r"can't be asked for moonraker\.service: systemctl is not"):
        find_service(FakeCommands(), "moonraker.service")


def test_running(tmp_path: Path) -> None:
    """What the process was started with comes before what the unit says by now."""
    process(tmp_path, b"/e/python\0-m\0moonraker\0", b"A=b\0MOONRAKER_DATA_PATH=/srv/a b\0\xff\0")
    assert find_launch(found(), HOME, tmp_path) == Launch(Path("/srv/a b"))


def test_stopped(tmp_path: Path) -> None:
    """Without a process, the unit and its environment files tell; the files have the last word."""
    assert find_launch(found(), HOME, tmp_path) == Launch(Path("/srv/unit"))
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "one.env").write_text('MOONRAKER_ARGS="-m moonraker -d data -c m.conf"\n')
    expected = Launch(Path("/home/pi/moonraker/data"), Path("/home/pi/moonraker/m.conf"))
    assert find_launch(found(), HOME, tmp_path) == expected


@pytest.mark.parametrize("folder", ["~", "", "!/home/pi", "-/home/pi"])
def test_folders(tmp_path: Path, folder: str) -> None:
    """A unit without a folder starts in the root folder; signs before it are systemd's."""
    shown = SHOWN.replace("WorkingDirectory=/home/pi/moonraker", f"WorkingDirectory={folder}")
    launch = find_launch(found(shown.replace("/srv/unit", "data")), HOME, tmp_path)
    assert launch.data_path == Path("/data" if not folder else "/home/pi/data")


def test_empty_process(tmp_path: Path) -> None:
    """A process that is just ending, and has no words any more, tells nothing."""
    process(tmp_path, b"", b"")
    assert find_launch(found(), HOME, tmp_path) == Launch(Path("/srv/unit"))


def test_odd_environment(tmp_path: Path) -> None:
    """An environment with an open quote is taken word by word."""
    shown = SHOWN.replace('"MOONRAKER_ARGS=-m moonraker -d /srv/unit"', 'A="x MOONRAKER_DATA_PATH=/srv/x')
    assert find_launch(found(shown), HOME, tmp_path) == Launch(Path("/srv/x"))
