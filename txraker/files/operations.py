"""What changes files: make, delete, move and copy. Everything here blocks: it is done in a worker thread.

Contract: the file management documentation, and Moonraker 0.11.0 as measured; but nothing leaves its root, a
root itself can't be moved, and no error tells where a root is on the disk.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from attrs import define, field

from txraker.errors import BadRequest, MethodNotAllowed, Unavailable
from txraker.events import FileAction, FileChange, FileItem, SourceItem
from txraker.files.copying import Copying
from txraker.files.disk import (
    Disk,
    Rules,
    explained,
    is_below,
    no_folder,
    nothing_at,
    opened_folder,
)
from txraker.files.guard import FileInUse
from txraker.files.places import Place

FOLDER_MODE = 0o755
"""Who may look into a folder that was made, whatever the process's umask."""


class Order(msgspec.Struct, frozen=True):
    """On whose behalf something is changed.

    ``may_write`` says whether they may write in a root, ``loaded`` is the file the printer uses, or None.
    ``may_copy`` says that there is time to move something to another disk, which is to copy it.
    """

    may_write: Callable[[str], bool]
    loaded: Place | None = None
    may_copy: bool = True


class OtherDisk(Exception):
    """Something can't be moved without being copied; nothing was changed yet."""


@define(eq=False, repr=False)
class Operations:
    """Changes files. What it returns is what has happened, for those who ask to know."""

    _disk: Disk
    copying: Copying = field(factory=Copying)

    def make_folder(self, place: Place, order: Order) -> FileChange:
        """Make a folder in one that is there. Raises ApiError."""
        rules = self._disk.rules()
        _refuse_read_only(place, "POST")
        path = rules.entry(place)
        if os.path.lexists(path):
            raise BadRequest(f"'{place}' exists already")
        _must_have_folder(path, place)
        rules.check_writable(path, place, order.may_write)
        with explained("made", place, no_folder(place.parent)), opened_folder(path.parent) as folder:
            os.mkdir(path.name, dir_fd=folder)
            mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
            os.chmod(path.name, stat.S_IMODE(mode) | FOLDER_MODE, dir_fd=folder)
        return FileChange("create_dir", item_at(path, place, rules))

    def delete_folder(self, place: Place, order: Order, *, force: bool) -> FileChange:
        """Delete a folder; with ``force`` with all that is in it, else only an empty one. Raises ApiError.

        Of a link to a folder just the link is deleted.
        """
        rules = self._disk.rules()
        _refuse_read_only(place, "DELETE")
        if not place.parts:
            raise BadRequest("Cannot delete root directory")
        path = rules.entry(place)
        if not path.is_dir():
            raise no_folder(place)
        self._check_unused(rules, path, place, order)
        with explained("deleted", place, no_folder(place)), opened_folder(path.parent) as folder:
            _delete_folder(path, folder, place, force=force)
        return FileChange("delete_dir", _gone(place))

    def delete_file(self, place: Place, order: Order) -> FileChange:
        """Delete a file or a link to one. Raises ApiError."""
        rules = self._disk.rules()
        if not place.root.is_writable:
            raise MethodNotAllowed(f"Path not available for DELETE: {place}", ("GET", "HEAD"))
        path = rules.entry(place)
        if path.is_dir() or not os.path.lexists(path):
            raise BadRequest(f"Invalid file path: {place}")
        self._check_unused(rules, path, place, order)
        with explained("deleted", place, nothing_at(place)), opened_folder(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
        return FileChange("delete_file", _gone(place))

    def move(self, source: Place, dest: Place, order: Order) -> FileChange:
        """Move a file, folder or link to another name, or into a folder that is there.

        Raises ApiError and OtherDisk.
        """
        rules = self._disk.rules()
        if not source.root.is_writable:
            raise BadRequest(f"Source path is read-only, cannot move: {source.root.name}")
        refuse_read_only_dest(dest)
        if not source.parts:
            raise BadRequest(f"Cannot move the root directory '{source}'")
        path = rules.entry(source)
        if not os.path.lexists(path):
            raise nothing_at(source)
        target_place = _into(rules, path, source, dest)
        target = rules.entry(target_place)
        if path != target:
            self._check_unused(rules, path, source, order)
            self._check_unused(rules, target, target_place, order)
            self._rename(path, target, source, target_place, order)
        action: FileAction = "move_dir" if target.is_dir() else "move_file"
        origin = SourceItem(source.root.name, source.relative)
        return FileChange(action, item_at(target, target_place, rules), origin)

    def copy(self, source: Place, dest: Place, order: Order) -> FileChange:
        """Copy a file or a folder to another name, or a file into a folder. Raises ApiError.

        A link is copied as what it leads to; links in a folder are copied as links.
        """
        rules = self._disk.rules()
        refuse_read_only_dest(dest)
        path = rules.locate(source)
        if not path.exists():
            raise nothing_at(source)
        if path.is_dir():
            return self._copy_folder(rules, path, source, dest, order)
        dest = _into(rules, path, source, dest, overwrite=True)
        target = rules.locate(dest)
        if path == target:
            raise BadRequest(f"'{source}' and '{dest}' are the same file")
        self._check_unused(rules, target, dest, order)
        _must_have_folder(target, dest)
        is_new = not target.exists()
        with explained("copied", source, nothing_at(source)):
            self.copying.file(path, target)
        return FileChange("create_file" if is_new else "modify_file", item_at(target, dest, rules))

    def _copy_folder(self, rules: Rules, path: Path, source: Place, dest: Place, order: Order) -> FileChange:
        target = rules.entry(dest)
        if os.path.lexists(target):
            raise BadRequest(f"'{dest}' exists already")
        if is_below(str(target), str(path)):
            raise BadRequest(f"Cannot copy a directory '{source}' into itself '{dest}'.")
        _must_have_folder(target, dest)
        rules.check_writable(target, dest, order.may_write)
        with explained("copied", source, nothing_at(source)):
            self.copying.tree(path, target, rules.allows)
        return FileChange("create_dir", item_at(target, dest, rules))

    def _rename(self, path: Path, target: Path, source: Place, dest: Place, order: Order) -> None:
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder and is_below(str(target), str(path)):
            raise BadRequest(f"Cannot move a directory '{source}' into itself '{dest}'.")
        if is_folder and os.path.lexists(target):
            raise BadRequest(f"Destination path '{dest}' already exists")
        _must_have_folder(target, dest)
        with (
            explained("moved", source, nothing_at(source)),
            opened_folder(path.parent) as old,
            opened_folder(target.parent) as new,
        ):
            try:
                os.rename(path.name, target.name, src_dir_fd=old, dst_dir_fd=new)
            except OSError as problem:
                if problem.errno != errno.EXDEV:
                    raise
                if not order.may_copy:
                    raise OtherDisk from None
                self._move_to_other_disk(path, target, old, source)

    def _move_to_other_disk(self, path: Path, target: Path, old: int, source: Place) -> None:
        if path.is_dir() and not path.is_symlink():
            _refuse_special(path, source)
            _delete_copied(self.copying.tree(path, target, lambda _: True), path, source)
            return
        if path.is_symlink():
            os.symlink(os.readlink(path), target)
        else:
            self.copying.file(path, target)
        os.unlink(path.name, dir_fd=old)

    def check_unused(self, place: Place, order: Order) -> None:
        """Raise ApiError when a client may not overwrite a file, or the printer is using it."""
        rules = self._disk.rules()
        self._check_unused(rules, rules.locate(place), place, order)

    def _check_unused(self, rules: Rules, path: Path, place: Place, order: Order) -> None:
        """Raise ApiError when a client may not change something, or the printer is using it."""
        rules.check_writable(path, place, order.may_write)
        if path.is_dir() and not path.is_symlink():
            rules.check_tree(path, place)
        if order.loaded is None:
            return
        loaded = os.path.realpath(order.loaded.path)
        if order.loaded.is_in(place) or is_below(loaded, str(path)):
            raise FileInUse


def item_at(path: Path, place: Place, rules: Rules) -> FileItem:
    """Return what is at a place now, and is at ``path``, as clients are told of it."""
    permissions = place.root.permissions
    try:
        is_reachable = rules.allows(os.path.realpath(path))
        about = path.stat() if is_reachable else path.lstat()
    except OSError:
        return FileItem(place.root.name, place.relative, 0.0, 0, "")
    if not is_reachable:
        permissions = ""
    elif path.is_symlink() and not stat.S_ISDIR(about.st_mode):
        permissions = "r"
    return FileItem(place.root.name, place.relative, about.st_mtime, about.st_size, permissions)


def refuse_read_only_dest(dest: Place) -> None:
    """Raise BadRequest when nothing may be written at a destination. Contract: Moonraker as measured."""
    if not dest.root.is_writable:
        raise BadRequest(f"Destination path is read-only: {dest.root.name}")


def _must_have_folder(path: Path, place: Place) -> None:
    if not path.parent.is_dir():
        raise no_folder(place.parent)


def _refuse_read_only(place: Place, verb: str) -> None:
    if not place.root.is_writable:
        raise MethodNotAllowed(f"{verb} is not possible: the root '{place.root.name}' is read-only", ("GET",))


def _into(rules: Rules, path: Path, source: Place, dest: Place, *, overwrite: bool = False) -> Place:
    """Return where something goes: to ``dest``, or under its own name into the folder there."""
    if source == dest or not rules.locate(dest).is_dir():
        return dest
    if is_below(str(rules.locate(dest)), str(path)):
        raise BadRequest(f"Cannot move a directory '{source}' into itself '{dest}'.")
    inner = dest.child(source.name)
    taken = rules.entry(inner)
    if os.path.lexists(taken) and not (overwrite and taken.is_file()):
        raise BadRequest(f"Destination path '{inner}' already exists")
    return inner


def _refuse_special(folder: Path, place: Place) -> None:
    for inner in folder.rglob("*"):
        mode = inner.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            raise BadRequest(f"'{place}' holds a pipe, socket or device, which can't go to another disk")


def _delete_copied(copied: Sequence[Path], folder: Path, place: Place) -> None:
    """Delete what is somewhere else now, and nothing that came meanwhile."""
    for path in reversed(copied):
        with suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                _delete_if_empty(path)
            else:
                path.unlink()
    if not _delete_if_empty(folder):
        raise Unavailable(f"'{place}' was copied, but what came into it meanwhile is still there")


def _delete_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError as problem:
        if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _delete_folder(path: Path, folder: int, place: Place, *, force: bool) -> None:
    if path.is_symlink():
        os.unlink(path.name, dir_fd=folder)
    elif force:
        shutil.rmtree(path.name, dir_fd=folder)
    else:
        try:
            os.rmdir(path.name, dir_fd=folder)
        except OSError as problem:
            if problem.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise BadRequest(f"Directory is not empty ({place})") from None
            raise


def _gone(place: Place) -> FileItem:
    return FileItem(place.root.name, place.relative, 0, 0, "")
