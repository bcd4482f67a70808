"""Changes that clients hear of from somebody else, and that must not be told twice."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from txraker.events import FileAction, FileChange, FileItem
from txraker.files.watch.marks import Key, Marks
from txraker.files.watch.seen import Stamp
from txraker.files.watch.teller import Teller
from txraker.files.watch.tree import Folder

Spot = tuple[str, str]
"""A root's name and the way from there; the empty one is the root's own."""


def is_in(spot: Spot, folder: Spot) -> bool:
    """Say whether a place is somewhere in another, or the same."""
    return spot[0] == folder[0] and (not folder[1] or f"{spot[1]}/".startswith(f"{folder[1]}/"))


def touch(one: Spot, other: Spot) -> bool:
    """Say whether one place is in the other, or the other in the one."""
    return is_in(one, other) or is_in(other, one)


def spots_of(change: FileChange) -> list[Spot]:
    """Return the places that a change is about."""
    spots = [(change.item.root, change.item.path)]
    if change.source_item is not None:
        spots.append((change.source_item.root, change.source_item.path))
    return spots


@define(eq=False, repr=False)
class Holds:
    """Places that somebody is working on, who tells of it at the end."""

    _held: Counter[Spot] = field(factory=Counter, init=False)

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, spot: Spot) -> None:
        """Hold a place."""
        self._held[spot] += 1

    def drop(self, spot: Spot) -> None:
        """Hold it no more, as far as this one is concerned."""
        self._held[spot] -= 1
        if not self._held[spot]:
            del self._held[spot]

    def covers(self, spot: Spot, *, is_deep: bool) -> bool:
        """Say whether a place is in one that is held, or, if it is looked at deeply, around one."""
        return any(is_in(spot, held) or (is_deep and is_in(held, spot)) for held in self._held)


@define(eq=False, repr=False)
class Echoes:
    """Takes changes that clients know of into what they were told. The places are looked at all the same."""

    _teller: Teller
    _marks: Marks
    _tops: dict[str, Folder]

    def take(self, change: FileChange, now: float, wall: float) -> None:
        """Clients know of this change; ``wall`` is Unix time."""
        item, source = change.item, change.source_item
        moved: Stamp | Folder | None = None
        origin = self._find((source.root, source.path)) if source is not None else None
        if origin is not None:
            moved = origin[0].entries.pop(origin[1], None)
            self._marks.at(origin, now, now)
        if not change.action.startswith("delete"):
            self._make_known((item.root, item.path), now)
        key = self._find((item.root, item.path))
        if key is None:
            self._abandon(moved)
            return
        self._enter(key, item, change.action, moved)
        mark = self._marks.at(key, now, now)
        mark.is_gone = mark.is_open = False
        mark.is_silent |= change.action in {"create_dir", "move_dir", "root_update"}
        mark.announced = wall
        mark.is_deep |= change.action in {"move_dir", "root_update"}

    def _enter(self, key: Key, item: FileItem, action: FileAction, moved: Stamp | Folder | None) -> None:
        folder, name = key
        told = folder.entries.get(name)
        if not name or (action == "create_dir" and isinstance(told, Folder)):
            return
        self._abandon(told)
        folder.entries.pop(name, None)
        if action in {"create_dir", "move_dir"}:
            folder.attach(name, moved if isinstance(moved, Folder) else Folder(name))
        elif action in {"create_file", "modify_file", "move_file"}:
            folder.entries[name] = Stamp(item.modified, item.size)

    def _abandon(self, told: Stamp | Folder | None) -> None:
        if isinstance(told, Folder):
            self._teller.owners.abandon(told)

    def _find(self, spot: Spot) -> Key | None:
        """Return the folder a place is in and its name there, None where clients know of no such folder."""
        folder = self._tops.get(spot[0])
        *names, name = spot[1].split("/")
        for inner in names:
            entry = folder.entries.get(inner) if folder is not None else None
            folder = entry if isinstance(entry, Folder) else None
        return (folder, name) if folder is not None else None

    def _make_known(self, spot: Spot, now: float) -> None:
        """Let the folders that something is in be known, for clients heard of it; they are told of later."""
        folder = self._tops.get(spot[0])
        for name in spot[1].split("/")[:-1]:
            if folder is None:
                return
            inner = folder.entries.get(name)
            if not isinstance(inner, Folder):
                inner = Folder(name)
                folder.attach(name, inner)
                self._marks.at((folder, name), now, now).is_silent = True
            folder = inner
