"""Coroutines begun here end as they do elsewhere in Twisted, whether they wait or not."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.tools import result_of, start
from txraker.coroutines import begin


def test_no_wait() -> None:
    """What doesn't wait has ended at once, with its result or with what it raised."""

    async def work(number: int) -> int:
        return 10 // number

    assert result_of(begin(work(5))) == 2
    with pytest.raises(ZeroDivisionError):
        result_of(begin(work(0)))


def test_waits() -> None:
    """What waits, more than once, goes on with the results, and with what goes wrong."""
    waited: list[Deferred[int]] = [Deferred(), Deferred(), Deferred()]

    async def work() -> list[object]:
        found: list[object] = [await waited[0]]
        try:
            await waited[1]
        except ValueError as problem:
            found.append(str(problem))
        return [*found, await waited[2]]

    running = start(begin(work()))
    waited[0].callback(1)
    waited[1].errback(ValueError("two"))
    assert not running.done
    waited[2].callback(3)
    assert running.result() == [1, "two", 3]


def test_raises_after_waiting() -> None:
    """What is raised after a wait is what the Deferred fails with."""
    waited: Deferred[int] = Deferred()

    async def work() -> None:
        await waited
        raise KeyError("x")

    running = start(begin(work()))
    waited.callback(1)
    with pytest.raises(KeyError):
        running.result()


def test_cancelled() -> None:
    """To cancel it is to cancel what it waits for; it may clean up before it ends."""
    cleaned = []
    waited: Deferred[int] = Deferred()

    async def work() -> None:
        try:
            await waited
        except CancelledError:
            cleaned.append(True)
            raise

    running = begin(work())
    running.cancel()
    with pytest.raises(CancelledError):
        result_of(running)
    assert cleaned == [True]


def test_deep_waits() -> None:
    """A thousand waits that are over already don't pile up."""

    async def work() -> int:
        total = 0
        for number in range(1000):
            over: Deferred[int] = Deferred()
            over.callback(number)
            total += await over
        return total

    assert result_of(begin(work())) == 499500
