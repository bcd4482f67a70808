"""What to look at after each hint of the kernel, and what an answer changes: no clock, no disk.

Hints say where to look, and nothing else; what is told is the difference between what is there and what was
told before. So a hint that is lost, repeated or misunderstood costs a look, and no mistake that stays.
The one exception is a move, which can't be seen by looking: see ``moves``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field

from txraker.events import FileChange
from txraker.files.places import Root
from txraker.files.watch import moves
from txraker.files.watch.batches import Step
from txraker.files.watch.echoes import Echoes, Holds, Spot, spots_of, touch
from txraker.files.watch.events import (
    ABOUT_ITSELF,
    ATTRIB,
    CREATE,
    DELETE,
    IGNORED,
    IS_FOLDER,
    MOVE_SELF,
    MOVED_FROM,
    OVERFLOW,
    RawEvent,
)
from txraker.files.watch.marks import NOT_CLOSED, Key, Mark, Marks
from txraker.files.watch.seen import NOWHERE, Ask, FolderSeen, Seen, Stamp
from txraker.files.watch.teller import Teller
from txraker.files.watch.tree import Folder, Fresh, Owners, watches

MODIFIED_EVERY = 1.0
"""Seconds between two tellings of the same file."""

MOST_ASKS = 200
"""Places that are looked at together."""

MOST_MARKS = 20_000
"""Places that may wait to be looked at; when there are more, it is simpler to look at everything."""

STORM_PAUSE = 0.5
"""Seconds that are waited before everything is looked at."""


@define(eq=False, repr=False)
class Asked:
    """A question on its way to the disk. It ``is_stale`` when somebody has changed that place meanwhile."""

    key: Key
    mark: Mark
    ask: Ask
    spot: Spot
    is_stale: bool = False


@define(eq=False, repr=False)
class Core:
    """Knows what was told, and finds out what is to be told. Times are seconds of any clock."""

    _tell: Callable[[FileChange], None]
    _is_skipped: Callable[[str], bool]
    teller: Teller = field(init=False)
    marks: Marks = field(factory=Marks, init=False)
    _tops: dict[str, Folder] = field(factory=dict, init=False)
    _told_at: dict[Key, float] = field(factory=dict, init=False)
    _holds: Holds = field(factory=Holds, init=False)
    _echoes: Echoes = field(init=False)
    _in_flight: Sequence[Asked] = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self.teller = Teller(self._tell)
        self._echoes = Echoes(self.teller, self.marks, self._tops)

    @property
    def owners(self) -> Owners:
        """Whose each watch is."""
        return self.teller.owners

    def put_root(self, root: Root, now: float) -> None:
        """Watch a root from now on; one of the same name that is somewhere else is replaced."""
        self._disturb((root.name, ""))
        top = self._tops.setdefault(root.name, Folder(""))
        top.root = root
        self._mark_top(top, now)

    def drop_root(self, name: str) -> None:
        """Watch a root no more."""
        top = self._tops.pop(name, None)
        if top is not None:
            self.owners.abandon(top)

    def folders(self) -> Iterable[Folder]:
        """Return all folders that clients know of, and the roots."""
        return [folder for top in self._tops.values() for folder in top.folders()]

    @property
    def needs_more_watches(self) -> bool:
        """Whether a folder isn't watched because the kernel allows for no more."""
        return any(folder.problem == errno.ENOSPC for folder in self.folders())

    # What happens.

    def apply(self, steps: Sequence[Step], now: float) -> None:
        """Take in what has happened: tell moves at once, and mark what is to be looked at."""
        ends = moves.ends(steps)
        for index, step in enumerate(steps):
            if step.to is not None:
                self._moved(index, step.event, step.to, ends, now)
            elif step.event.mask & OVERFLOW:
                self.rescan(now)
            else:
                self._happened(step.event, now)
        if len(self.marks) > MOST_MARKS:
            self.rescan(now)

    def rescan(self, now: float) -> None:
        """Look at everything, soon: hints were lost, or there are too many."""
        for mark in self.marks.clear():
            self._forget_fresh(mark)
        for top in self._tops.values():
            self._mark_top(top, now + STORM_PAUSE)

    def _mark_top(self, top: Folder, due: float) -> None:
        self.marks.at((top, ""), due, due).is_deep = True

    def check_links(self, now: float) -> None:
        """Look whether roots and links lead where they did."""
        for folder in self.folders():
            if folder.parent is None or folder.stamp.is_link:
                self._mark_itself(folder, now)

    def check_unwatched(self, now: float) -> None:
        """Look at everything in folders that can't be watched."""
        for folder in self.folders():
            if folder.watch is None and folder.problem != errno.ELOOP:
                self._mark_itself(folder, now).is_deep = True

    def _mark_itself(self, folder: Folder, now: float) -> Mark:
        key = (folder.parent, folder.name) if folder.parent is not None else (folder, "")
        return self.marks.get(key) or self.marks.at(key, now, now)

    def _happened(self, event: RawEvent, now: float) -> None:
        for owner in self.owners.of(event.watch):
            if isinstance(owner, Fresh):
                owner.last = now
            elif event.mask & ABOUT_ITSELF:
                self._happened_to(owner, event, now)
            elif event.name and not self._is_skipped(event.name):
                self._happened_in((owner, event.name), event.mask, now)
        if event.mask & IGNORED:
            self.owners.forget(event.watch)

    def _happened_to(self, folder: Folder, event: RawEvent, now: float) -> None:
        mark = self._mark_itself(folder, now)
        if event.mask & IGNORED:
            folder.watch = None
            mark.is_deep = True
        if event.mask & MOVE_SELF and folder.parent is None:
            mark.is_deep = True

    def _happened_in(self, key: Key, mask: int, now: float) -> None:
        if mask & (DELETE | MOVED_FROM):
            self.marks.gone(key, now).is_surmised = False
            return
        if mask & ATTRIB and self.marks.get(key) is not None:
            return
        due = max(now, self._told_at[key] + MODIFIED_EVERY) if key in self._told_at else now
        mark = self.marks.at(key, due, now)
        if mask & CREATE and not mask & IS_FOLDER:
            mark.due, mark.is_open = now, True
        elif not mask & CREATE:
            mark.is_open = mark.is_open and not mask & moves.COMPLETE
        mark.is_gone = False

    def _moved(self, index: int, event: RawEvent, to: RawEvent, ends: moves.Ends, now: float) -> None:
        move = moves.known(self.owners, event, to)
        if (
            move is not None
            and moves.is_last(index, event, to, ends)
            and moves.is_sure(move, self.marks.get(move.source))
            and not self._is_skipped(to.name)
            and not self._is_held(move.source, is_deep=True)
            and not self._is_held(move.target, is_deep=True)
        ):
            self._tell_move(move, now)
            return
        self._happened(event, now)
        self._happened(to, now)
        if ends.get((event.watch, event.name)) != index:
            for owner in self.owners.of(to.watch):
                if isinstance(owner, Folder) and not self._is_skipped(to.name):
                    moves.put_off(self.marks, (owner, to.name), now)

    def _tell_move(self, move: moves.Move, now: float) -> None:
        """Tell it, and look at what was moved: into a folder, too, for looks at its old name were in vain."""
        is_folder = move.is_folder
        before = self.marks.pop(move.source)
        self._forget_fresh(self.marks.pop(move.target))
        self.teller.move(*move.source, *move.target)
        mark = self.marks.at(move.target, now, now)
        if before is not None:
            mark.is_silent, mark.announced = before.is_silent, before.announced
        if is_folder:
            mark.is_deep, mark.due = True, now + MODIFIED_EVERY

    # What others do.

    def expect(self, change: FileChange, now: float, wall: float) -> None:
        """Clients hear of this change from somebody else; ``wall`` is Unix time."""
        for spot in spots_of(change):
            self._disturb(spot)
        self._echoes.take(change, now, wall)

    def hold(self, spot: Spot) -> None:
        """Tell nothing of a place and what is in it until ``release`` is called as often."""
        self._disturb(spot)
        self._holds.add(spot)

    def release(self, spot: Spot) -> None:
        """Tell of a place again."""
        self._holds.drop(spot)

    def _disturb(self, spot: Spot) -> None:
        for asked in self._in_flight:
            asked.is_stale |= touch(asked.spot, spot)

    def _is_held(self, key: Key, *, is_deep: bool) -> bool:
        if not self._holds:
            return False
        root, path = key[0].place(key[1])
        return self._holds.covers((root.name, path), is_deep=is_deep)

    # What is asked and seen.

    def asks(self, now: float) -> list[Asked]:
        """Return what is to be looked at now; ``answer`` is to be called before anything else is asked."""
        for mark in self.marks.prune():
            self._forget_fresh(mark)
        self._told_at = {key: at for key, at in self._told_at.items() if now < at + MODIFIED_EVERY}
        asked = []
        for key, mark in self.marks.all():
            if self.marks.due_at(mark) <= now and not self._is_held(key, is_deep=mark.is_deep):
                asked.append(self._asked(key))
                if len(asked) >= MOST_ASKS:
                    break
        self._in_flight = asked
        return asked

    def due(self) -> float | None:
        """Return when there is something to look at, None if nothing is known of."""
        waiting = [mark for key, mark in self.marks.all() if not self._is_held(key, is_deep=mark.is_deep)]
        return min(map(self.marks.due_at, waiting), default=None)

    def _asked(self, key: Key) -> Asked:
        folder, name = key
        mark = self.marks.pop(key)
        assert mark is not None, "it was there a moment ago"
        root, relative = folder.place(name)
        path = f"{root.path}/{relative}" if relative else str(root.path)
        told = folder.entries.get(name) if name else folder
        known = told.identity if isinstance(told, Folder) and not mark.is_deep else None
        chain = list(folder.above()) if name else []
        above = tuple(one.identity for one in reversed(chain) if one.identity is not None)
        links = sum(one.stamp.is_link for one in chain)
        return Asked(key, mark, Ask(path, known, above, links), (root.name, relative))

    def answer(self, seen: Sequence[Seen], now: float) -> list[int]:
        """Take in what was seen, in the order of ``asks``, and return the watches that nobody needs."""
        pairs = list(zip(self._in_flight, seen, strict=True))
        self._in_flight = ()
        for asked, what in sorted(pairs, key=lambda pair: pair[0].spot[1].count("/")):
            if isinstance(what, FolderSeen):
                for watch in watches(what):
                    self.owners.seen(watch)
            if asked.key[0].is_gone:
                self._forget_fresh(asked.mark)
            elif asked.is_stale:
                self._ask_again(asked, now)
            elif not asked.key[1]:
                self._learn_root(asked.key[0], asked.mark, what)
            else:
                self._learn(asked.key, asked.mark, what, now)
        return self.owners.orphans()

    def _ask_again(self, asked: Asked, due: float) -> None:
        mark, before = self.marks.at(asked.key, due, due), asked.mark
        mark.is_deep |= before.is_deep
        mark.is_silent |= before.is_silent
        mark.announced = max(mark.announced, before.announced)
        mark.fresh = mark.fresh or before.fresh

    def _learn_root(self, top: Folder, mark: Mark, seen: Seen) -> None:
        if not isinstance(seen, FolderSeen):
            if top.identity not in {None, NOWHERE}:
                self.teller.root(top, None)
            top.identity = NOWHERE
        elif top.identity is None:
            self.teller.fill(top, seen)
        elif mark.is_silent:
            self.teller.fill(top, seen)
            if seen.changed > mark.announced:
                self.teller.root(top, seen)
        elif seen.identity != top.identity:
            self.teller.root(top, seen)
        elif seen.entries is not None:
            self.teller.compare(top, seen)

    def _learn(self, key: Key, mark: Mark, seen: Seen, now: float) -> None:
        if isinstance(seen, FolderSeen):
            self._learn_folder(key, mark, seen, now)
            return
        self._forget_fresh(mark)
        if isinstance(seen, Stamp):
            self._learn_file(key, mark, seen, now)
        elif mark.is_gone:
            self.teller.delete(*key)
        elif key[1] in key[0].entries:
            self.marks.gone(key, now).is_surmised = True

    def _learn_file(self, key: Key, mark: Mark, seen: Stamp, now: float) -> None:
        is_still = mark.seen is not None and mark.seen.is_like(seen)
        if mark.is_open and not seen.is_whole and not is_still:
            again = self.marks.at(key, now + NOT_CLOSED, now)
            again.is_open, again.seen = True, seen
            return
        self._told_at[key] = now
        self.teller.file(*key, seen)

    def _learn_folder(self, key: Key, mark: Mark, seen: FolderSeen, now: float) -> None:
        folder, name = key
        told = folder.entries.get(name)
        if isinstance(told, Folder) and mark.is_silent and told.identity is None:
            self.teller.fill(told, seen)
            if seen.changed > mark.announced:
                self.teller.again(told)
        elif isinstance(told, Folder) or mark.fresh is not None:
            self.teller.put(folder, name, seen)
        else:
            self.teller.delete(folder, name)
            self._begin_fresh(key, seen, now)
            return
        self._forget_fresh(mark)

    def _begin_fresh(self, key: Key, seen: FolderSeen, now: float) -> None:
        fresh = Fresh(now, now, set(watches(seen)))
        for watch in fresh.watches:
            self.owners.add(watch, fresh)
        self.marks.at(key, now, now).fresh = fresh

    def _forget_fresh(self, mark: Mark | None) -> None:
        if mark is not None and mark.fresh is not None:
            for watch in mark.fresh.watches:
                self.owners.drop(watch, mark.fresh)
