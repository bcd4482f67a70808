"""All checks together, on a machine that is a folder."""

from __future__ import annotations

import errno
from datetime import datetime
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import INSTALLATION, FakeCommands
from txraker.install.doctor.checkup import Checkup, Facts, findings
from txraker.install.doctor.command import tell
from txraker.install.doctor.finding import bad, good, unknown, warning
from txraker.install.doctor.packages import Package
from txraker.install.doctor.sockets import Dialled


def facts_of(root: Path, data_path: Path, said: str = "") -> Facts:
    """Return the facts of an installation on a machine without any programs."""
    (data_path / "config").mkdir(parents=True, exist_ok=True)
    (data_path / "config" / "txraker.conf").write_text(said)
    checkup = Checkup(
        evolve(INSTALLATION, data_paths=(data_path,)),
        FakeCommands(),
        root,
        lambda _: Dialled(error=errno.ECONNREFUSED),
        {"txraker": Package("0.1")}.get,
        {},
        lambda: datetime(2026, 12, 1),
    )
    return checkup.facts()


def test_bare_machine(tmp_path: Path) -> None:
    """On a machine that has nothing, everything is looked at and nothing breaks down."""
    said = list(findings(facts_of(tmp_path, tmp_path / "data"), INSTALLATION))
    text = "\n".join(finding.says for finding in said)
    for word in ("Python", "venv", "packages", "It is 2026", "MiB", "configuration", "klippy", "No server"):
        assert word in text
    for word in ("Port 7125", "system bus", "unit /etc", "PolicyKit rule", "systemd can't", "a Moonraker"):
        assert word in text


def test_what_the_configuration_says(tmp_path: Path) -> None:
    """Ports, Klippy's socket and the provider are those of the configuration."""
    klippy = tmp_path / "uds"
    text = f"[server]\nport: 8000\nklippy_uds_address: {klippy}\n[machine]\nprovider: none\n"
    facts = facts_of(tmp_path, tmp_path / "data", text)
    (printer,) = facts.printers
    assert [port.number for port in printer.ports] == [8000]
    assert printer.klippy.path == klippy
    said = [finding.says for finding in findings(facts, INSTALLATION)]
    assert not [text for text in said if "PolicyKit rule" in text]


def test_closed_data_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data path that may not even be looked at is told, not stumbled over."""
    exists = Path.exists

    def refusing(self: Path) -> bool:
        if self.name == "klippy.sock":
            raise PermissionError(13, "Permission denied")
        return exists(self)

    monkeypatch.setattr(Path, "exists", refusing)
    (printer,) = facts_of(tmp_path, tmp_path / "data").printers
    assert printer.klippy.path == tmp_path / "data/comms/klippy.sock"


@pytest.mark.parametrize(
    ("found", "code", "last"),
    [
        ([good("a")], 0, "Nothing is wrong."),
        ([good("a"), unknown("b"), warning("c", "do c")], 0, "1 to be looked at, 1 not seen."),
        ([bad("a", "do a"), bad("b"), warning("c")], 1, "2 bad, 1 to be looked at."),
    ],
)
def test_told(found: list[object], code: int, last: str) -> None:
    """Findings are told a line each with what mends them, and the exit code says whether one is bad."""
    said: list[str] = []
    assert tell(found, said.append) == code  # type: ignore[arg-type]  # findings of every level
    assert said[-1] == last
    assert [line.split()[0] for line in said if line[:1].strip()][:-1] == [each.level for each in found]  # type: ignore[attr-defined]
    assert ("             do a" in said) is (bad("a", "do a") in found)


def test_odd_names() -> None:
    """What others call their processes neither begins a line nor steers the terminal."""
    said: list[str] = []
    tell([good("Klippy listens: x\n\x1b[2J ü (process 7)")], said.append)
    assert said[0] == "good     Klippy listens: x\\n\\x1b[2J ü (process 7)"
