"""What IFileGuard promises, kept by the one in memory and by the one that asks Klippy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import result_of, start
from txraker.errors import KlippyError, Unavailable
from txraker.files.guard import ANSWER_WITHIN, FileInUseUnknown, PrinterGuard
from txraker.interfaces import IFileGuard
from txraker.testing.guard import MemoryGuard

Loaded = Callable[[str | None], IFileGuard]


def _in_memory(name: str | None) -> MemoryGuard:
    return MemoryGuard(name)


def _by_klippy(name: str | None) -> PrinterGuard:
    state = "standby" if name is None else "printing"
    return _printing({"filename": name or "", "state": state})[0]


def _printing(job: dict[str, Any]) -> tuple[PrinterGuard, ComponentBench]:
    bench = ComponentBench()
    bench.status["print_stats"] = job
    bench.klippy.answers["objects/query"] = bench.subscribed
    bench.up()
    return PrinterGuard(bench.clock, bench.klippy, bench.klippy.status), bench


@pytest.mark.parametrize("make", [_in_memory, _by_klippy])
def test_contract(make: Loaded) -> None:
    """The file in use is told as a path below gcodes, and None if there is none."""
    guard = make("parts/gear.gcode")
    assert verifyObject(IFileGuard, guard)
    assert result_of(guard.in_use()) == "parts/gear.gcode"
    assert result_of(make(None).in_use()) is None


@pytest.mark.parametrize(
    ("state", "is_used"),
    [
        ("printing", True),
        ("paused", True),
        ("standby", False),
        ("complete", False),
        ("cancelled", False),
        ("error", False),
        (None, False),
    ],
)
def test_states(state: str | None, is_used: bool) -> None:
    """A file is in use while it is printed, pauses included, as with Moonraker."""
    guard, _ = _printing({"filename": "benchy.gcode", "state": state})
    assert result_of(guard.in_use()) == ("benchy.gcode" if is_used else None)


def test_without_klippy() -> None:
    """Without Klippy nothing is printed."""
    bench = ComponentBench()
    guard = PrinterGuard(bench.clock, bench.klippy, bench.klippy.status)
    assert result_of(guard.in_use()) is None
    bench.up()
    bench.klippy.become("shutdown")
    assert result_of(guard.in_use()) is None


def test_printer_without_jobs() -> None:
    """A printer without a virtual SD card uses no file."""
    bench = ComponentBench()
    bench.klippy.answers["objects/query"] = bench.subscribed
    bench.up()
    assert result_of(PrinterGuard(bench.clock, bench.klippy, bench.klippy.status).in_use()) is None


def test_odd_names() -> None:
    """A slash in front is Klipper's; what is no name is none."""
    assert result_of(_printing({"filename": "/a.gcode", "state": "printing"})[0].in_use()) == "a.gcode"
    assert result_of(_printing({"filename": "", "state": "printing"})[0].in_use()) is None
    assert result_of(_printing({"filename": None, "state": "printing"})[0].in_use()) is None


def test_klippy_goes_while_it_is_asked() -> None:
    """A Klippy that goes prints nothing any more."""
    bench = ComponentBench()
    bench.up()
    del bench.klippy.answers["objects/subscribe"]
    asked = start(PrinterGuard(bench.clock, bench.klippy, bench.klippy.status).in_use())
    assert not asked.done
    bench.klippy.disconnect()
    bench.turn()
    assert asked.result() is None


def test_klippy_hangs() -> None:
    """A Klippy that doesn't answer isn't waited for longer than a few seconds."""
    bench = ComponentBench()
    bench.up()
    del bench.klippy.answers["objects/subscribe"]
    asked = start(PrinterGuard(bench.clock, bench.klippy, bench.klippy.status).in_use())
    bench.clock.advance(ANSWER_WITHIN - 0.1)
    assert not asked.done
    bench.clock.advance(0.2)
    with pytest.raises(FileInUseUnknown):
        asked.result()


def test_klippy_cannot_say() -> None:
    """When Klippy answers with an error it isn't known which file is in use: nothing is guessed."""
    bench = ComponentBench()
    bench.up()

    def refuse(_params: object) -> dict[str, Any]:
        raise KlippyError("Internal error")

    bench.klippy.answers["objects/subscribe"] = refuse
    bench.klippy.answers["objects/query"] = refuse
    with pytest.raises(FileInUseUnknown, match="Internal error") as caught:
        result_of(PrinterGuard(bench.clock, bench.klippy, bench.klippy.status).in_use())
    assert isinstance(caught.value, Unavailable)


def test_memory_can_fail() -> None:
    """The guard in memory raises what its test says."""
    with pytest.raises(Unavailable):
        result_of(MemoryGuard(problem=Unavailable("no")).in_use())
