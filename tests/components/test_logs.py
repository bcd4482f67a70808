"""Logs are rolled over each by itself, and what failed is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from txraker.components.logs import Logs, Rollover
from txraker.errors import ApiError, BadRequest, InternalError
from txraker.interfaces import ILogFile
from txraker.system.errors import RolloverFailed


@implementer(ILogFile)
@define(eq=False)
class MemoryLog:
    """A log that counts its rollovers, or fails."""

    problem: Exception | None = None
    rollovers: list[int] = field(factory=list)

    def where(self) -> Path:
        return Path("moonraker.log")

    async def rollover(self) -> Path:
        if self.problem is not None:
            raise self.problem
        self.rollovers.append(1)
        return Path("moonraker.log.1")


@implementer(ILogFile)
@define(eq=False)
class SlowLog:
    """A log whose rollovers end when the test says so."""

    waiting: list[Deferred[Path]] = field(factory=list)

    def where(self) -> Path:
        return Path("klippy.log")

    async def rollover(self) -> Path:
        waiting: Deferred[Path] = Deferred()
        self.waiting.append(waiting)
        return await waiting


def bench_of(files: Mapping[str, ILogFile]) -> ComponentBench:
    """Make the endpoint of some logs."""
    bench = ComponentBench()
    bench.serve(Logs(files))
    return bench


def test_provides() -> None:
    """The logs of these tests provide what they say."""
    assert verifyObject(ILogFile, MemoryLog())
    assert verifyObject(ILogFile, SlowLog())


def test_all() -> None:
    """Without a name all logs are rolled over."""
    ours, klippers = MemoryLog(), MemoryLog()
    bench = bench_of({"moonraker": ours, "klipper": klippers})
    assert bench.call("server.logs.rollover") == {"rolled_over": ["moonraker", "klipper"], "failed": {}}
    assert (ours.rollovers, klippers.rollovers) == ([1], [1])


@pytest.mark.parametrize("name", ["moonraker", "txraker"])
def test_one(name: str) -> None:
    """With a name just that log is rolled over; ours has two names."""
    ours, klippers = MemoryLog(), MemoryLog()
    bench = bench_of({"moonraker": ours, "klipper": klippers})
    answer = bench.call("server.logs.rollover", application=name)
    assert answer == {"rolled_over": ["moonraker"], "failed": {}}
    assert (ours.rollovers, klippers.rollovers) == ([1], [])


@pytest.mark.parametrize("failing", ["moonraker", "klipper"])
def test_one_fails(failing: str) -> None:
    """A log that can't be rolled over is named with the reason and keeps no other from it."""
    files = {"moonraker": MemoryLog(), "klipper": MemoryLog()}
    files[failing].problem = RolloverFailed("File Logging Disabled")
    (other,) = set(files) - {failing}
    assert bench_of(files).call("server.logs.rollover") == {
        "rolled_over": [other],
        "failed": {failing: "File Logging Disabled"},
    }


def test_one_after_the_other() -> None:
    """A call that comes while another is worked off waits for its turn, and is worked off, too."""
    ours = SlowLog()
    bench = bench_of({"moonraker": ours})
    calls = [bench.begin("server.logs.rollover") for _ in range(2)]
    assert [len(ours.waiting), *(call.done for call in calls)] == [1, False, False]
    ours.waiting.pop().callback(Path("1"))
    assert [len(ours.waiting), *(call.done for call in calls)] == [1, True, False]
    ours.waiting.pop().errback(RolloverFailed("full"))
    assert calls[1].result() == Rollover([], {"moonraker": "full"})


@pytest.mark.parametrize("name", ["klippy", "", "../etc/passwd", "Moonraker"])
def test_unknown(name: str) -> None:
    """An unknown application is refused, and nothing is rolled over."""
    ours = MemoryLog()
    with pytest.raises(BadRequest):
        bench_of({"moonraker": ours}).call("server.logs.rollover", application=name)
    assert ours.rollovers == []


def test_null() -> None:
    """Null means all."""
    assert bench_of({"moonraker": MemoryLog()}).call("server.logs.rollover", application=None)["rolled_over"]


def test_defect() -> None:
    """A defect is no reason that a user could do something about."""
    bench = bench_of({"moonraker": MemoryLog(RuntimeError("defect"))})
    with pytest.raises(ApiError) as caught:
        bench.call("server.logs.rollover")
    assert isinstance(caught.value, InternalError)
