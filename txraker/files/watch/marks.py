"""What is to be looked at, and when."""

from __future__ import annotations

from attrs import define, field

from txraker.files.watch.seen import Stamp
from txraker.files.watch.tree import Folder, Fresh

SETTLED = 0.25
"""Seconds in which nothing has happened, before a new folder or something deleted is told of."""

PATIENCE = 5.0
"""Seconds after which they are told of although things go on."""

NOT_CLOSED = 5.0
"""Seconds that a new file which nobody closes must stay as it is, to be told of."""

Key = tuple[Folder, str]
"""A folder and a name in it; the empty name is the folder's own, if it is a root's."""


@define(eq=False, repr=False)
class Mark:
    """Something that is to be looked at when it is ``due``.

    ``is_gone``: it was deleted, or, if that ``is_surmised``, it wasn't there at the last look.
    ``is_open``: it is being written; ``seen`` is how it was at the last look.
    ``is_deep``: everything in it is to be looked at, too.
    ``is_silent``: clients know of it, and of what was in it when it was ``announced`` (Unix time).
    """

    due: float
    since: float
    is_gone: bool = False
    is_surmised: bool = False
    is_open: bool = False
    is_deep: bool = False
    is_silent: bool = False
    announced: float = 0.0
    seen: Stamp | None = None
    fresh: Fresh | None = None


@define(eq=False, repr=False)
class Marks:
    """Everything that is to be looked at, in the order in which it was marked."""

    _marks: dict[Key, Mark] = field(factory=dict, init=False)
    _last_gone: float = field(default=0.0, init=False)

    def __len__(self) -> int:
        return len(self._marks)

    def get(self, key: Key) -> Mark | None:
        """Return the mark of something."""
        return self._marks.get(key)

    def at(self, key: Key, due: float, now: float) -> Mark:
        """Mark something, for then and no other time, and return the mark."""
        mark = self._marks.get(key)
        if mark is None:
            mark = self._marks[key] = Mark(due, now)
        mark.due = due
        return mark

    def gone(self, key: Key, now: float) -> Mark:
        """Mark something that was deleted: it may be back soon, and the folder it is in may go as well."""
        mark = self.at(key, now, now)
        mark.is_gone = True
        self._last_gone = now
        return mark

    def pop(self, key: Key) -> Mark | None:
        """Forget a mark and return it."""
        return self._marks.pop(key, None)

    def clear(self) -> list[Mark]:
        """Forget all marks and return them."""
        marks = list(self._marks.values())
        self._marks.clear()
        return marks

    def prune(self) -> list[Mark]:
        """Forget the marks in folders that are no more and return them."""
        return [self._marks.pop(key) for key in list(self._marks) if key[0].is_gone]

    def due_at(self, mark: Mark) -> float:
        """Return when a mark is due."""
        if mark.fresh is not None:
            return min(mark.fresh.last + SETTLED, mark.fresh.since + PATIENCE)
        if mark.is_gone:
            return min(max(mark.due, self._last_gone + SETTLED), mark.since + PATIENCE)
        return mark.due

    def all(self) -> list[tuple[Key, Mark]]:
        """Return what is marked."""
        return list(self._marks.items())
