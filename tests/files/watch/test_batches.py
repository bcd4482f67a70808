"""Events that belong together."""

from __future__ import annotations

from txraker.files.watch.batches import (
    LONGEST,
    MOST_EVENTS,
    OTHER_HALF_WITHIN,
    QUIET,
    Batches,
    Step,
)
from txraker.files.watch.events import CLOSE_WRITE, CREATE, MOVED_FROM, MOVED_TO, RawEvent

CREATED, CLOSED = RawEvent(1, CREATE, 0, "a"), RawEvent(1, CLOSE_WRITE, 0, "a")
GONE, THERE = RawEvent(1, MOVED_FROM, 5, "a"), RawEvent(2, MOVED_TO, 5, "b")


def test_quiet() -> None:
    """A batch ends when it has been quiet for a moment, and not before."""
    batches = Batches()
    assert batches.due() is None
    batches.take([CREATED], 0.0)
    batches.take([CLOSED], 0.04)
    assert batches.steps(0.08) == []
    assert batches.due() == 0.04 + QUIET
    assert batches.steps(0.04 + QUIET) == [Step(CREATED), Step(CLOSED)]
    assert batches.due() is None


def test_never_quiet() -> None:
    """When events don't end, a batch does."""
    batches = Batches()
    now = 0.0
    while not batches.steps(now):
        batches.take([CREATED, CLOSED], now)
        now += 0.01
    assert LONGEST <= now < LONGEST + 0.02


def test_many() -> None:
    """Many events are a batch, quiet or not."""
    batches = Batches()
    batches.take([RawEvent(1, CREATE, 0, str(number)) for number in range(MOST_EVENTS)], 1.0)
    assert len(batches.steps(1.0)) == MOST_EVENTS


def test_repeated() -> None:
    """The same event over and over takes no memory."""
    batches = Batches()
    batches.take([CLOSED] * 1000, 0.0)
    assert len(batches) == 1


def test_move() -> None:
    """The halves of a move are one step, at the place of the first."""
    batches = Batches()
    batches.take([GONE, CREATED, THERE], 0.0)
    assert batches.steps(1.0) == [Step(GONE, THERE), Step(CREATED)]


def test_move_over_two_reads() -> None:
    """The second half of a move may come later; what comes after the first half waits, too."""
    batches = Batches()
    batches.take([CLOSED, GONE, CREATED], 0.0)
    assert batches.steps(QUIET) == [Step(CLOSED)]
    assert batches.due() == OTHER_HALF_WITHIN
    batches.take([THERE], 0.08)
    assert batches.steps(0.2) == [Step(GONE, THERE), Step(CREATED)]


def test_half_a_move() -> None:
    """A half without its other is a step of its own, after a while."""
    batches = Batches()
    batches.take([GONE], 0.0)
    assert batches.steps(0.09) == []
    assert batches.steps(OTHER_HALF_WITHIN) == [Step(GONE)]
    batches.take([THERE], 1.0)
    assert batches.steps(2.0) == [Step(THERE)]
