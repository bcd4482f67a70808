"""What is in the way of a migration."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import ROOT, FakeAccounts
from tests.install.migration.bench import Machine
from txraker.install.errors import InstallError
from txraker.install.migration.live import UNKNOWN
from txraker.install.migration.plan import refusals
from txraker.install.migration.situation import Lookout
from txraker.install.system_files import SystemFiles
from txraker.install.unit import unit_text
from txraker.system.listener import Listener


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Make a machine with a Moonraker."""
    return Machine(tmp_path)


def the_refusal(machine: Machine) -> str:
    """Return the only thing that is in the way."""
    (reason,) = refusals(machine.look())
    return reason


def test_nothing(machine: Machine) -> None:
    """A Moonraker as it should be isn't in its own way, running or not."""
    assert refusals(machine.look()) == []
    machine.listener = Listener(812)
    assert refusals(machine.look()) == []
    machine.listener = None
    machine.tell("moonraker", ActiveState="inactive", MainPID="0")
    assert refusals(machine.look()) == []


def test_root(machine: Machine) -> None:
    """Root is told to be somebody else, before anything is looked at."""
    lookout = Lookout(machine.commands, SystemFiles(machine.commands), FakeAccounts([ROOT]))
    with pytest.raises(InstallError, match="not as root: it calls sudo where it must"):
        lookout.look(None, "moonraker", "txraker")
    assert machine.commands.ran == []


def test_unknown_service(machine: Machine) -> None:
    """A service that isn't there is told, with what to do without."""
    machine.tell("moonraker", LoadState="not-found")
    with pytest.raises(InstallError, match=r"There is no moonraker\.service on this machine.*--service"):
        machine.look()


def test_no_data_path(machine: Machine) -> None:
    """A folder that holds no printer's data isn't one."""
    (machine.data / "config").rename(machine.data / "elsewhere")
    with pytest.raises(InstallError, match="isn't a printer's data folder: it has no folder config"):
        machine.look()
    with pytest.raises(InstallError, match="no folder config and no folder database"):
        machine.lookout().look("/nowhere", "moonraker", "txraker")


def test_other_data_path(machine: Machine) -> None:
    """A Moonraker that serves another printer is told; one that is reached by a link isn't another."""
    link = machine.root / "link"
    link.symlink_to(machine.data)
    assert refusals(machine.lookout().look(str(link), "moonraker", "txraker")) == []
    other = machine.root / "other"
    machine.tell("moonraker", Environment=f"MOONRAKER_DATA_PATH={other}")
    (reason,) = refusals(machine.lookout().look(str(machine.data), "moonraker", "txraker"))
    assert reason.startswith(f"moonraker.service serves {other}, not {machine.data}: leave out --data-path")


def test_other_user(machine: Machine) -> None:
    """Somebody else's Moonraker is to be moved by somebody else."""
    machine.tell("moonraker", User="")
    assert the_refusal(machine) == (
        "moonraker.service runs as root, which txraker doesn't: let Moonraker run as pi first, by User= in "
        "its unit, and own its files: sudo systemctl edit moonraker.service"
    )
    machine.tell("moonraker", User="anna")
    assert "call this as anna" in the_refusal(machine)


def test_masked(machine: Machine) -> None:
    """Of a service that is masked nobody knows how it is started, or could start it on the way back."""
    machine.tell("moonraker", LoadState="masked", ActiveState="inactive", UnitFileState="masked", User="")
    assert the_refusal(machine) == "moonraker.service is masked: sudo systemctl unmask moonraker.service"


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        (Listener(7), "process 7. Stop it first: kill 7"),
        (Listener(7, "a.service"), "process 7 (a.service). Stop it first: sudo systemctl stop a.service"),
        (
            Listener(7, "a;b.service"),
            "process 7 (a;b.service). Stop it first: sudo systemctl stop 'a;b.service'",
        ),
    ],
)
def test_other_server(machine: Machine, listener: Listener, told: str) -> None:
    """A server for the data path that isn't the service's is named, with what ends it."""
    machine.listener = listener
    assert the_refusal(machine).endswith(f"runs that isn't moonraker.service: {told}")


def test_unknown_server(machine: Machine) -> None:
    """A server whose process can't be seen is no less in the way when Moonraker's service doesn't run."""
    machine.listener = Listener(0)
    machine.tell("moonraker", ActiveState="inactive", MainPID="0")
    assert "another program" in the_refusal(machine)
    assert "kill" not in the_refusal(machine)


@pytest.mark.parametrize("state", ["printing", "paused"])
def test_print(machine: Machine, state: str) -> None:
    """A print is waited for, also one that is paused."""
    machine.print_state = state
    assert the_refusal(machine) == f"The printer is {state}: wait until the print has ended"


def test_silent_server(machine: Machine) -> None:
    """A Moonraker that is too busy to answer may be printing."""
    machine.print_state = UNKNOWN
    assert the_refusal(machine) == (
        "moonraker.service doesn't say whether the printer prints. Call this again, or, if you know that it "
        "doesn't, stop it first: sudo systemctl stop moonraker.service"
    )


def test_own_service_runs(machine: Machine) -> None:
    """Our service isn't taken from a printer that it serves."""
    machine.tell("txraker")
    assert the_refusal(machine).startswith("txraker.service runs already. If it serves another printer")


def test_moved_already(machine: Machine) -> None:
    """Who has moved in already isn't told to stop the printer's server, but how to go back."""
    machine.tell("txraker")
    machine.tell("moonraker", ActiveState="inactive", MainPID="0")
    machine.listener = Listener(7, "txraker.service")
    assert the_refusal(machine) == (
        f"txraker.service serves {machine.data} already. To migrate once more, go back to Moonraker before: "
        "sudo systemctl disable --now txraker; sudo systemctl enable --now moonraker"
    )


def test_foreign_unit(machine: Machine) -> None:
    """A unit of our name that somebody else has made stays."""
    path = machine.root / "etc" / "systemd" / "system" / "txraker.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\n")
    assert "isn't this printer's: choose another name by --name" in the_refusal(machine)


@pytest.mark.parametrize(
    ("paths", "refused"),
    [(["{data}"], False), (["/srv/other"], True), (["{data}", "/srv/other"], True), (["{data}-2"], True)],
)
def test_own_unit(machine: Machine, paths: list[str], refused: bool) -> None:
    """A unit of ours is replaced if it serves this printer, and no other one."""
    installation = evolve(
        machine.look().installation,
        data_paths=tuple(Path(path.format(data=machine.data)) for path in paths),
        groups=("of long ago",),
    )
    path = machine.root / "etc" / "systemd" / "system" / "txraker.service"
    path.parent.mkdir(parents=True)
    path.write_text(unit_text(installation))
    assert bool(refusals(machine.look())) is refused


def test_configuration(machine: Machine) -> None:
    """A configuration that the server would refuse is told with the reason."""
    machine.configuration.write_text("[server]\nport: many\n")
    assert the_refusal(machine).startswith("txraker can't use the configuration, and would not start: ")
    assert "port" in the_refusal(machine)
    machine.configuration.unlink()
    assert the_refusal(machine) == f"There is no configuration in {machine.data / 'config'}"


def test_configuration_elsewhere(machine: Machine) -> None:
    """A configuration that Moonraker is told to read is the one that we read, or a reason with what helps."""
    machine.tell("moonraker", Environment=f"MOONRAKER_CONFIG_PATH={machine.configuration}")
    assert refusals(machine.look()) == []
    elsewhere = machine.root / "else where" / "m.conf"
    (elsewhere.parent / "more").mkdir(parents=True)
    elsewhere.write_text("[include more/*.conf]\n")
    (elsewhere.parent / "more" / "cameras.conf").write_text("[webcam front]\nstream_url: /x\n")
    machine.tell("moonraker", Environment=f'"MOONRAKER_CONFIG_PATH={elsewhere}"')
    said, _, command = the_refusal(machine).partition(", which txraker wouldn't: ")
    assert said == f"Moonraker reads {elsewhere}"
    subprocess.run(["sh", "-c", command], check=True)
    assert refusals(machine.look()) == []
    assert "webcam front" in machine.look().configuration.used


def test_database(machine: Machine) -> None:
    """A database that can't be taken over is told with the reason, and so is one of long ago."""
    file = machine.data / "database" / "moonraker-sql.db"
    file.write_bytes(b"no database" * 100)
    assert the_refusal(machine).startswith(f"Moonraker's database can't be taken over: {file}: ")
    file.unlink()
    (machine.data / "database" / "data.mdb").touch()
    assert "a Moonraker before 0.9.0: start a newer one" in the_refusal(machine)


def test_disk(machine: Machine) -> None:
    """A disk that is too full for copies is told in figures."""
    machine.free = 1024 * 1024
    assert "1 MB are free, 32 MB are needed. What takes the most: du -xh " in the_refusal(machine)
