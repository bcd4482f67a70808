"""Moves: which of them may be told as such. Looking shows only that a name is gone and another is there.

A move is told when what was moved is known, its old name is free now, and it still has the new one. All else,
such as an editor that puts the old text aside and writes it anew, is told by what is different afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from txraker.files.watch.batches import Step
from txraker.files.watch.events import CLOSE_WRITE, CREATE, DELETE, MOVED_FROM, MOVED_TO, RawEvent
from txraker.files.watch.marks import Key, Mark, Marks
from txraker.files.watch.tree import Folder, Owners

COMPLETE = CLOSE_WRITE | MOVED_TO
"""Hints that nobody writes to a file any more."""

BACKUP_FOR = 1.0
"""Seconds for which nobody is told of a backup: editors remove it when the text is saved."""

Ends = dict[tuple[int, str], int]
"""The last step of a batch in which a name, in the folder of a watch, came or went."""


class Move(msgspec.Struct, frozen=True):
    """A move of something known between two known folders."""

    source: Key
    target: Key

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one."""
        return isinstance(self.source[0].entries[self.source[1]], Folder)


def ends(steps: Sequence[Step]) -> Ends:
    """Return the last step in which each name came or went."""
    found: Ends = {}
    for index, step in enumerate(steps):
        for event in (step.event, step.to):
            if event is not None and event.mask & (CREATE | DELETE | MOVED_FROM | MOVED_TO):
                found[event.watch, event.name] = index
    return found


def known(owners: Owners, event: RawEvent, to: RawEvent) -> Move | None:
    """Return the move that two events are the halves of, None if it leads from or to what isn't known."""
    sources, targets = owners.of(event.watch), owners.of(to.watch)
    if len(sources) != 1 or len(targets) != 1:
        return None
    source, target = sources[0], targets[0]
    if not isinstance(source, Folder) or not isinstance(target, Folder) or event.name not in source.entries:
        return None
    return Move((source, event.name), (target, to.name))


def is_last(index: int, event: RawEvent, to: RawEvent, ends: Ends) -> bool:
    """Say whether nothing came or went by either name afterwards."""
    return ends[event.watch, event.name] == index == ends[to.watch, to.name]


def is_sure(move: Move, mark: Mark | None) -> bool:
    """Say whether it is what is known that was moved, and not something else that had its name."""
    if mark is not None and mark.is_gone and not mark.is_surmised:
        return False
    moved = move.source[0].entries[move.source[1]]
    return all(folder is not moved for folder in move.target[0].above())


def put_off(marks: Marks, key: Key, now: float) -> None:
    """Wait before looking at what may be a backup."""
    mark = marks.get(key)
    if mark is not None and key[1] not in key[0].entries:
        mark.due = now + BACKUP_FOR
