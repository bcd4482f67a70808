"""Coroutines that mostly end without waiting, begun at a fraction of a Deferred's cost.

Most calls are answered from our own state. Twisted's way to run a coroutine makes three objects and half a
dozen calls before it does anything; of a small answer that was a tenth (see ``benchmarks/``).
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed

_T = TypeVar("_T")


def begin(work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
    """Run a coroutine, as ``Deferred.fromCoroutine`` does; where it doesn't wait, without its detours."""
    try:
        awaited = work.send(None)
    except StopIteration as end:
        return succeed(end.value)
    except Exception:
        return fail()
    return Deferred.fromCoroutine(_rest(work, awaited))


async def _rest(work: Coroutine[Any, Any, _T], awaited: Any) -> _T:
    result: _T = await _go_on(work, awaited)
    return result


@coroutine
def _go_on(work: Coroutine[Any, Any, _T], awaited: Any) -> Generator[Any, Any, _T]:
    """Go on with a coroutine that waits for something."""
    while True:
        try:
            try:
                value = yield awaited
            except GeneratorExit:
                work.close()
                raise
            except BaseException as problem:
                awaited = work.throw(problem)
            else:
                awaited = work.send(value)
        except StopIteration as end:
            result: _T = end.value
            return result
