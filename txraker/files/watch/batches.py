"""Events a few at a time: held until it is quiet for a moment, so that what belongs together stays so."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from attrs import define, field

from txraker.files.watch.events import MOVED_FROM, MOVED_TO, RawEvent

QUIET = 0.05
"""Seconds without an event that end a batch."""

LONGEST = 0.25
"""Seconds after which a batch ends although events go on."""

MOST_EVENTS = 2000
"""Events that end a batch."""

OTHER_HALF_WITHIN = 0.1
"""Seconds in which the second half of a move comes; a move without leads out of what is watched."""


class Step(msgspec.Struct, frozen=True):
    """Something that happened; with ``to`` it is a whole move, from ``event`` to there."""

    event: RawEvent
    to: RawEvent | None = None


@define(eq=False, repr=False)
class Batches:
    """Events that wait. Times are seconds of any clock."""

    _held: list[tuple[RawEvent, float]] = field(factory=list, init=False)
    _not_before: float = field(default=0.0, init=False)

    def __len__(self) -> int:
        return len(self._held)

    def take(self, events: Iterable[RawEvent], now: float) -> None:
        """Add events, in their order; one that is repeated at once counts for one."""
        for event in events:
            if not (self._held and self._held[-1][0] == event):
                self._held.append((event, now))

    def due(self) -> float | None:
        """Return when a batch ends, if nothing else happens; None if there is none."""
        if not self._held:
            return None
        if len(self._held) >= MOST_EVENTS:
            return self._not_before
        first, last = self._held[0][1], self._held[-1][1]
        return max(min(last + QUIET, first + LONGEST), self._not_before)

    def steps(self, now: float) -> list[Step]:
        """Return what happened, in order, and hold it no more; nothing if a batch is still under way.

        A first half of a move that may still be completed is held, and all that came after it.
        """
        due = self.due()
        if due is None or now < due:
            return []
        others = {event.cookie: event for event, _ in self._held if event.mask & MOVED_TO and event.cookie}
        done: list[Step] = []
        completed = set()
        for index, (event, at) in enumerate(self._held):
            to = others.get(event.cookie) if event.mask & MOVED_FROM else None
            if event.mask & MOVED_FROM and to is None and now < at + OTHER_HALF_WITHIN:
                self._held = self._held[index:]
                self._not_before = at + OTHER_HALF_WITHIN
                return done
            if to is not None:
                completed.add(to.cookie)
            if not (event.mask & MOVED_TO and event.cookie in completed):
                done.append(Step(event, to))
        self._held = []
        return done
