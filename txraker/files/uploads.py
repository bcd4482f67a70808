"""Files that clients send: who may put what where, and what happens when one has come.

Contract: "File upload" of the file management documentation, and Moonraker 0.11.0 as measured. Nothing here
knows HTTP.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from attrs import define, field

from txraker.api.audit import AuditEntry, audit_entry
from txraker.api.caller import Caller, Role
from txraker.api.dispatch import permit
from txraker.errors import ApiError, BadRequest, ChecksumMismatch, Forbidden
from txraker.events import FileChange, FileItem
from txraker.files.changes import Changes
from txraker.files.disk import Disk
from txraker.files.gcodes import GCODES, is_printable
from txraker.files.operations import Order, item_at
from txraker.files.partial import (
    PartialFile,
    check_space,
    is_partial,
    make_folders,
    remove_leftovers,
    told,
)
from txraker.files.places import Place, Roots, must_be_writable, names_of
from txraker.files.rights import role_to_write
from txraker.files.turns import Turns
from txraker.files.ufp import SUFFIX, extract_model, extract_thumbnail
from txraker.reactor import OffThread

FIELDS = frozenset({"root", "path", "checksum", "print"})
"""What a client may say of a file."""

CALL = "server.files.upload"
"""What it is called in the audit log."""


class Uploaded(msgspec.Struct, frozen=True):
    """A file that has come; ``action`` is always the same, even where there was one of that name."""

    item: FileItem
    action: Literal["create_file"] = "create_file"
    print_started: bool | msgspec.UnsetType = msgspec.UNSET
    print_queued: bool | msgspec.UnsetType = msgspec.UNSET


class Wish(msgspec.Struct, frozen=True):
    """What a client wants with a file, as its form says it.

    It goes to ``place``, whose folder is made if need be when it is ``folder``.
    """

    place: Place
    folder: Place
    checksum: str | None
    wants_print: bool

    @property
    def is_gcode(self) -> bool:
        """Whether it is something to print."""
        return self.place.root.name == GCODES and is_printable(self.place.name)


@define(eq=False, repr=False)
class Uploads:
    """Receives files for one printer.

    ``start_print`` starts a job by its path in ``gcodes`` or raises ApiError, and ``audit`` is told who has
    sent what. A file has at most ``largest`` bytes.
    """

    _roots: Roots
    _disk: Disk
    _changes: Changes
    _off_thread: OffThread
    _start_print: Callable[[str], Awaitable[None]]
    _audit: Callable[[AuditEntry], None]
    largest: int
    turns: Turns = field(factory=Turns)

    def upload(self, caller: Caller, size: int) -> Upload:
        """Begin to receive a file in about ``size`` bytes, 0 if that isn't known.

        Raises Unauthorized and Forbidden.
        """
        permit(Role.OPERATOR, caller, CALL)
        return Upload(self, caller, size)

    async def remove_leftovers(self) -> list[Path]:
        """Remove what a crash has left behind; return it."""
        folders = [root.path for root in self._roots if root.is_writable]
        return await self._off_thread(partial(remove_leftovers, folders, time.time()))

    def folder_for(self, root: str, caller: Caller) -> Path:
        """Return where a file for a root is written until it is whole. Raises ApiError."""
        place = Place(self._roots.get(root))
        self._permit(place, caller)
        return self._disk.locate(place)

    def wish(self, name: str, fields: Mapping[str, str], caller: Caller) -> Wish:
        """Return what is wanted with a file of a name. Raises ApiError."""
        folder = self._roots.place(fields.get("path", ""), within=fields.get("root", GCODES))
        names = names_of(name)
        if not names or is_partial(names[-1]) or not name.isprintable():
            raise BadRequest("The file needs another name")
        place = Place(folder.root, (*folder.parts, *names))
        self._permit(place, caller)
        wants_print = fields.get("print", "").strip().lower() == "true"
        checksum = fields.get("checksum", "").strip().lower() or None
        return Wish(_unpacked(place), folder, checksum, wants_print)

    async def keep(self, file: PartialFile, name: str, wish: Wish, caller: Caller) -> Uploaded:
        """Put a file that has come as a whole where it belongs. Raises ApiError; then it is still partial."""
        note = partial(audit_entry, caller=caller, arguments=_shown(wish), call=CALL)
        self._audit(note("asked"))
        try:
            work = partial(self._put, file, name, wish)
            *_, change = await self._changes.make(caller, [wish.place], work)
        except ApiError as error:
            self._audit(note("failed", status=error.http_status))
            raise
        if not wish.is_gcode:
            return Uploaded(change.item)
        is_started = wish.wants_print and await self._print(wish.place)
        return Uploaded(change.item, print_started=is_started, print_queued=False)

    def _permit(self, place: Place, caller: Caller) -> None:
        try:
            permit(role_to_write(place.root.name), caller, f"Writing to {place.root.name}")
            must_be_writable(place)
        except ApiError as error:
            self._audit(audit_entry("refused", CALL, caller, {"path": str(place)}, error.http_status))
            raise

    async def _print(self, place: Place) -> bool:
        try:
            await self._start_print(place.relative)
        except ApiError:
            return False
        return True

    def _put(self, file: PartialFile, name: str, wish: Wish, order: Order) -> list[FileChange]:
        """Check a file and put it in place; in a worker thread. Return what is new, the file last."""
        if wish.checksum is not None and wish.checksum != file.checksum:
            raise ChecksumMismatch(f"The checksum is {file.checksum}, and {wish.checksum[:64]} was expected")
        target = self._disk.locate_to_write(wish.place, order.may_write)
        if order.loaded is not None and target == self._disk.locate(order.loaded):
            raise Forbidden("File is loaded, upload not permitted")
        made = self._make_folders(wish.folder, order)
        with told("The folder can't be looked into"):
            if not target.parent.is_dir():
                raise BadRequest(f"The folder '{wish.place.parent}' doesn't exist")
            if target.is_dir():
                raise BadRequest(f"'{wish.place}' is a folder")
        is_package = _is_package(name, wish)
        about = self._unpack(file, wish, target, order) if is_package else file.publish(target)
        place, permissions = wish.place, wish.place.root.permissions
        item = FileItem(place.root.name, place.relative, about.st_mtime, about.st_size, permissions)
        return [*made, FileChange("create_file", item)]

    def _make_folders(self, folder: Place, order: Order) -> list[FileChange]:
        """Make a folder and those it is in, if need be; return what was made, as clients are told of it."""
        if not folder.parts:
            return []
        made = make_folders(self._disk.locate_to_write(folder, order.may_write))
        places = [Place(folder.root, folder.parts[: len(folder.parts) - up]) for up in range(len(made))]
        rules = self._disk.rules()
        return [
            FileChange("create_dir", item_at(path, place, rules))
            for path, place in zip(made, reversed(places), strict=True)
        ]

    def _unpack(self, package: PartialFile, wish: Wish, target: Path, order: Order) -> os.stat_result:
        """Put what is in a package in place; its picture, if it can be had, where those of its folder are."""
        model = extract_model(package, package.path.parent, self.largest)
        try:
            about = model.publish(target)
        finally:
            model.discard()
        with suppress(ApiError):
            picture = extract_thumbnail(package)
            if picture is not None:
                place = wish.place.parent.child(".thumbs").child(f"{target.stem}.png")
                _put_picture(picture, self._disk.locate_to_write(place, order.may_write))
        package.discard()
        return about


@define(eq=False, repr=False)
class Upload:
    """One file on its way. ``size`` is how many bytes there will be, 0 if that isn't known.

    ``begin`` and ``discard`` block: they are called in a worker thread.
    """

    _uploads: Uploads
    _caller: Caller
    _size: int
    _file: PartialFile | None = field(default=None, init=False)
    _name: str = field(default="", init=False)

    def begin(self, name: str, fields: Mapping[str, str]) -> PartialFile:
        """Return where the file's bytes go, by what is known of it so far. Raises ApiError."""
        folder = self._uploads.folder_for(fields.get("root", GCODES), self._caller)
        check_space(folder, self._size)
        self._name = name
        self._file = PartialFile.create(folder)
        return self._file

    async def complete(self, fields: Mapping[str, str]) -> Uploaded:
        """Put the file where it belongs. Raises ApiError."""
        if self._file is None:
            raise BadRequest("There is no file")
        wish = self._uploads.wish(self._name, fields, self._caller)
        return await self._uploads.keep(self._file, self._name, wish, self._caller)

    def discard(self) -> None:
        """Leave nothing behind of a file that wasn't put in place."""
        if self._file is not None:
            self._file.discard()


def _put_picture(picture: bytes, target: Path) -> None:
    make_folders(target.parent)
    file = PartialFile.create(target.parent)
    try:
        file.write(picture)
        file.publish(target)
    finally:
        file.discard()


def _unpacked(place: Place) -> Place:
    """Return where the gcode in a package goes."""
    if place.root.name != GCODES or not place.name.lower().endswith(SUFFIX) or len(place.name) == len(SUFFIX):
        return place
    return place.parent.child(f"{place.name[: -len(SUFFIX)]}.gcode")


def _is_package(name: str, wish: Wish) -> bool:
    return name.lower().endswith(SUFFIX) and not wish.place.name.lower().endswith(SUFFIX)


def _shown(wish: Wish) -> dict[str, object]:
    return {"path": str(wish.place), "print": wish.wants_print}
