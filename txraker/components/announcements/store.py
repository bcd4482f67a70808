"""Announcements and subscribed feeds, kept in the database as Moonraker keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.components.announcements.board import Board
from txraker.errors import BadRequest, NotFound, Unavailable
from txraker.events import Announcement, AnnouncementEntries, AnnouncementUpdate
from txraker.interfaces import INamespaces

NAMESPACE = "announcements"

ALWAYS = ("moonraker", "klipper")
"""Feeds that everybody is subscribed to."""

MOST_FEEDS = 50
"""Feeds that clients can add: each of them is fetched regularly."""

_FEEDS = ("moonraker", ("announcements", "stored_feeds"))


@define(eq=False, repr=False)
class AnnouncementStore:
    """Keeps announcements, one change after the other. Each method raises Unavailable without a database."""

    _configured_feeds: Sequence[str]
    _namespaces: INamespaces
    _board: Board | None = field(default=None, init=False)
    _one_at_a_time: DeferredLock = field(factory=DeferredLock, init=False)

    async def board(self) -> Board:
        """Return what there is; only methods of this class change it."""
        await self._one_at_a_time.acquire()
        try:
            return await self._loaded()
        finally:
            self._one_at_a_time.release()

    async def news(self) -> AnnouncementUpdate:
        """Return what clients are told when announcements have come or gone."""
        return AnnouncementUpdate(AnnouncementEntries((await self.board()).newest_first()))

    async def feeds(self) -> list[str]:
        """Return the names of all feeds: those for everybody, those of the configuration, those added."""
        names = (*ALWAYS, *(name.lower() for name in self._configured_feeds), *await self._added_feeds())
        return list(dict.fromkeys(names))

    async def add_feed(self, name: str) -> bool:
        """Subscribe to a feed and return whether that is new. Raises BadRequest when there are too many."""
        await self._one_at_a_time.acquire()
        try:
            if name in await self.feeds():
                return False
            added = await self._added_feeds()
            if len(added) >= MOST_FEEDS:
                raise BadRequest(f"No more than {MOST_FEEDS} feeds can be added")
            await self._put_feeds([*added, name])
        finally:
            self._one_at_a_time.release()
        return True

    async def remove_feed(self, name: str) -> bool:
        """End the subscription to a feed that was added, and return whether it had announcements.

        Raises BadRequest for any other.
        """
        await self._one_at_a_time.acquire()
        try:
            added = await self._added_feeds()
            if name not in added:
                raise BadRequest(f"Feed '{name}' not stored")
            await self._put_feeds([feed for feed in added if feed != name])
            board = await self._loaded()
            gone = board.keys_of_feed(name) if name not in await self.feeds() else []
            await self._forget(board, gone)
        finally:
            self._one_at_a_time.release()
        return bool(gone)

    async def merge(self, found: Mapping[str, list[Announcement]]) -> bool:
        """Take over what is in feeds that were read, and return whether that changes anything.

        What is known already stays as it is; what is in no feed any more is forgotten.
        """
        await self._one_at_a_time.acquire()
        try:
            feeds = await self.feeds()
            wanted = {feed: entries for feed, entries in found.items() if feed in feeds}
            board = await self._loaded()
            gone = board.gone_of(wanted, feeds)
            await self._forget(board, gone)
            new = board.new_of(entry for entries in wanted.values() for entry in entries)
            await self._put(board, new)
        finally:
            self._one_at_a_time.release()
        return bool(gone or new)

    async def dismiss(self, entry_id: str, now: float, wake: float | None) -> bool:
        """Dismiss an announcement, until ``wake``, and return whether it wasn't dismissed before.

        Times are Unix time. Raises BadRequest when there is no such announcement.
        """
        await self._one_at_a_time.acquire()
        try:
            board = await self._loaded()
            key = board.key_of(entry_id)
            if key is None:
                raise BadRequest(f"No key matching entry id: {entry_id}")
            entry = board.entries[key]
            if entry.dismissed:
                return False
            dismissed = msgspec.structs.replace(entry, dismissed=True, date_dismissed=now, dismiss_wake=wake)
            await self._put(board, {key: dismissed})
        finally:
            self._one_at_a_time.release()
        return True

    async def wake(self, now: float) -> list[str]:
        """Bring back what is due, and return its ids."""
        await self._one_at_a_time.acquire()
        try:
            board = await self._loaded()
            awake = board.awake_at(now)
            with suppress(Unavailable):  # it is back all the same, and will be when this is read again
                await self._put(board, awake)
            board.entries |= awake
        finally:
            self._one_at_a_time.release()
        return [entry.entry_id for entry in awake.values()]

    async def _loaded(self) -> Board:
        if self._board is None:
            try:
                self._board = Board.of_stored(await self._namespaces.get(NAMESPACE))
            except NotFound:
                self._board = Board()
        return self._board

    async def _put(self, board: Board, entries: Mapping[str, Announcement]) -> None:
        if entries:
            stored = {key: msgspec.to_builtins(entry) for key, entry in entries.items()}
            await self._namespaces.put_many(NAMESPACE, stored)
            board.entries |= entries

    async def _forget(self, board: Board, keys: Iterable[str]) -> None:
        for key in keys:
            with suppress(NotFound):
                await self._namespaces.delete(NAMESPACE, [key])
            del board.entries[key]

    async def _added_feeds(self) -> list[str]:
        namespace, key = _FEEDS
        try:
            stored: Any = await self._namespaces.get(namespace, key)
        except NotFound:
            return []
        return [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else []

    async def _put_feeds(self, names: list[str]) -> None:
        namespace, key = _FEEDS
        await self._namespaces.put(namespace, key, names)
