"""Files waiting to be read, and the process that reads them: order, limits, and what is done when it dies."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import cast

import pytest
from attrs import define, field

from tests.metadata.processes import HELLO, MemoryProcess, MemoryReactor, found
from tests.tools import Logged, Outcome, start
from txraker.errors import NotFound, Unavailable
from txraker.metadata.messages import Found
from txraker.metadata.messages import Unreadable as Said
from txraker.metadata.scanner import (
    IDLE,
    LEAST_TIME,
    LEAVE,
    MOST_FILES,
    MOST_MEMORY,
    MOST_TOLD,
    PAUSE,
    TRY_AGAIN,
    Interrupted,
    Job,
    Scanner,
    Unreadable,
)
from txraker.reactor import Reactor


@define(eq=False)
class Bench:
    """A scanner whose processes are in memory."""

    reactor: MemoryReactor = field(factory=MemoryReactor)
    logged: Logged = field(factory=Logged)
    scanner: Scanner = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scanner = Scanner(cast("Reactor", self.reactor), self.logged.logger(), ["reader"])

    @property
    def process(self) -> MemoryProcess:
        """The process begun last."""
        return self.reactor.processes[-1]

    def scan(
        self, name: str = "a", *, urgent: bool = False, modified: float = 1.0, size: int = 1
    ) -> Outcome[Found]:
        """Ask for a file."""
        return start(self.scanner.scan(Job(Path(name), size, modified), urgent=urgent))

    def pause(self) -> None:
        """Let the pause between two files pass."""
        self.reactor.clock.advance(PAUSE)

    def asked(self) -> list[str]:
        """Return the files the process was asked for, of those begun last."""
        return self.process.asked()


@pytest.fixture
def bench() -> Bench:
    """Return a bench."""
    return Bench()


def test_on_demand(bench: Bench) -> None:
    """A process is begun with the first file, asked when it is ready, and its answer is told."""
    assert bench.reactor.processes == []
    scan = bench.scan()
    assert bench.asked() == []
    bench.process.say(HELLO)
    assert bench.asked() == ["a"]
    bench.process.say(found(is_complete=False))
    assert not scan.done
    bench.process.say(found(7))
    assert scan.result().size == 7


def test_order(bench: Bench) -> None:
    """Files that somebody waits for are first, then the newest; one file is read at a time."""
    for name, modified in (("old", 1.0), ("new", 3.0), ("middle", 2.0)):
        bench.scan(name, modified=modified)
    bench.scan("urgent", urgent=True, modified=0.0)
    bench.process.say(HELLO)
    for _ in range(4):
        bench.process.say(found())
        bench.pause()
    assert bench.asked() == ["urgent", "new", "middle", "old"]


def test_pause(bench: Bench) -> None:
    """Between two files that nobody waits for there is a pause; who waits doesn't."""
    bench.scan("a")
    bench.process.say(HELLO)
    bench.scan("b")
    bench.process.say(found())
    assert bench.asked() == ["a"]
    bench.scan("c", urgent=True)
    assert bench.asked() == ["a", "c"]
    bench.process.say(found())
    bench.pause()
    assert bench.asked() == ["a", "c", "b"]


def test_read_once(bench: Bench) -> None:
    """A file that waits is read once for all who ask, and first if one of them waits for it."""
    first, other = bench.scan("a"), bench.scan("b", modified=9.0)
    second = bench.scan("a", urgent=True)
    bench.process.say(HELLO, found(5))
    assert first.result() == second.result()
    assert not other.done


def test_gone_when_idle(bench: Bench) -> None:
    """The process is let go after a time without work, and killed if it stays; work begins a new one."""
    bench.scan()
    bench.process.say(HELLO, found())
    bench.reactor.clock.advance(IDLE - 1)
    assert not bench.process.is_dismissed
    bench.reactor.clock.advance(1)
    assert bench.process.is_dismissed
    bench.reactor.clock.advance(LEAVE)
    assert bench.process.is_killed
    bench.process.end()
    bench.scan("b")
    assert len(bench.reactor.processes) == 2
    assert bench.reactor.clock.getDelayedCalls()


def test_warm_while_there_is_work(bench: Bench) -> None:
    """Work before that time begins it anew."""
    bench.scan()
    bench.process.say(HELLO, found())
    bench.reactor.clock.advance(IDLE - 1)
    bench.scan("b")
    bench.process.say(found())
    bench.reactor.clock.advance(IDLE - 1)
    assert not bench.process.is_dismissed
    assert bench.asked() == ["a", "b"]


def test_recycled(bench: Bench) -> None:
    """A process that has read many files is replaced."""
    for number in range(MOST_FILES + 1):
        bench.scan(str(number), urgent=True)
        bench.process.say(HELLO, found())
    assert len(bench.reactor.processes) == 2
    assert bench.reactor.processes[0].is_dismissed


def test_next_asked_for_at_once(bench: Bench) -> None:
    """Who asks for the next file as soon as one is read gets it from the process that comes next."""
    scan = bench.scan()
    following: list[Outcome[Found]] = []
    scan.deferred.addCallback(lambda _: following.append(bench.scan("b", urgent=True)))
    bench.process.say(HELLO, found(memory=MOST_MEMORY + 1))
    assert bench.reactor.processes[0].asked() == ["a"]
    bench.process.say(HELLO, found(2))
    assert following[0].result().size == 2


def test_too_much_memory(bench: Bench) -> None:
    """A process that has grown is replaced."""
    bench.scan()
    bench.process.say(HELLO, found(memory=MOST_MEMORY + 1))
    assert bench.process.is_dismissed


def test_hangs(bench: Bench) -> None:
    """A process that takes too long is killed; what it found is kept, and the next file has a new one."""
    partial, nothing = bench.scan("a", modified=2.0), bench.scan("b")
    bench.process.say(HELLO, found(7, is_complete=False))
    bench.reactor.clock.advance(LEAST_TIME + 1)
    assert bench.process.is_killed
    bench.process.end(by=signal.SIGKILL)
    assert partial.result().is_complete is False
    bench.pause()
    bench.process.say(HELLO)
    assert bench.asked() == ["b"]
    bench.process.end("Traceback\nMemoryError")
    assert isinstance(nothing.error, Unreadable)
    assert str(nothing.error) == "MemoryError"
    assert len(bench.reactor.processes) == 2


def test_killed_by_others(bench: Bench) -> None:
    """A file whose process somebody else kills is tried once more, for all who ask for it meanwhile."""
    first = bench.scan("a")
    bench.process.say(HELLO)
    second = bench.scan("a", urgent=True)
    other = bench.scan("b", modified=9.0)
    bench.process.end(by=signal.SIGKILL)
    assert not first.done
    bench.process.say(HELLO)
    assert len(bench.reactor.processes) == 2
    assert bench.asked() == ["a"]
    bench.process.say(found(5))
    assert first.result().size == second.result().size == 5
    assert not other.done


def test_deadly(bench: Bench) -> None:
    """A file whose process is killed twice isn't tried a third time, and tells what was found before."""
    scan = bench.scan("a", urgent=True)
    bench.process.say(HELLO, found(7, is_complete=False))
    bench.process.end(by=signal.SIGKILL)
    bench.process.say(HELLO)
    bench.process.end(by=signal.SIGSEGV)
    assert isinstance(scan.error, Interrupted)
    assert scan.error.is_deadly
    assert scan.error.found == found(7, is_complete=False)
    assert len(bench.reactor.processes) == 2


def test_too_much_of_a_core(bench: Bench) -> None:
    """A process that the kernel ends for the time it took is the file's fault."""
    scan = bench.scan("a")
    bench.process.say(HELLO)
    bench.process.end(by=signal.SIGXCPU)
    assert type(scan.error) is Unreadable


def test_problem_that_may_pass(bench: Bench) -> None:
    """What isn't the file's fault is told as such, with what was found before."""
    scan = bench.scan("a")
    bench.process.say(HELLO, found(7, is_complete=False), Said("Input/output error", may_pass=True))
    assert isinstance(scan.error, Interrupted)
    assert (str(scan.error), scan.error.is_deadly) == ("Input/output error", False)
    assert scan.error.found == found(7, is_complete=False)


def test_dropped(bench: Bench) -> None:
    """Files below a folder that is gone aren't read, but for those that somebody waits for."""
    scans = {name: bench.scan(name) for name in ("/sub/a", "/sub/deep/b", "/subway/c", "/d")}
    urgent = bench.scan("/sub/urgent", urgent=True)
    bench.scanner.drop(Path("/sub"))
    assert [name for name, scan in scans.items() if isinstance(scan.error, NotFound)] == [
        "/sub/a",
        "/sub/deep/b",
    ]
    assert not urgent.done
    assert bench.logged.lines == []


def test_many_dropped(bench: Bench) -> None:
    """Of many files that are gone some are told of at once, and the others in later turns of the reactor."""
    scans = [bench.scan(f"/sub/{number}") for number in range(2 * MOST_TOLD + 1)]
    bench.scanner.drop(Path("/sub"))
    assert sum(scan.done for scan in scans) == MOST_TOLD
    bench.reactor.clock.advance(0)
    assert all(scan.done for scan in scans)


def test_time_is_proportional() -> None:
    """Large files may take longer, and those whose objects are to be defined much longer."""
    small, large = Job(Path("a"), 1, 1.0), Job(Path("a"), 400 * 2**20, 1.0)
    assert small.time_limit == pytest.approx(LEAST_TIME, abs=0.1)
    assert large.time_limit == LEAST_TIME + 20
    assert Job(Path("a"), 400 * 2**20, 1.0, mark_objects=True).time_limit == LEAST_TIME + 1200


def test_cannot_be_read(bench: Bench) -> None:
    """A file that can't be read fails with the reason, and the process goes on."""
    scan = bench.scan()
    bench.process.say(HELLO, Said("Permission denied"))
    assert isinstance(scan.error, Unreadable)
    assert not bench.process.is_killed


def test_cannot_begin(bench: Bench) -> None:
    """A process that can't be begun is nobody's fault, and isn't tried again for a while."""
    bench.reactor.problem = OSError(12, "Cannot allocate memory")
    assert isinstance(bench.scan().error, Unavailable)
    bench.reactor.problem = None
    assert isinstance(bench.scan().error, Unavailable)
    bench.reactor.clock.advance(TRY_AGAIN)
    assert not bench.scan().done
    assert len(bench.logged.saying("Cannot allocate memory")) == 1


def test_never_ready(bench: Bench) -> None:
    """A process that ends, or hangs, before it is ready makes no file unreadable."""
    scan = bench.scan()
    bench.process.end("ModuleNotFoundError: No module named 'msgspec'")
    assert isinstance(scan.error, Unavailable)
    bench.reactor.clock.advance(TRY_AGAIN)
    scan = bench.scan()
    bench.reactor.clock.advance(LEAST_TIME)
    assert bench.process.is_killed
    bench.process.end("Killed")
    assert isinstance(scan.error, Unavailable)


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b"x" * 5_000_000])
def test_nonsense(bench: Bench, line: bytes) -> None:
    """A process that says what it shouldn't is killed."""
    bench.scan()
    bench.process.say(HELLO)
    bench.process.protocol.childDataReceived(1, line)
    assert bench.process.is_killed


def test_in_pieces(bench: Bench) -> None:
    """Replies are understood however they arrive."""
    scan = bench.scan()
    for byte in b'{"type":"Hello"}\n{"type":"Unreadable","reason":"no"}\n':
        bench.process.protocol.childDataReceived(1, bytes([byte]))
    assert str(scan.error) == "no"


def test_stop(bench: Bench) -> None:
    """To stop is to tell who waits, kill the process, and wait for its end; nothing is begun after."""
    scans = [bench.scan("a"), bench.scan("b")]
    bench.process.say(HELLO)
    stopped = start(bench.scanner.stop())
    assert all(isinstance(scan.error, Unavailable) for scan in scans)
    assert bench.process.is_killed
    assert not stopped.done
    bench.process.end("Killed")
    assert stopped.done
    assert isinstance(bench.scan("c").error, Unavailable)
    assert bench.reactor.clock.getDelayedCalls() == []
    assert bench.logged.lines == []


def test_stop_idle(bench: Bench) -> None:
    """Without a process there is nothing to wait for."""
    assert start(bench.scanner.stop()).done
