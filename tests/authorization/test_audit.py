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
from txraker.authorization.audit import STRANGERS_A_MINUTE, AuditLog
from txraker.system.logfile import LogFile
from txraker.system.rolled import LogLimits, rolled_files

ENTRY = AuditEntry("asked", "printer.print.start", "ann", "admin", "192.0.2.1", "http")
STRANGE = AuditEntry("failed", "access.login", "", "nobody", "203.0.113.9", "http", status=400)
NOON = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)


@define(eq=False)
class Setting:
    """An open audit log, at a time of its own."""

    folder: Path
    seconds: float = 100.0
    problems: list[str] = field(factory=list)
    log: AuditLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        file = LogFile(
            self.path,
            lambda: "",
            self.problems.append,
            largest=1000,
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


def test_strangers(setting: Setting) -> None:
    """Strangers cause few lines, and how many were left out is said; those we know are always noted."""
    for _ in range(1000):
        setting.log.note(STRANGE)
    assert len(setting.path.read_text().splitlines()) <= STRANGERS_A_MINUTE
    setting.log.note(ENTRY)
    assert setting.lines()[-1]["left_out"] == 1000 - STRANGERS_A_MINUTE
    setting.seconds += 60.0
    setting.log.note(STRANGE)
    last = setting.lines()[-1]
    assert (last["who"], "left_out" in last) == ("", False)


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
