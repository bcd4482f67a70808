"""Threads of one's own: few at once, and nobody waits for those that hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Queue
from threading import Event
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from tests.tools import start
from txraker.reactor import OwnThreads

PATIENCE = 10.0


@define(eq=False)
class Turns:
    """What a reactor does of this: take calls from threads, and make them in turn."""

    calls: Queue[Callable[[], object]] = field(factory=Queue)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:  # noqa: N802
        """Take a call."""
        self.calls.put(lambda: call(*arguments))

    def turn(self) -> None:
        """Make the next call."""
        self.calls.get(timeout=PATIENCE)()


@pytest.fixture
def reactor() -> Turns:
    """Make a reactor."""
    return Turns()


@pytest.fixture
def threads(reactor: Turns) -> OwnThreads:
    """Make two threads."""
    return OwnThreads(reactor, 2, "test")  # type: ignore[arg-type]  # what it uses of a reactor


@pytest.fixture
def hanging() -> Iterator[Event]:
    """Let work hang until the test ends."""
    event = Event()
    yield event
    event.set()


def test_outcomes(reactor: Turns, threads: OwnThreads) -> None:
    """What work returns or raises is the outcome, told in the reactor's thread."""
    good = start(threads(lambda: 5))
    assert not good.done
    reactor.turn()
    assert good.result() == 5
    bad = start(threads(lambda: int("x")))
    reactor.turn()
    assert isinstance(bad.error, ValueError)


def test_few_at_once(reactor: Turns, threads: OwnThreads, hanging: Event) -> None:
    """While as much work hangs as there are threads, other work waits, and is done when one is free."""
    once = Event()
    first = start(threads(lambda: once.wait(PATIENCE)))
    second = start(threads(lambda: hanging.wait(PATIENCE)))
    third = start(threads(lambda: 3))
    once.set()
    reactor.turn()
    assert (first.done, second.done, third.done) == (True, False, False)
    reactor.turn()
    assert third.result() == 3


def test_nobody_wants_it_any_more(reactor: Turns, threads: OwnThreads, hanging: Event) -> None:
    """Work that was cancelled while it waited isn't done; what comes of other such work is ignored."""
    done: list[int] = []
    once = Event()
    wanted_before: list[Deferred[Any]] = [
        threads(lambda: once.wait(PATIENCE)),
        threads(lambda: hanging.wait(PATIENCE)),
        threads(lambda: done.append(1)),
    ]
    for wanted in wanted_before:
        wanted.addErrback(lambda _: None)
        wanted.cancel()
    last = start(threads(lambda: 4))
    once.set()
    reactor.turn()
    reactor.turn()
    assert (last.result(), done) == (4, [])
