"""The firmware's bits: where they come from, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from tests.system.host.machines import PC, PI_3, PI_4, PI_5, Tree, grow
from tests.tools import Faults, Logged
from txraker.reactor import Reactor
from txraker.system.host.files import HotFile
from txraker.system.host.throttling import (
    NoThrottledBits,
    ThrottledFile,
    ThrottledProgram,
    ThrottleWatch,
    find_throttled_bits,
    throttled_state,
)
from txraker.system.host.usage import ThrottledState
from txraker.system.process import Finished

NO_REACTOR = cast("Reactor", None)


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0, []),
        (0x1, ["Under-Voltage Detected"]),
        (
            0x50005,
            [
                "Under-Voltage Detected",
                "Currently Throttled",
                "Previously Under-Volted",
                "Previously Throttled",
            ],
        ),
        (
            0xA000A,
            [
                "Frequency Capped",
                "Temperature Limit Active",
                "Previously Frequency Capped",
                "Previously Temperature Limited",
            ],
        ),
        (0x10, []),
    ],
)
def test_flags(bits: int, flags: list[str]) -> None:
    """Each bit has the name that is documented; the last one is bit 19, whatever the document says."""
    assert throttled_state(bits) == ThrottledState(bits, flags)


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (PI_3, ThrottledFile),
        (PI_5, ThrottledFile),
        ({**PI_4, "usr/bin/vcgencmd": ""}, ThrottledProgram),
        ({**PI_4, "opt/vc/bin/vcgencmd": ""}, ThrottledProgram),
        ({**PI_3, "usr/bin/vcgencmd": ""}, ThrottledFile),
        (PC, NoThrottledBits),
        ({}, NoThrottledBits),
    ],
)
def test_find(tmp_path: Path, machine: Tree, kind: type) -> None:
    """The kernel's file is preferred to the program, and most machines have neither."""
    assert type(find_throttled_bits(grow(tmp_path, machine), NO_REACTOR, Faults())) is kind


@pytest.mark.parametrize(
    ("text", "bits"), [("50005\n", 0x50005), ("0\n", 0), ("0xA\n", 10), ("", None), ("error\n", None)]
)
def test_file(tmp_path: Path, text: str, bits: int | None) -> None:
    """The file's hexadecimal number is told; what isn't one is unknown."""
    source = ThrottledFile(HotFile(grow(tmp_path, {"bits": text}) / "bits"))
    told: list[int | None] = []
    source.poll(told.append)
    source.close()
    assert told == [bits]


def test_nowhere() -> None:
    """A machine without a firmware that says so tells nothing."""
    told: list[int | None] = []
    source = NoThrottledBits()
    source.poll(told.append)
    source.close()
    assert told == []


@define(eq=False)
class Programs:
    """Programs that end when they are told to."""

    running: list[Deferred[Finished]] = field(factory=list)
    commands: list[tuple[Sequence[str], float]] = field(factory=list)
    killed: int = 0

    def __call__(self, command: Sequence[str], seconds: float) -> Deferred[Finished]:
        self.commands.append((command, seconds))
        self.running.append(Deferred(self._kill))
        return self.running[-1]

    def _kill(self, _program: Deferred[Finished]) -> None:
        self.killed += 1

    def end(self, output: str, status: int | None = 0) -> None:
        """Let the program end."""
        self.running.pop(0).callback(Finished(status, output, ""))


@define(eq=False)
class ProgramBench:
    """The program, and what it told."""

    programs: Programs = field(factory=Programs)
    faults: Faults = field(factory=Faults)
    told: list[int | None] = field(factory=list)
    source: ThrottledProgram = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.source = ThrottledProgram(Path("/usr/bin/vcgencmd"), self.programs, self.faults)

    def poll(self, times: int) -> None:
        """Let seconds pass."""
        for _ in range(times):
            self.source.poll(self.told.append)


def test_program() -> None:
    """The program is asked at once and then every five seconds, for a short time."""
    bench = ProgramBench()
    bench.poll(1)
    bench.programs.end("throttled=0x50000\n")
    bench.poll(4)
    assert bench.programs.commands == [(["/usr/bin/vcgencmd", "get_throttled"], 2.0)]
    bench.poll(1)
    bench.programs.end("throttled=0x0\n")
    assert bench.told == [0x50000, 0]


def test_program_that_takes_long() -> None:
    """There is never a second program while the first one runs, and no long wait after it."""
    bench = ProgramBench()
    bench.poll(20)
    assert len(bench.programs.commands) == 1
    assert bench.told == []
    bench.programs.end("throttled=0x2\n")
    bench.poll(1)
    assert len(bench.programs.commands) == 2


@pytest.mark.parametrize(
    ("output", "status"),
    [("VCHI initialization failed\n", 255), ("throttled=0x1", None), ("throttled=", 0), ("error=2\n", 0)],
)
def test_program_that_fails(output: str, status: int | None) -> None:
    """A program that fails or was ended tells nothing, and is asked again after a minute only."""
    bench = ProgramBench()
    bench.poll(1)
    bench.programs.end(output, status)
    bench.poll(59)
    assert (bench.told, len(bench.programs.commands)) == ([None], 1)
    bench.poll(1)
    assert len(bench.programs.commands) == 2


def test_program_is_ended() -> None:
    """A program that runs at the end is ended, and what it says then isn't heard."""
    bench = ProgramBench()
    bench.source.close()
    bench.poll(1)
    bench.source.close()
    assert bench.programs.killed == 1
    assert (bench.told, bench.faults.seen) == ([], [])


@define(eq=False)
class Bits:
    """Bits that are set by hand: provides ThrottledBits."""

    now: int | None = None
    is_closed: bool = False

    def poll(self, tell: Callable[[int | None], None]) -> None:
        """Tell them."""
        tell(self.now)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


@define(eq=False)
class WatchBench:
    """A watch, its news and its log."""

    bits: Bits = field(factory=Bits)
    news: list[int] = field(factory=list)
    log: Logged = field(factory=Logged)
    watch: ThrottleWatch = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.watch = ThrottleWatch(self.bits, lambda state: self.news.append(state.bits), self.log.logger())

    def see(self, *bits: int | None) -> None:
        """Let the bits be so, one second each."""
        for self.bits.now in bits:
            self.watch.poll()


def test_unknown() -> None:
    """Nothing is known at first, and that stays so without bits."""
    bench = WatchBench()
    assert bench.watch.state is None
    bench.see(None, None)
    assert (bench.watch.state, bench.news, bench.log.lines) == (None, [], [])


def test_never_throttled() -> None:
    """That a machine isn't throttled is known, and no news."""
    bench = WatchBench()
    bench.see(0, 0)
    assert bench.watch.state == ThrottledState(0, [])
    assert (bench.news, bench.log.lines) == ([], [])


def test_changes_are_news() -> None:
    """Each change is told once, also the one back."""
    bench = WatchBench()
    bench.see(0, 0x1, 0x1, 0x10001, 0x10000, 0x10000, 0)
    assert bench.news == [0x1, 0x10001, 0x10000, 0]


def test_throttled_from_the_beginning() -> None:
    """A machine that is found throttled is news."""
    bench = WatchBench()
    bench.see(0x50005)
    assert bench.news == [0x50005]


def test_gap_is_no_change() -> None:
    """Bits that can't be had for a while are unknown then, and no news when they are the same afterwards."""
    bench = WatchBench()
    bench.see(0x50000, None)
    assert bench.watch.state is None
    bench.see(0x50000)
    assert bench.news == [0x50000]
    assert bench.watch.state == throttled_state(0x50000)


def test_log() -> None:
    """A machine whose power comes and goes is one line in the log, and another when it gets worse."""
    bench = WatchBench()
    bench.see(*[0x10001, 0x10000] * 20, 0x50005, 0x50000)
    assert bench.log.lines == [
        "The processor is slowed down: Under-Voltage Detected, Previously Under-Volted",
        "The processor is slowed down: Under-Voltage Detected, Currently Throttled, "
        "Previously Under-Volted, Previously Throttled",
    ]


def test_close() -> None:
    """Closing the watch closes where the bits come from."""
    bench = WatchBench()
    bench.watch.close()
    assert bench.bits.is_closed
