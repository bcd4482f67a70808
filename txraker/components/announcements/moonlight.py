"""Moonlight: a place on GitHub where the feeds of announcements are.

Contract: "How announcements work" of Moonraker's documentation of announcements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import quote

from attrs import define

from txraker.components.announcements.rss import NotAFeed, read_feed
from txraker.events import Announcement
from txraker.fetching import CannotFetch
from txraker.server_warnings import ServerWarnings

FEEDS = "https://arksine.github.io/moonlight/assets"


@define(eq=False, repr=False)
class Moonlight:
    """Fetches feeds; ``read`` returns what is at a URL or raises CannotFetch, ``now`` gives Unix time."""

    _read: Callable[[str], Awaitable[bytes]]
    _now: Callable[[], float]
    _warnings: ServerWarnings

    async def fetch(self, feeds: Iterable[str]) -> dict[str, list[Announcement]]:
        """Return the announcements of each feed; one that can't be had isn't there, and is a warning."""
        found = {}
        for feed in feeds:
            try:
                found[feed] = read_feed(await self._read(_url(feed)), feed, self._now())
            except (CannotFetch, NotAFeed) as problem:
                text = f"The announcements of '{feed}' can't be read from {_url(feed)}: {problem}"
                self._warnings.put(_key(feed), text)
            else:
                self._warnings.drop(_key(feed))
        return found

    def forget(self, feed: str) -> None:
        """Take back what was said of a feed."""
        self._warnings.drop(_key(feed))


def _url(feed: str) -> str:
    return f"{FEEDS}/{quote(feed, safe='')}.xml"


def _key(feed: str) -> str:
    return f"announcements {feed}"
