"""What was asked of the disk, and what was seen there."""

from __future__ import annotations

import msgspec

Identity = tuple[int, int]
"""What tells a folder from another of the same name: its device and its inode."""

NOWHERE: Identity = (0, 0)
"""The identity of a folder that isn't there."""


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """A file: when it was modified (Unix time) and how many bytes it has.

    ``is_whole`` says that nobody needs to close it: it is a link, or has another name besides. One that
    ``is_closed`` leads to what clients can't get at.
    """

    modified: float
    size: int
    is_link: bool = False
    is_whole: bool = False
    is_closed: bool = False

    def is_like(self, other: Stamp) -> bool:
        """Say whether nobody has written between the two."""
        return self.modified == other.modified and self.size == other.size


class FolderSeen(msgspec.Struct, frozen=True, eq=False):
    """A folder. ``entries`` is None when it is the one that was known, and wasn't looked into.

    ``watch`` is None when it can't be watched, for the reason ``problem`` (errno). ``changed`` is when it, or
    anything in it, was changed last in any way (Unix time).
    """

    stamp: Stamp
    identity: Identity
    watch: int | None = None
    problem: int = 0
    entries: dict[str, Stamp | FolderSeen] | None = None
    changed: float = 0.0


Seen = Stamp | FolderSeen | None
"""What is at a path; None for nothing that clients get to see."""


class Ask(msgspec.Struct, frozen=True):
    """What is at a path? A folder is watched and looked into, with all in it, unless it is ``known``.

    ``above`` are the folders it is in, ``links`` how many of them are links.
    """

    path: str
    known: Identity | None = None
    above: tuple[Identity, ...] = ()
    links: int = 0
