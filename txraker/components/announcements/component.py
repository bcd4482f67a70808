"""``server.announcements.*``: news for users, which they may dismiss, for a time or for good.

Contract: "Announcements" of Moonraker's API.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txraker.api.caller import Caller
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.components.announcements.lookout import Lookout
from txraker.components.announcements.store import AnnouncementStore
from txraker.errors import BadRequest, Unavailable
from txraker.events import (
    Announcement,
    AnnouncementDismissed,
    AnnouncementId,
    AnnouncementWake,
    Events,
)
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IComponent

FETCH_EVERY = 1800.0
"""Seconds between two looks at the feeds, give or take a tenth, so that not all printers ask at once."""

FIRST_FETCH = 60.0
"""Seconds until the first look, at the most."""

TRY_AGAIN = 60.0
"""Seconds until the database is asked again for what it couldn't say."""

LONGEST_SLEEP = 10 * 365 * 86400.0
"""Seconds for which an announcement can be dismissed, short of for good."""

_FEED_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

FeedName = Annotated[str, Meta(min_length=1, max_length=100, description="The feed's name.")]


class AnnouncementList(msgspec.Struct, frozen=True):
    """Announcements, the newest first, and the feeds that they come from."""

    entries: list[Announcement]
    feeds: list[str]


class AnnouncementsUpdated(msgspec.Struct, frozen=True):
    """Announcements, the newest first; `modified` says whether some have come or gone."""

    entries: list[Announcement]
    modified: bool


class Feeds(msgspec.Struct, frozen=True):
    """The names of feeds."""

    feeds: list[str]


class FeedAction(msgspec.Struct, frozen=True):
    """What was done to a feed: `skipped` says that there was nothing to do."""

    feed: str
    action: Literal["added", "skipped", "removed"]


@implementer(IComponent)
@define(eq=False, repr=False)
class Announcements:
    """Shows announcements, and fetches feeds where there is a ``lookout``.

    ``clock`` gives Unix time and calls back; ``chance`` returns numbers from 0 to 1.
    """

    _clock: IReactorTime
    _store: AnnouncementStore
    _lookout: Lookout | None
    _events: Events
    _report_fault: FaultReport
    _chance: Callable[[], float] = random.random
    _waking: IDelayedCall | None = field(default=None, init=False)
    _fetching: IDelayedCall | None = field(default=None, init=False)
    _aside: set[Deferred[None]] = field(factory=set, init=False)

    name = "announcements"

    def start(self) -> None:
        self._run(self._arrange_wake)
        if self._lookout is not None:
            self._fetching = self._clock.callLater(FIRST_FETCH * self._chance(), self._fetch_regularly)

    def stop(self) -> None:
        for call in (self._waking, self._fetching):
            if call is not None and call.active():
                call.cancel()
        for work in list(self._aside):
            work.cancel()
        self._waking = self._fetching = None

    @endpoint("server.announcements.list", GET, "/server/announcements/list")
    async def list_announcements(
        self,
        caller: Caller,
        *,
        include_dismissed: Annotated[bool, Meta(description="Whether dismissed ones are included.")] = True,
    ) -> AnnouncementList:
        """Return the announcements, the newest first."""
        board = await self._store.board()
        entries = board.newest_first(include_dismissed=include_dismissed)
        return AnnouncementList(entries, await self._store.feeds())

    @endpoint("server.announcements.update", POST, "/server/announcements/update")
    async def update(self, caller: Caller) -> AnnouncementsUpdated:
        """Fetch the feeds now, if that is configured, and return the announcements.

        If that is being done, or was done less than ten seconds ago, the answer is what came of it.
        """
        modified = await self._look()
        return AnnouncementsUpdated((await self._store.board()).newest_first(), modified)

    @endpoint(
        "server.announcements.dismiss",
        POST,
        "/server/announcements/dismiss",
        audit=("entry_id", "wake_time"),
    )
    async def dismiss(
        self,
        caller: Caller,
        *,
        entry_id: Annotated[str, Meta(description="Which announcement.")],
        wake_time: Annotated[
            Annotated[float, Meta(ge=0, le=LONGEST_SLEEP)] | None,
            Meta(description="Seconds until it comes back; if not given it doesn't."),
        ] = None,
    ) -> AnnouncementId:
        """Dismiss an announcement. One that is dismissed already stays as it is."""
        now = self._clock.seconds()
        wake = None if wake_time is None else now + wake_time
        if await self._store.dismiss(entry_id, now, wake):
            self._events.emit(AnnouncementDismissed(AnnouncementId(entry_id)))
            await self._arrange_wake()
        return AnnouncementId(entry_id)

    @endpoint("server.announcements.feeds", GET, "/server/announcements/feeds")
    async def feeds(self, caller: Caller) -> Feeds:
        """Return the names of all subscribed feeds."""
        return Feeds(await self._store.feeds())

    @endpoint("server.announcements.post_feed", POST, "/server/announcements/feed", audit=("name",))
    async def post_feed(self, caller: Caller, *, name: FeedName) -> FeedAction:
        """Subscribe to a feed, of at most 50 that are added so. Small and capital letters are the same."""
        feed = name.lower()
        if not _FEED_NAME.fullmatch(feed):
            raise BadRequest(f"Invalid value for 'name': {name}")
        is_new = await self._store.add_feed(feed)
        if is_new and self._lookout is not None:
            self._run(partial(self._lookout.look_at, feed))
        return FeedAction(feed, "added" if is_new else "skipped")

    @endpoint("server.announcements.delete_feed", DELETE, "/server/announcements/feed", audit=("name",))
    async def delete_feed(
        self, caller: Caller, *, name: Annotated[str, Meta(description="The feed's name.")]
    ) -> FeedAction:
        """End the subscription to a feed that was added by `post_feed`; its announcements go, too."""
        feed = name.lower()
        had_entries = await self._store.remove_feed(feed)
        if self._lookout is not None:
            self._lookout.forget(feed)
        if had_entries:
            self._events.emit(await self._store.news())
        return FeedAction(feed, "removed")

    def _fetch_regularly(self) -> None:
        delay = FETCH_EVERY * (0.9 + 0.2 * self._chance())
        self._fetching = self._clock.callLater(delay, self._fetch_regularly)
        self._run(self._look)

    async def _look(self) -> bool:
        """Look at the feeds, if that is configured, and return whether something has changed."""
        return self._lookout is not None and await self._lookout.look()

    async def _arrange_wake(self) -> None:
        """Be called when the next announcement comes back, and only then."""
        try:
            wake = (await self._store.board()).next_wake()
        except Unavailable:
            self._call_to_wake(TRY_AGAIN, self._arrange_wake)
            return
        delay = None if wake is None else min(max(0.0, wake - self._clock.seconds()), LONGEST_SLEEP)
        self._call_to_wake(delay, self._wake)

    def _call_to_wake(self, delay: float | None, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._waking is not None and self._waking.active():
            self._waking.cancel()
        self._waking = None if delay is None else self._clock.callLater(delay, self._run, work)

    async def _wake(self) -> None:
        for entry_id in await self._store.wake(self._clock.seconds()):
            self._events.emit(AnnouncementWake(AnnouncementId(entry_id)))
        await self._arrange_wake()

    def _run(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do something that nobody waits for, until we stop; without a database it isn't done."""
        running = run_aside(work(), self.name, self._report_fault, Unavailable)
        if not running.called:
            self._aside.add(running)
            running.addBoth(lambda _result: self._aside.discard(running))
