"""The announcements that there are, and what may become of them. Nothing here is kept or told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from attrs import define, field

from txraker.events import Announcement

FETCHED = "moonlight"
"""The source of what comes from feeds."""


@define(eq=False, repr=False)
class Board:
    """Announcements by the keys that they are kept under: six digits that count up."""

    entries: dict[str, Announcement] = field(factory=dict)

    @classmethod
    def of_stored(cls, stored: Mapping[str, object]) -> Board:
        """Return the announcements that are kept; what isn't one is passed over."""
        board = cls()
        for key in sorted(stored):
            try:
                board.entries[key] = msgspec.convert(stored[key], Announcement)
            except msgspec.ValidationError:
                continue
        return board

    def newest_first(self, *, include_dismissed: bool = True) -> list[Announcement]:
        """Return the announcements in the order of their dates."""
        wanted = [entry for entry in self.entries.values() if include_dismissed or not entry.dismissed]
        return sorted(wanted, key=lambda entry: entry.date, reverse=True)

    def key_of(self, entry_id: str) -> str | None:
        """Return the key of an announcement, None when there is none of that id."""
        return next((key for key, entry in self.entries.items() if entry.entry_id == entry_id), None)

    def new_of(self, found: Iterable[Announcement]) -> dict[str, Announcement]:
        """Return those that aren't there yet, with the keys to keep them under."""
        known = {entry.entry_id for entry in self.entries.values()}
        last = max((int(key) for key in self.entries if key.isdecimal()), default=-1)
        new = [entry for entry in found if entry.entry_id not in known]
        return {f"{number:06d}": entry for number, entry in enumerate(new, last + 1)}

    def gone_of(self, found: Mapping[str, Iterable[Announcement]], feeds: Iterable[str]) -> list[str]:
        """Return the keys of those that are in no feed any more.

        ``feeds`` are all that there are, ``found`` is what was in those that could be read just now.
        """
        there = {feed: {entry.entry_id for entry in entries} for feed, entries in found.items()}
        known = set(feeds)

        def is_gone(entry: Announcement) -> bool:
            feed = entry.feed.lower()
            return feed not in known or (feed in there and entry.entry_id not in there[feed])

        return [key for key, entry in self._fetched() if is_gone(entry)]

    def keys_of_feed(self, feed: str) -> list[str]:
        """Return the keys of a feed's announcements."""
        return [key for key, entry in self._fetched() if entry.feed.lower() == feed]

    def next_wake(self) -> float | None:
        """Return when the next dismissed one comes back, as Unix time; None for never."""
        return min(
            (entry.dismiss_wake for entry in self.entries.values() if entry.dismiss_wake is not None),
            default=None,
        )

    def awake_at(self, now: float) -> dict[str, Announcement]:
        """Return those that are due to come back, as they are then, with their keys."""
        return {
            key: msgspec.structs.replace(entry, dismissed=False, date_dismissed=None, dismiss_wake=None)
            for key, entry in self.entries.items()
            if entry.dismiss_wake is not None and entry.dismiss_wake <= now
        }

    def _fetched(self) -> Iterator[tuple[str, Announcement]]:
        return ((key, entry) for key, entry in self.entries.items() if entry.source == FETCHED)
