"""What clients have been told is there, folder by folder, and which watch belongs to which folder.

A file takes its name, a Stamp and a place in a dictionary: 1.6 MB for 10,000 files.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from txraker.events import FileItem, SourceItem
from txraker.files.places import Root
from txraker.files.watch.seen import FolderSeen, Identity, Stamp

GONE = Stamp(0.0, 0)


@define(eq=False, repr=False)
class Folder:
    """A folder, and what is in it; without a ``parent`` it is a root's own.

    ``identity`` is None until it has been looked into, ``watch`` as long as nobody watches it.
    """

    name: str
    stamp: Stamp = GONE
    parent: Folder | None = None
    root: Root | None = None
    identity: Identity | None = None
    watch: int | None = None
    problem: int = 0
    is_gone: bool = False
    entries: dict[str, Stamp | Folder] = field(factory=dict)

    def above(self) -> Iterator[Folder]:
        """Yield this folder, then the folders it is in."""
        folder: Folder | None = self
        while folder is not None:
            yield folder
            folder = folder.parent

    def folders(self) -> Iterator[Folder]:
        """Yield the folders in this one, however deep, each after those it is in; and first this one."""
        yield self
        for entry in list(self.entries.values()):
            if isinstance(entry, Folder):
                yield from entry.folders()

    def place(self, name: str = "") -> tuple[Root, str]:
        """Return the root and the way from there of something in this folder, or of the folder itself."""
        names = [name] if name else []
        top = self
        for top in self.above():
            if top.parent is not None:
                names.append(top.name)
        assert top.root is not None, "the topmost folder is a root's"
        return top.root, "/".join(reversed(names))

    def item(self, name: str, what: Stamp, *, is_folder: bool = False) -> FileItem:
        """Return something in this folder as clients are told of it. Links to files can't be written."""
        root, path = self.place(name)
        permissions = "r" if what.is_link and not is_folder else root.permissions
        if what is GONE or what.is_closed:
            permissions = ""
        return FileItem(root.name, path, what.modified, what.size, permissions)

    def source(self, name: str) -> SourceItem:
        """Return where something was."""
        root, path = self.place(name)
        return SourceItem(root.name, path)

    def attach(self, name: str, folder: Folder) -> None:
        """Put a folder into this one."""
        folder.name, folder.parent = name, self
        self.entries[name] = folder


@define(eq=False, repr=False)
class Fresh:
    """A folder that nobody was told of yet: it is watched until nothing happens in it any more."""

    since: float
    last: float
    watches: set[int] = field(factory=set)


Owner = Folder | Fresh


@define(eq=False, repr=False)
class Owners:
    """Whose each watch is: more than one's, where links lead to one folder by several ways."""

    _of: dict[int, list[Owner]] = field(factory=dict, init=False)
    _orphans: set[int] = field(factory=set, init=False)

    def of(self, watch: int) -> tuple[Owner, ...]:
        """Return whose a watch is."""
        return tuple(self._of.get(watch, ()))

    def add(self, watch: int, owner: Owner) -> None:
        """Let a watch be somebody's."""
        owners = self._of.setdefault(watch, [])
        if owner not in owners:
            owners.append(owner)

    def drop(self, watch: int, owner: Owner) -> None:
        """Let a watch be somebody's no more."""
        owners = self._of.get(watch, [])
        if owner in owners:
            owners.remove(owner)
        if not owners:
            self.seen(watch)

    def seen(self, watch: int) -> None:
        """Note that there is a watch, be it nobody's."""
        self._orphans.add(watch)

    def forget(self, watch: int) -> None:
        """Note that there is a watch no more: the kernel has removed it."""
        self._of.pop(watch, None)
        self._orphans.discard(watch)

    def orphans(self) -> list[int]:
        """Return the watches that are nobody's, and forget them."""
        found = [watch for watch in self._orphans if not self._of.get(watch)]
        for watch in found:
            self._of.pop(watch, None)
        self._orphans.clear()
        return found

    def adopt(self, folder: Folder, seen: FolderSeen) -> None:
        """Let a folder have what was seen of it, and everything in it be new."""
        folder.stamp, folder.identity = seen.stamp, seen.identity
        self.watched(folder, seen)
        folder.entries = {}
        for name, entry in (seen.entries or {}).items():
            if isinstance(entry, FolderSeen):
                inner = Folder(name, parent=folder)
                folder.entries[name] = inner
                self.adopt(inner, entry)
            else:
                folder.entries[name] = entry

    def watched(self, folder: Folder, seen: FolderSeen) -> None:
        """Let a folder have the watch it was seen with."""
        before, folder.watch, folder.problem = folder.watch, seen.watch, seen.problem
        if seen.watch is not None:
            self.add(seen.watch, folder)
        if before is not None and before != seen.watch:
            self.drop(before, folder)

    def abandon(self, folder: Folder) -> None:
        """Let go of a folder and everything in it."""
        for gone in folder.folders():
            gone.is_gone = True
            if gone.watch is not None:
                self.drop(gone.watch, gone)
                gone.watch = None


def watches(seen: FolderSeen) -> Iterator[int]:
    """Yield the watches of a folder and the folders in it."""
    if seen.watch is not None:
        yield seen.watch
    for entry in (seen.entries or {}).values():
        if isinstance(entry, FolderSeen):
            yield from watches(entry)
