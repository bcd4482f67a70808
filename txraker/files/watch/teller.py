"""Changes what clients have been told and tells them, both at once, so that the two never differ."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from txraker.events import FileAction, FileChange
from txraker.files.watch.seen import NOWHERE, FolderSeen, Stamp
from txraker.files.watch.tree import GONE, Folder, Owners


@define(eq=False, repr=False)
class Teller:
    """Tells of what is different from what was told. A folder is told of without what is in it."""

    _tell: Callable[[FileChange], None]
    owners: Owners = field(factory=Owners)

    def file(self, folder: Folder, name: str, stamp: Stamp) -> None:
        """There is a file; nothing is told if it is the one that was known."""
        told = folder.entries.get(name)
        if isinstance(told, Folder):
            self.delete(folder, name)
        folder.entries[name] = stamp
        if not isinstance(told, Stamp):
            self._tell(FileChange("create_file", folder.item(name, stamp)))
        elif not told.is_like(stamp):
            self._tell(FileChange("modify_file", folder.item(name, stamp)))

    def folder(self, folder: Folder, name: str, seen: FolderSeen) -> None:
        """There is a folder that wasn't there."""
        if name in folder.entries:
            self.delete(folder, name)
        inner = Folder(name)
        folder.attach(name, inner)
        self.owners.adopt(inner, seen)
        self._tell(FileChange("create_dir", folder.item(name, seen.stamp, is_folder=True)))

    def delete(self, folder: Folder, name: str) -> None:
        """Something isn't there any more; nothing is told if nobody knew of it."""
        told = folder.entries.pop(name, None)
        if told is None:
            return
        action: FileAction = "delete_file"
        if isinstance(told, Folder):
            action = "delete_dir"
            self.owners.abandon(told)
        self._tell(FileChange(action, folder.item(name, GONE)))

    def move(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        """Something that was known has another name now. A file takes the place of a file without a word."""
        moved, replaced = source.entries[name], target.entries.get(new_name)
        if isinstance(moved, Folder) or isinstance(replaced, Folder):
            self.delete(target, new_name)
        origin = source.source(name)
        del source.entries[name]
        if isinstance(moved, Folder):
            target.attach(new_name, moved)
            item = target.item(new_name, moved.stamp, is_folder=True)
            self._tell(FileChange("move_dir", item, origin))
        else:
            target.entries[new_name] = moved
            self._tell(FileChange("move_file", target.item(new_name, moved), origin))

    def compare(self, folder: Folder, seen: FolderSeen) -> None:
        """Tell all differences in a folder that was looked into, down to the last file."""
        folder.stamp = seen.stamp
        self.owners.watched(folder, seen)
        entries = seen.entries or {}
        for name in [name for name in folder.entries if name not in entries]:
            self.delete(folder, name)
        for name, entry in entries.items():
            self.put(folder, name, entry)

    def put(self, folder: Folder, name: str, seen: Stamp | FolderSeen) -> None:
        """There is something: tell how it differs from what was known."""
        told = folder.entries.get(name)
        if isinstance(seen, Stamp):
            self.file(folder, name, seen)
        elif isinstance(told, Folder) and told.identity is None:
            self.fill(told, seen)
        elif not isinstance(told, Folder) or told.identity != seen.identity:
            self.folder(folder, name, seen)
        elif seen.entries is not None:
            self.compare(told, seen)

    def fill(self, folder: Folder, seen: FolderSeen) -> None:
        """Take in what is in a folder without a word: who hears of the folder asks for that."""
        for inner in [entry for entry in folder.entries.values() if isinstance(entry, Folder)]:
            self.owners.abandon(inner)
        self.owners.adopt(folder, seen)

    def again(self, folder: Folder) -> None:
        """Something in a folder has changed after clients were told of it: tell them of it once more."""
        item = folder.item("", folder.stamp, is_folder=True)
        self._tell(FileChange("create_dir", item))

    def root(self, top: Folder, seen: FolderSeen | None) -> None:
        """A root is another folder than before, or isn't there: what is in it has to be asked for anew."""
        if seen is None:
            seen = FolderSeen(GONE, NOWHERE, entries={})
            if top.watch is not None:
                self.owners.drop(top.watch, top)
                top.watch = None
        self.fill(top, seen)
        self._tell(FileChange("root_update", top.item("", seen.stamp, is_folder=True)))
