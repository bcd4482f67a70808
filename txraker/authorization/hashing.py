"""Passwords are hashed off the reactor's thread, one at a time, and those whom we know go first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.authorization import passwords
from txraker.errors import Unavailable
from txraker.reactor import OffThread

_T = TypeVar("_T")

MOST_WAITING: Final = 64
"""Passwords that may wait to be hashed; further ones are refused, so that a flood of logins ends there."""


@define(eq=False, repr=False)
class Hashing:
    """Two queues: however many strangers wait, just one of them is ever in the way of those we know."""

    off_thread: OffThread
    _strangers: DeferredLock = field(factory=DeferredLock, init=False)
    _turn: DeferredLock = field(factory=DeferredLock, init=False)

    async def matches(self, password: str, kept: str, *, is_known: bool) -> bool:
        """Say whether a password is the one that was kept. Raises Unavailable when too many wait."""
        return await self._work(lambda: passwords.matches(password, kept), is_known=is_known)

    async def hashed(self, password: str, *, is_known: bool) -> str:
        """Return what is kept of a password. Raises Unavailable when too many wait."""
        return await self._work(lambda: passwords.hashed(password), is_known=is_known)

    async def _work(self, work: Callable[[], _T], *, is_known: bool) -> _T:
        queue = self._turn if is_known else self._strangers
        if len(queue.waiting) >= MOST_WAITING:
            raise Unavailable("Too many passwords are being checked; try again")
        if is_known:
            return await self._in_turn(work)
        await self._strangers.acquire()
        try:
            return await self._in_turn(work)
        finally:
            self._strangers.release()

    async def _in_turn(self, work: Callable[[], _T]) -> _T:
        await self._turn.acquire()
        try:
            return await self.off_thread(work)
        finally:
            self._turn.release()
