"""Klipper's log is put aside while Klipper is stopped, and Klipper runs again whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import Logged, Outcome, result_of, start
from txraker.errors import ApiError, KlippyError
from txraker.interfaces import ILogFile
from txraker.klippy.host import KlippyHost
from txraker.klippy.printing import ANSWER_WITHIN, PrintInProgress
from txraker.system.errors import JobFailed, NotPermitted, SystemUnavailable
from txraker.system.instances import Instances
from txraker.system.klipper_log import FAILURES, RENAME_WITHIN, START_PAUSES, KlipperLog
from txraker.system.rolled import LogLimits, rolled_files
from txraker.system.services import UnitState
from txraker.testing.klippy import MemoryKlippy
from txraker.testing.system import RUNNING, STOPPED, MemorySystem
from txraker.testing.threads import at_once

UNIT = "klipper.service"
NOW = datetime(2026, 11, 22, 16, 5, 9, tzinfo=UTC)


@define(eq=False)
class Setting:
    """A Klipper service that runs, its log, and what it is doing."""

    path: Path
    bench: ComponentBench = field(factory=ComponentBench)
    logged: Logged = field(factory=Logged)
    system: MemorySystem = field(factory=lambda: MemorySystem({UNIT: RUNNING}, {812: UNIT}))
    log: KlipperLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.path.write_text("old log")
        klippy = self.bench.klippy
        klippy.host = KlippyHost(peer=812, process_id=812, log_file=str(self.path))
        klippy.answers["objects/query"] = self.bench.subscribed
        klippy.answers["info"] = lambda _: {"state": klippy.state}
        self.bench.up()
        result_of(self.system.watch(UNIT, self.follow))
        self.log = KlipperLog(
            self.bench.clock,
            klippy,
            PrintInProgress(self.bench.clock, klippy, klippy.status),
            self.system,
            Instances(self.system, klippy),
            at_once,
            LogLimits(files=2),
            self.logged.logger(),
            lambda: NOW,
        )

    def follow(self, state: UnitState) -> None:
        """Let Klippy go when its service stops, and come when it starts."""
        if state == STOPPED and self.bench.klippy.connected:
            self.bench.klippy.disconnect()
        elif state == RUNNING and not self.bench.klippy.connected:
            self.bench.up()

    def roll(self) -> Outcome[Path]:
        """Begin a rollover, and let Klippy answer."""
        rolling = start(self.log.rollover())
        for _ in range(5):
            self.bench.turn()
        return rolling

    @property
    def aside(self) -> list[str]:
        """What is in the files that were put aside."""
        return [path.read_text() for path in rolled_files(self.path)]


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Make a Klipper that is ready and idle."""
    return Setting(tmp_path / "klippy.log")


def test_provides(setting: Setting) -> None:
    """The log provides what it says."""
    assert verifyObject(ILogFile, setting.log)


def test_rollover(setting: Setting) -> None:
    """Klipper is stopped, its log put aside, and Klipper started."""
    moved = setting.roll().result()
    assert moved.name == "klippy.log.2026-11-22_16-05-09"
    assert moved.read_text() == "old log"
    assert not setting.path.exists()
    assert setting.system.done == [f"stop {UNIT}", f"start {UNIT}"]


def test_old_files_go(setting: Setting) -> None:
    """Of the files that were put aside the newest are kept."""
    for text in ("one", "two", "three"):
        setting.path.write_text(text)
        setting.roll().result()
    assert setting.aside == ["three", "two"]


@pytest.mark.parametrize(
    ("objects", "refused"),
    [
        ({"print_stats": {"state": "printing"}}, True),
        ({"print_stats": {"state": "paused"}}, True),
        ({"print_stats": {"state": "standby"}, "idle_timeout": {"state": "Printing"}}, True),
        ({"print_stats": {"state": "complete"}, "idle_timeout": {"state": "Ready"}}, False),
        ({"print_stats": {"state": "cancelled"}}, False),
        ({"print_stats": {"state": "error"}, "idle_timeout": {"state": "Idle"}}, False),
        ({}, False),
    ],
)
def test_prints(setting: Setting, objects: dict[str, dict[str, str]], refused: bool) -> None:
    """A print, paused or from elsewhere, is not disturbed; anything else is no reason to refuse."""
    setting.bench.status |= objects
    rolling = setting.roll()
    if refused:
        assert str(rolling.error) == "Cannot rollover log while printing"
        assert setting.system.done == []
        assert setting.path.read_text() == "old log"
    else:
        assert rolling.result()


def no_service(setting: Setting) -> None:
    """Start Klippy by hand."""
    setting.system.processes[812] = "session-3.scope"


def no_log_path(setting: Setting) -> None:
    """Let Klippy log nowhere."""
    setting.bench.klippy.host = KlippyHost(peer=812)


def no_file(setting: Setting) -> None:
    """Remove the log."""
    setting.path.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_service, "Unable to detect Klipper Service, cannot perform manual rollover"),
        (no_log_path, "Unable to detect path to Klipper log file"),
        (no_file, "No file at {path} exists, cannot perform rollover"),
    ],
)
def test_refusals(setting: Setting, spoil: Callable[[Setting], None], reason: str) -> None:
    """What can't be done is refused in the words that clients know, and nothing is touched."""
    spoil(setting)
    assert str(setting.roll().error) == reason.format(path=setting.path)
    assert setting.system.done == []


def test_klippy_that_never_came(setting: Setting) -> None:
    """Without any Klippy there is no service to be stopped."""
    setting.bench.klippy.host = None
    assert "Unable to detect Klipper Service" in str(setting.roll().error)


def test_klippy_that_went(setting: Setting) -> None:
    """A Klippy that has gone since is started again, with a fresh log."""
    setting.roll().result()
    setting.path.write_text("crashed")
    setting.system.become(UNIT, UnitState("failed", "failed"))
    setting.bench.klippy.disconnect()
    setting.roll().result()
    assert setting.aside == ["crashed", "old log"]
    assert setting.system.units[UNIT] == RUNNING


def test_klipper_that_was_stopped(setting: Setting) -> None:
    """A Klipper that somebody has stopped isn't started: a micro-controller may be being flashed."""
    assert result_of(setting.log._instances.klipper_unit()) == UNIT
    setting.system.become(UNIT, STOPPED)
    setting.roll().result()
    assert setting.aside == ["old log"]
    assert setting.system.units[UNIT] == STOPPED


def test_silent_klippy(setting: Setting) -> None:
    """A Klippy that doesn't say whether it prints isn't stopped."""
    setting.bench.klippy.answers["objects/query"] = lambda _: Deferred()
    rolling = setting.roll()
    assert not rolling.done
    setting.bench.clock.advance(ANSWER_WITHIN)
    assert str(rolling.error) == "Klippy doesn't say whether it is printing"
    assert setting.system.done == []


def test_klippy_that_refuses(setting: Setting) -> None:
    """The same holds for one that answers with an error."""

    def refuse(_: object) -> dict[str, object]:
        raise KlippyError("internal error")

    setting.bench.klippy.answers["objects/query"] = refuse
    assert str(setting.roll().error) == "Klippy doesn't say whether it is printing"


@pytest.mark.parametrize("state", ["startup", "error", "shutdown"])
def test_klippy_that_cannot_print(setting: Setting, state: str) -> None:
    """A Klippy that isn't ready by its own word isn't printing."""
    setting.bench.klippy.answers["info"] = lambda _: {"state": state}
    setting.bench.klippy.answers["objects/query"] = lambda _: Deferred()
    assert setting.roll().result()


def test_klippy_that_was_met_just_now(setting: Setting) -> None:
    """A Klippy whose state we haven't learned yet may be printing: it is asked."""
    setting.bench.status["print_stats"] = {"state": "printing"}
    setting.bench.klippy.disconnect()
    setting.bench.klippy.connect()
    setting.bench.klippy.answers["info"] = lambda _: {"state": "ready"}
    assert setting.bench.klippy.state == "startup"
    assert str(setting.roll().error) == "Cannot rollover log while printing"
    assert setting.system.done == []


def test_klippy_out_of_sight(setting: Setting) -> None:
    """A Klippy that runs and isn't connected may be printing, too."""
    result_of(Instances(setting.system, setting.bench.klippy).klipper_unit())
    assert result_of(setting.log._instances.klipper_unit()) == UNIT
    setting.bench.klippy.disconnect()
    assert str(setting.roll().error) == "Klippy doesn't say whether it is printing"
    assert setting.system.done == []


def test_klippy_that_outlives_its_service(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Klippy that still runs when its service has stopped still writes its log, which is left to it."""
    monkeypatch.setattr(MemoryKlippy, "disconnect", lambda klippy: None)
    rolling = setting.roll()
    setting.bench.clock.pump([0.1] * 30)
    assert "still runs" in str(rolling.error)
    assert setting.path.read_text() == "old log"
    assert setting.system.units[UNIT] == RUNNING


def test_slow_disk(setting: Setting) -> None:
    """A disk that doesn't answer keeps Klipper stopped for bounded time."""
    setting.log._off_thread = lambda work: Deferred()  # it never ends
    rolling = setting.roll()
    setting.bench.clock.pump([RENAME_WITHIN])
    assert "the disk doesn't answer" in str(rolling.error)
    assert setting.system.units[UNIT] == RUNNING


def test_defect(setting: Setting) -> None:
    """Even a defect of ours doesn't leave Klipper stopped."""

    def fail(work: object) -> Deferred[object]:
        raise ZeroDivisionError

    setting.log._off_thread = fail  # type: ignore[assignment]  # a defect
    assert isinstance(setting.roll().error, ZeroDivisionError)
    assert setting.system.units[UNIT] == RUNNING


def test_start_that_succeeds_later(setting: Setting) -> None:
    """A start that fails, because there were too many of late, is tried again."""
    setting.system.failing[f"start {UNIT}"] = JobFailed("start limit")
    rolling = setting.roll()
    setting.bench.clock.pump(START_PAUSES[:2])
    del setting.system.failing[f"start {UNIT}"]
    setting.bench.clock.pump(START_PAUSES[2:3])
    assert rolling.result()


def test_stop_fails(setting: Setting) -> None:
    """When Klipper doesn't stop, its log is left as it is, and Klipper is started, for it may be stopping."""
    setting.system.failing[f"stop {UNIT}"] = JobFailed("no end in sight")
    assert str(setting.roll().error) == "no end in sight"
    assert setting.system.done == [f"start {UNIT}"]
    assert setting.path.read_text() == "old log"


def test_rename_fails(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log can't be renamed, Klipper is started all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "Permission denied" in str(setting.roll().error)
    assert setting.system.done == [f"stop {UNIT}", f"start {UNIT}"]
    assert setting.path.read_text() == "old log"


def test_start_fails(setting: Setting) -> None:
    """When Klipper can't be started, that is said, though its log was put aside."""
    setting.system.failing[f"start {UNIT}"] = JobFailed("exit code 1")
    rolling = setting.roll()
    setting.bench.clock.pump(START_PAUSES[:FAILURES])
    assert str(rolling.error) == "exit code 1"
    assert setting.aside == ["old log"]


def test_everything_fails(setting: Setting) -> None:
    """All reasons are said, and logged."""
    setting.system.failing |= {f"stop {UNIT}": JobFailed("no stop"), f"start {UNIT}": JobFailed("no start")}
    rolling = setting.roll()
    setting.bench.clock.pump(START_PAUSES[:FAILURES])
    assert str(rolling.error) == "no stop; no start"
    assert "no stop" in setting.logged.lines[-1]


def test_nobody_to_ask(setting: Setting) -> None:
    """When the bus goes after Klipper was told to stop, starting it is tried until that succeeds."""
    gone = SystemUnavailable("the bus has gone")
    setting.system.failing |= {f"stop {UNIT}": gone, f"start {UNIT}": gone}
    rolling = setting.roll()
    setting.bench.clock.pump(START_PAUSES[:2])
    assert not rolling.done
    del setting.system.failing[f"start {UNIT}"]
    setting.bench.clock.advance(START_PAUSES[2])
    assert str(rolling.error) == "the bus has gone"
    assert setting.system.done == [f"start {UNIT}"]


def test_nobody_to_ask_for_long(setting: Setting) -> None:
    """In the end that is given up, and said."""
    gone = SystemUnavailable("the bus has gone")
    setting.system.failing |= {f"start {UNIT}": gone}
    rolling = setting.roll()
    setting.bench.clock.pump(START_PAUSES)
    assert isinstance(rolling.error, ApiError)
    assert str(rolling.error) == "the bus has gone"


def test_no_permission(setting: Setting) -> None:
    """A Klipper that we may not stop is not told to start."""
    setting.system.failing[f"stop {UNIT}"] = NotPermitted("not you")
    assert str(setting.roll().error) == "not you"
    assert setting.system.done == []


def test_ourselves(setting: Setting) -> None:
    """A Klippy within our own service is no service of its own: stopping it would stop us."""
    setting.system.processes |= {812: "txraker.service", os.getpid(): "txraker.service"}
    assert "Unable to detect Klipper Service" in str(setting.roll().error)


@pytest.mark.parametrize(
    ("host", "unit"),
    [
        (KlippyHost(peer=812, process_id=1), UNIT),
        (KlippyHost(peer=1, process_id=812), UNIT),
        (KlippyHost(peer=1), None),
        (KlippyHost(peer=1, process_id=900), "voron.service"),
        (KlippyHost(peer=None, process_id=812), UNIT),
        (KlippyHost(peer=4, process_id=812), UNIT),
        (KlippyHost(peer=4, process_id=900), None),
        (KlippyHost(peer=900, process_id=812), "voron.service"),
        (KlippyHost(), None),
    ],
)
def test_detection(setting: Setting, host: KlippyHost, unit: str | None) -> None:
    """The socket's peer names the service; if that is systemd or nobody's, Klippy's own word is weighed."""
    setting.system.processes[900] = "voron.service"
    setting.bench.klippy.host = host
    assert result_of(Instances(setting.system, setting.bench.klippy).klipper_unit()) == unit


def test_detection_of_the_next_klippy(setting: Setting) -> None:
    """What is known of one Klippy is not taken for another's."""
    instances = Instances(setting.system, setting.bench.klippy)
    assert result_of(instances.klipper_unit()) == UNIT
    setting.bench.klippy.host = KlippyHost(peer=4)
    assert result_of(instances.klipper_unit()) is None
