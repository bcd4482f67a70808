"""Looks at the feeds: one look at a time, and none just after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.components.announcements.moonlight import Moonlight
from txraker.components.announcements.store import AnnouncementStore
from txraker.events import Events

REST = 10.0
"""Seconds after a look at all feeds for which what came of it is the answer to whoever wants another."""


@define(eq=False, repr=False)
class Lookout:
    """Takes over what is in feeds, and tells when that has changed something.

    ``now`` gives the time in seconds. Methods raise Unavailable without a database.
    """

    _moonlight: Moonlight
    _store: AnnouncementStore
    _now: Callable[[], float]
    _events: Events
    _one_at_a_time: DeferredLock = field(factory=DeferredLock, init=False)
    _added: set[str] = field(factory=set, init=False)
    _is_added_awaited: bool = field(default=False, init=False)
    _ended: float | None = field(default=None, init=False)
    _has_changed: bool = field(default=False, init=False)

    async def look(self) -> bool:
        """Look at all feeds, and return whether that changed anything.

        Who asks meanwhile, or soon after, is told what came of that look; of one that failed, nothing did.
        """
        await self._one_at_a_time.acquire()
        try:
            if self._ended is None or self._now() - self._ended >= REST:
                await self._look_at_all()
            return self._has_changed
        finally:
            self._one_at_a_time.release()

    async def look_at(self, feed: str) -> None:
        """Look at a feed that was added, together with others that are added until it is its turn."""
        self._added.add(feed)
        if self._is_added_awaited:
            return
        self._is_added_awaited = True
        await self._one_at_a_time.acquire()
        try:
            self._is_added_awaited = False
            feeds, self._added = self._added, set()
            await self._take_over(feeds)
        finally:
            self._one_at_a_time.release()

    def forget(self, feed: str) -> None:
        """Don't look at a feed any more, as it was removed."""
        self._added.discard(feed)
        self._moonlight.forget(feed)

    async def _look_at_all(self) -> None:
        self._has_changed = False
        try:
            self._has_changed = await self._take_over(await self._store.feeds())
        finally:
            self._ended = self._now()

    async def _take_over(self, feeds: Iterable[str]) -> bool:
        has_changed = await self._store.merge(await self._moonlight.fetch(feeds))
        if has_changed:
            self._events.emit(await self._store.news())
        return has_changed
