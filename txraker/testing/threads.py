"""Work that would leave the reactor's thread, done here and now: provides OffThread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

_T = TypeVar("_T")


def at_once(work: Callable[[], _T]) -> Deferred[_T]:
    """Return what ``work`` returns, or fail with what it raises, without any thread."""
    return maybeDeferred(work)
