"""The clock, the bus, units and rules, and Moonrakers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import INSTALLATION, FakeCommands
from txraker.config.options import MachineOptions
from txraker.install.commands import Outcome
from txraker.install.doctor.bus import BusFacts, bus_findings, read_bus
from txraker.install.doctor.clock import ClockFacts, clock_findings, read_clock
from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.install.doctor.services import (
    InstalledFile,
    UnitFacts,
    file_findings,
    moonraker_findings,
    read_file,
    read_moonrakers,
    read_unit,
    unit_findings,
)
from txraker.install.system_files import Standing, SystemFile, files_of
from txraker.install.unit_command import own_words

NOW = datetime(2026, 12, 1, 12)
WRITE = own_words(INSTALLATION, "--write")


@pytest.mark.parametrize(
    ("output", "is_synchronized"),
    [("NTPSynchronized=yes\n", True), ("NTPSynchronized=no\n", False), ("", None), (None, None)],
)
def test_clock_is_read(output: str | None, is_synchronized: bool | None) -> None:
    """What systemd says of the clock is read, if it says anything."""
    commands = FakeCommands({} if output is None else {"timedatectl show": Outcome(0, output)})
    assert read_clock(NOW, commands) == ClockFacts(NOW, is_synchronized)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (ClockFacts(NOW, is_synchronized=True), "good"),
        (ClockFacts(NOW, is_synchronized=False), "warning"),
        (ClockFacts(NOW, is_synchronized=None), "unknown"),
        (ClockFacts(datetime(1970, 1, 1), is_synchronized=True), "bad"),
    ],
)
def test_clock(facts: ClockFacts, level: str) -> None:
    """A clock that nobody sets is warned of, and one that is years late is bad."""
    (finding,) = clock_findings(facts)
    assert finding.level == level
    assert (finding.mend == "sudo timedatectl set-ntp true") == (level in ("warning", "bad"))


NAMES = frozenset({"org.freedesktop.systemd1", "org.freedesktop.PolicyKit1", "org.freedesktop.login1"})
BUS = BusFacts("systemd_dbus", "unix:path=/bus", NAMES)


def judged_bus(facts: BusFacts) -> list[Finding]:
    """Return what is found of the bus."""
    return list(bus_findings(facts, INSTALLATION))


def test_bus_is_read() -> None:
    """Names that are there and names that can be started count."""
    call = "busctl --address=unix:path=/bus --timeout=5 call org.freedesktop.DBus /org/freedesktop/DBus"
    commands = FakeCommands(
        {
            f"{call} org.freedesktop.DBus ListNames": Outcome(0, 'as 2 ":1.0" "org.freedesktop.systemd1"\n'),
            f"{call} org.freedesktop.DBus ListActivatableNames": Outcome(0, 'as 1 "b"\n'),
        }
    )
    options = MachineOptions(dbus_address="unix:path=/bus")
    assert read_bus(options, {}, commands).names == frozenset({":1.0", "org.freedesktop.systemd1", "b"})


@pytest.mark.parametrize(
    ("options", "environment", "address"),
    [
        (MachineOptions(dbus_address="a:"), {"DBUS_SYSTEM_BUS_ADDRESS": "b:"}, "a:"),
        (MachineOptions(), {"DBUS_SYSTEM_BUS_ADDRESS": "b:"}, "b:"),
        (MachineOptions(), {}, "unix:path=/run/dbus/system_bus_socket"),
    ],
)
def test_address(options: MachineOptions, environment: dict[str, str], address: str) -> None:
    """The bus is the one that the server will use."""
    commands = FakeCommands({"busctl": Outcome(1, errors="Failed to connect\n")})
    facts = read_bus(options, environment, commands)
    assert (facts.address, facts.names, facts.problem) == (address, None, "Failed to connect")
    assert f"--address={address}" in commands.ran[0]


def test_bus() -> None:
    """A bus with all that is needed is as it should be."""
    assert judged_bus(BUS) == [good("The system bus is there, with systemd and PolicyKit on it")]


@pytest.mark.parametrize(
    ("missing", "mend"),
    [
        ("systemd1", None),
        ("PolicyKit1", "sudo apt install polkitd"),
        ("login1", "sudo systemctl start systemd-logind"),
    ],
)
def test_missing_on_the_bus(missing: str, mend: str | None) -> None:
    """What is missing on the bus is told first."""
    finding = judged_bus(evolve(BUS, names=NAMES - {f"org.freedesktop.{missing}"}))[0]
    assert (finding.level, finding.mend) == ("warning", mend)


def test_no_bus() -> None:
    """Without a bus services can't be managed; without busctl nobody knows."""
    assert judged_bus(evolve(BUS, names=None, problem="no")) == [
        warning(
            "The system bus can't be reached, so services and power can't be managed: no",
            "sudo apt install dbus && sudo systemctl start dbus.socket",
        )
    ]
    facts = read_bus(MachineOptions(), {}, FakeCommands())
    assert judged_bus(facts) == [
        unknown("The system bus can't be looked at: busctl is not installed", "sudo apt install systemd")
    ]


@pytest.mark.parametrize(
    ("options", "answer", "finding"),
    [
        (MachineOptions(provider="none"), None, good("Services aren't managed: [machine] provider is none")),
        (
            MachineOptions(provider="systemd_cli"),
            Outcome(0),
            good("Services are managed by sudo, which works or has a password"),
        ),
        (
            MachineOptions(provider="systemd_cli", sudo_password="s3cret"),
            None,
            good("Services are managed by sudo, which works or has a password"),
        ),
        (
            MachineOptions(provider="systemd_cli"),
            Outcome(1, errors="sudo: a password is required\n"),
            bad(
                "Services are to be managed by sudo, which doesn't work: sudo: a password is required",
                "echo 'pi ALL=(root) NOPASSWD: /usr/bin/systemctl' | sudo tee /etc/sudoers.d/txraker",
            ),
        ),
    ],
)
def test_other_providers(options: MachineOptions, answer: Outcome | None, finding: Finding) -> None:
    """Without the bus, sudo is looked at, or nothing."""
    commands = FakeCommands({} if answer is None else {"sudo -n -- systemctl --version": answer})
    assert judged_bus(read_bus(options, {}, commands)) == [finding]


def test_sudo_rule_is_read() -> None:
    """The file of the rule has a name that sudo doesn't skip, as it does those with dots."""
    facts = BusFacts("systemd_cli", "", sudo="no")
    (finding,) = bus_findings(facts, evolve(INSTALLATION, name="txraker.left"))
    assert str(finding.mend).endswith(" /etc/sudoers.d/txraker-left")


FILE = SystemFile(Path("/etc/systemd/system/txraker.service"), files_of(INSTALLATION)[0].text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FILE.text, Standing.SAME),
        (FILE.text + "#\n", Standing.OURS),
        ("[Unit]\n", Standing.FOREIGN),
        (None, Standing.ABSENT),
    ],
)
def test_file_is_read(tmp_path: Path, text: str | None, expected: Standing) -> None:
    """A file of ours is compared with what it should be."""
    path = tmp_path / "etc/systemd/system/txraker.service"
    path.parent.mkdir(parents=True)
    if text is not None:
        path.write_text(text)
    assert read_file(FILE, tmp_path) == InstalledFile(FILE, expected)


def test_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A file that can't be read is unknown."""
    (tmp_path / "etc/systemd/system/txraker.service").mkdir(parents=True)
    assert read_file(FILE, tmp_path) == InstalledFile(FILE, None)


@pytest.mark.parametrize(
    ("standing", "level"),
    [
        (Standing.SAME, "good"),
        (Standing.ABSENT, "warning"),
        (Standing.OURS, "warning"),
        (Standing.FOREIGN, "warning"),
        (None, "unknown"),
    ],
)
def test_file(standing: Standing | None, level: str) -> None:
    """A file that isn't as it should be is mended by ``txraker unit --write``."""
    (finding,) = file_findings("unit", InstalledFile(FILE, standing), INSTALLATION)
    assert finding.level == level
    assert finding.mend == (None if level == "good" else WRITE)


def shown(name: str, load: str, file: str, active: str, reload: str = "no") -> Outcome:
    """Return what systemctl says of a unit."""
    return Outcome(
        0,
        f"Id={name}\nLoadState={load}\nActiveState={active}\nSubState=x\n"
        f"UnitFileState={file}\nNeedDaemonReload={reload}\n",
    )


def test_unit_is_read() -> None:
    """A unit's state is read from systemctl's words."""
    commands = FakeCommands({"systemctl show": shown("a.service", "loaded", "enabled", "active", "yes")})
    assert read_unit("a.service", commands) == UnitFacts(
        "a.service", is_there=True, is_enabled=True, active_state="active", needs_reload=True
    )
    commands.answers["systemctl show"] = shown("a.service", "not-found", "", "inactive")
    assert read_unit("a.service", commands) == UnitFacts("a.service", active_state="inactive")
    assert read_unit("a.service", FakeCommands()).problem == "systemctl is not installed"


RUNNING = UnitFacts("txraker.service", is_there=True, is_enabled=True, active_state="active")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (RUNNING, [good("txraker.service runs")]),
        (evolve(RUNNING, is_there=False), []),
        (evolve(RUNNING, problem="no"), [unknown("systemd can't be asked: no")]),
        (
            evolve(RUNNING, is_enabled=False, active_state="inactive"),
            [
                warning("txraker.service won't start with the machine", "sudo systemctl enable txraker"),
                warning("txraker.service doesn't run", "sudo systemctl start txraker"),
            ],
        ),
        (
            evolve(RUNNING, needs_reload=True, active_state="failed"),
            [
                warning("systemd hasn't read txraker.service as it is now", "sudo systemctl daemon-reload"),
                bad(
                    "txraker.service has failed; the command shows why",
                    "sudo journalctl -u txraker -n 50 --no-pager",
                ),
            ],
        ),
    ],
)
def test_unit(facts: UnitFacts, expected: list[Finding]) -> None:
    """A unit that isn't enabled, doesn't run or has failed is told."""
    assert list(unit_findings(facts, INSTALLATION)) == expected


def test_moonrakers_are_found() -> None:
    """Moonrakers are found by their units' names, and what only is named like them isn't."""
    listed = "moonraker.service enabled enabled\nmoonraker-2.service disabled enabled\n"
    listed += "moonraker-obico.service enabled enabled\nmoonraker@.service disabled enabled\n"
    commands = FakeCommands(
        {
            "systemctl --no-legend": Outcome(0, listed),
            "systemctl show": shown("moonraker.service", "loaded", "enabled", "inactive"),
        }
    )
    assert [unit.name for unit in read_moonrakers(commands) or ()] == [
        "moonraker.service",
        "moonraker-2.service",
    ]
    assert read_moonrakers(FakeCommands({"systemctl": Outcome(1)})) == ()
    assert read_moonrakers(FakeCommands()) is None


def test_moonrakers() -> None:
    """A Moonraker that is enabled is warned of, and of one that runs we say how to move in."""
    enabled = UnitFacts("moonraker.service", is_there=True, is_enabled=True, active_state="inactive")
    off = evolve(enabled, name="moonraker-2.service", is_enabled=False)
    (finding,) = moonraker_findings([enabled, off], INSTALLATION)
    assert finding == warning(
        "moonraker.service is enabled: on the same data path or port it is in txraker's way",
        "sudo systemctl disable moonraker.service",
    )
    (finding,) = moonraker_findings([evolve(enabled, active_state="active")], INSTALLATION)
    assert finding.mend == "/home/pi/env/bin/txraker migrate --dry-run"
    assert finding.says.startswith("moonraker.service is enabled and running:")
    for unseen in (None, [off, evolve(off, problem="no")]):
        (finding,) = moonraker_findings(unseen, INSTALLATION)
        assert finding.level == "unknown"
    assert list(moonraker_findings([off], INSTALLATION)) == [good("No Moonraker is enabled or running")]
