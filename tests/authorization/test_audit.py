"""The audit log: what is noted, how much of it strangers may cause, and who may read it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attrs import define, field

from txraker.api.audit import AuditEntry
from txraker.authorization.audit import LINES_A_MINUTE, STRANGERS_A_MINUTE, AuditLog
from txraker.system.logfile import LogFile
from txraker.system.rolled import LogLimits, rolled_files

ENTRY = AuditEntry("asked", "printer.print.start", "ann", "moonraker", "admin", "192.0.2.1", "http")
STRANGE = AuditEntry("failed", "access.login", "", "moonraker", "nobody", "203.0.113.9", "http", status=400)
NOON = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)


@define(eq=False)
class Setting:
    """An open audit log, at a time of its own."""

    folder: Path
    largest: int = 1000
    seconds: float = 100.0
    problems: list[str] = field(factory=list)
    log: AuditLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        file = LogFile(
            self.path,
            lambda: "",
            self.problems.append,
            largest=self.largest,
            limits=LogLimits(3, 100_000),
            mode=0o600,
            is_daily=False,
        )
        self.log = AuditLog(file, lambda: self.seconds, lambda: NOON)
        self.log.open()

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "audit.log"

    def lines(self) -> list[dict[str, Any]]:
        """Return what has been written."""
        return [msgspec.json.decode(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    """Make an audit log."""
    setting = Setting(tmp_path)
    yield setting
    setting.log.close()


def test_line(setting: Setting) -> None:
    """An entry is one line of JSON with its time, without what there is nothing to say of."""
    setting.log.note(ENTRY)
    assert setting.lines() == [
        {
            "outcome": "asked",
            "call": "printer.print.start",
            "who": "ann",
            "source": "moonraker",
            "role": "admin",
            "address": "192.0.2.1",
            "transport": "http",
            "time": "2026-11-22T12:00:00.500+00:00",
        }
    ]


def test_secret(setting: Setting) -> None:
    """Nobody but its owner may read the file."""
    assert stat.S_IMODE(setting.path.stat().st_mode) == 0o600


def test_forgery(setting: Setting) -> None:
    """Whatever is in an argument, it stays in its line."""
    forged = 'x"}\n{"who": "ann"'
    setting.log.note(msgspec.structs.replace(ENTRY, arguments={"filename": forged}))
    (line,) = setting.lines()
    assert line["arguments"] == {"filename": forged}


def lines_of(setting: Setting, entry: AuditEntry, count: int) -> int:
    """Return how many lines somebody causes who tries it that often."""
    before = len(setting.lines())
    for _ in range(count):
        setting.log.note(entry)
    return len(setting.lines()) - before


def replaced(entry: AuditEntry, **changes: Any) -> AuditEntry:
    """Return an entry that differs in something."""
    return msgspec.structs.replace(entry, **changes)


def test_strangers(tmp_path: Path) -> None:
    """Strangers cause few lines, each and all together, and how many were left out is said."""
    setting = Setting(tmp_path, largest=10**6)
    assert lines_of(setting, STRANGE, 1000) == LINES_A_MINUTE
    assert lines_of(setting, replaced(STRANGE, address="203.0.113.10"), 1) == 1
    assert setting.lines()[-1]["left_out"] == 1000 - LINES_A_MINUTE
    many = [replaced(STRANGE, address=f"203.0.113.{number}") for number in range(100, 200)]
    assert sum(lines_of(setting, one, 1) for one in many) == STRANGERS_A_MINUTE - LINES_A_MINUTE - 1
    setting.seconds += 60.0
    assert lines_of(setting, STRANGE, 1) == 1
    setting.log.close()


@pytest.mark.parametrize(
    "entry",
    [
        replaced(ENTRY, outcome="refused"),
        replaced(ENTRY, outcome="failed"),
        replaced(ENTRY, role="viewer"),
    ],
)
def test_those_we_know(tmp_path: Path, entry: AuditEntry) -> None:
    """Who may not do much, or fails, causes few lines, and keeps nobody else's out."""
    setting = Setting(tmp_path, largest=10**6)
    assert lines_of(setting, entry, 1000) == LINES_A_MINUTE
    assert lines_of(setting, replaced(entry, who="bob"), 1) == 1
    assert lines_of(setting, STRANGE, 1) == 1
    assert lines_of(setting, ENTRY, 200) == 200
    setting.log.close()


def test_size(setting: Setting) -> None:
    """What has grown large is put aside, and the oldest of that is removed: a disk is never filled."""
    for _ in range(200):
        setting.log.note(ENTRY)
    assert setting.path.stat().st_size < 1500
    assert len(rolled_files(setting.path)) == 3


def test_goes_on(setting: Setting) -> None:
    """What was noted before a restart stays."""
    setting.log.note(ENTRY)
    setting.log.close()
    again = Setting(setting.folder)
    again.log.note(STRANGE)
    again.log.close()
    assert [line["call"] for line in again.lines()] == ["printer.print.start", "access.login"]


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """That nothing can be noted is told, and stops nobody."""
    setting = Setting(tmp_path / "missing")
    setting.log.note(ENTRY)
    assert len(setting.problems) == 1
    assert "missing" in setting.problems[0]
