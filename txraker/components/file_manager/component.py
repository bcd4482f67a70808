"""``server.files.*``, apart from transfers and metadata: what is there, and what changes it.

Contract: Moonraker's documentation of file management; wording and statuses of errors as measured on 0.11.0
where they tell nothing of the host.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from attrs import define, field
from msgspec import Meta
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txraker.api.caller import Caller, Transport
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.components.file_manager.answers import Directory, Metadata, RootDetails, Zipped
from txraker.errors import ApiError, BadRequest
from txraker.events import Events, FileChange, FileItem, KlippyIdentified
from txraker.faults import FaultReport, run_aside
from txraker.files.archive import Archiver
from txraker.files.changes import Changes
from txraker.files.defaults import klipper_roots
from txraker.files.disk import Disk
from txraker.files.gcodes import GCODES, is_printable
from txraker.files.listing import FileInfo, contents_of, files_of
from txraker.files.operations import Operations, Order
from txraker.files.places import Place, Root, Roots
from txraker.interfaces import IComponent, IKlippy
from txraker.reactor import OffThread

FolderMetadata = Callable[[Sequence[FileInfo]], Awaitable[Metadata]]
"""Returns what is known of gcode files of one folder, of those whose time and size are still the same."""

PathParameter = Annotated[str, Meta(min_length=1, description="The path, which begins with the root's name.")]


async def no_metadata(_files: Sequence[FileInfo]) -> Metadata:
    """Know nothing of any file."""
    return {}


@implementer(IComponent)
@define(eq=False, repr=False)
class FileManager:
    """Answers for the files of one printer.

    ``reads`` runs work in other threads; ``wall_clock`` gives Unix time.
    """

    _roots: Roots
    _disk: Disk
    _changes: Changes
    _klippy: IKlippy
    _events: Events
    _reads: OffThread
    _wall_clock: IReactorTime
    _report_fault: FaultReport
    _metadata: FolderMetadata = no_metadata
    _operations: Operations = field(init=False)
    _archiver: Archiver = field(init=False)

    name = "file_manager"

    def __attrs_post_init__(self) -> None:
        self._operations = Operations(self._disk)
        self._archiver = Archiver(self._disk, self._operations)

    def start(self) -> None:
        self._events.on(KlippyIdentified, self._klippy_came)

    async def stop(self) -> None:
        self._operations.copying.stop()
        await self._changes.ended()

    @endpoint("server.files.list", GET, "/server/files/list")
    async def list_files(
        self,
        caller: Caller,
        *,
        root: Annotated[str, Meta(description="The root's name.")] = GCODES,
    ) -> list[FileInfo]:
        """Return all files of a root, down to the last folder; of `gcodes` just those that can be printed."""
        place = Place(self._roots.get(root))
        return await self._reads(partial(files_of, self._disk, place))

    @endpoint("server.files.roots", GET, "/server/files/roots")
    async def roots(self, caller: Caller) -> list[RootDetails]:
        """Return the roots."""
        return [RootDetails.of(root) for root in self._roots]

    @endpoint("server.files.get_directory", GET, "/server/files/directory")
    async def get_directory(
        self,
        caller: Caller,
        *,
        path: PathParameter = GCODES,
        extended: Annotated[bool, Meta(description="Whether gcode files come with their metadata.")] = False,
    ) -> Directory:
        """Return what is directly in a folder."""
        place = self._roots.place(path)
        contents = await self._reads(partial(contents_of, self._disk, place))
        metadata: Metadata = {}
        if extended and place.root.name == GCODES:
            metadata = await self._metadata([file for file in contents.files if is_printable(file.path)])
        return await self._reads(partial(Directory.of, place.root, contents, metadata))

    @endpoint("server.files.post_directory", POST, "/server/files/directory", audit=("path",))
    async def post_directory(self, caller: Caller, *, path: PathParameter) -> FileChange:
        """Make a folder; the one it is in must be there."""
        place = self._roots.place(path)
        return await self._change(caller, (place,), partial(self._operations.make_folder, place))

    @endpoint("server.files.delete_directory", DELETE, "/server/files/directory", audit=("path", "force"))
    async def delete_directory(
        self,
        caller: Caller,
        *,
        path: PathParameter,
        force: Annotated[bool, Meta(description="Whether it is deleted with all that is in it.")] = False,
    ) -> FileChange:
        """Delete a folder, which must be empty unless `force` is set. Of a link just the link is deleted."""
        place = self._roots.place(path)
        work = partial(self._operations.delete_folder, place, force=force)
        return await self._change(caller, (place,), work)

    @endpoint("server.files.move", POST, "/server/files/move", audit=("source", "dest"))
    async def move(
        self,
        caller: Caller,
        *,
        source: Annotated[str, Meta(min_length=1, description="What to move: a file or a folder.")],
        dest: Annotated[str, Meta(min_length=1, description="Its new path, or the folder to put it into.")],
    ) -> FileChange:
        """Move or rename a file or a folder. A file of the new name is overwritten, a folder isn't."""
        places = (self._roots.place(source), self._roots.place(dest))
        return await self._change(caller, places, partial(self._operations.move, *places))

    @endpoint("server.files.copy", POST, "/server/files/copy", audit=("source", "dest"))
    async def copy(
        self,
        caller: Caller,
        *,
        source: Annotated[str, Meta(min_length=1, description="What to copy: a file or a folder.")],
        dest: Annotated[str, Meta(min_length=1, description="The copy's path, or the folder for a file.")],
    ) -> FileChange:
        """Copy a file or a folder. A file of that name is overwritten, a folder isn't."""
        origin, place = self._roots.place(source), self._roots.place(dest)
        work = partial(self._operations.copy, origin, place)
        return await self._change(caller, (place,), work, is_long=True)

    @endpoint("server.files.zip", POST, "/server/files/zip", audit=("dest", "items"))
    async def zip(
        self,
        caller: Caller,
        *,
        items: Annotated[list[str], Meta(description="The files and folders to archive.")],
        dest: Annotated[
            str | None,
            Meta(description="The archive's path; by default `config/collection-{timestamp}.zip`."),
        ] = None,
        store_only: Annotated[bool, Meta(description="Whether nothing is compressed.")] = False,
    ) -> Zipped:
        """Archive files and folders, with all folders in them."""
        if not items:
            raise BadRequest("At least one file or directory must be specified")
        place = self._roots.place(dest or self._new_archive())
        places = [self._roots.place(item) for item in items]
        work = partial(self._archiver.zip, place, places, store_only=store_only)
        change = await self._change(caller, (place,), work, is_long=True)
        return Zipped(change.item)

    @endpoint(
        "server.files.delete_file",
        transports=Transport.PERSISTENT | Transport.JSONRPC_HTTP,
        reads_only=False,
        audit=("path",),
    )
    async def delete_file(self, caller: Caller, *, path: PathParameter) -> FileChange:
        """Delete a file. Over HTTP that is `DELETE /server/files/{root}/{filename}`."""
        return await self.delete(caller, self._roots.place(path))

    async def delete(self, caller: Caller, place: Place) -> FileChange:
        """Delete the file at a place. Raises ApiError."""
        return await self._change(caller, (place,), partial(self._operations.delete_file, place))

    async def _change(
        self,
        caller: Caller,
        places: Sequence[Place],
        work: Callable[[Order], FileChange],
        *,
        is_long: bool = False,
    ) -> FileChange:
        """Change something at ``places``, and tell of it. Raises ApiError."""
        (change,) = await self._changes.make(caller, places, lambda order: [work(order)], is_long=is_long)
        return change

    def _new_archive(self) -> str:
        now = time.localtime(self._wall_clock.seconds())
        return time.strftime("config/collection-%Y%m%d-%H%M%S.zip", now)

    def _klippy_came(self, _event: KlippyIdentified) -> None:
        run_aside(self._find_klipper(), "Klipper's folders", self._report_fault, ApiError)

    async def _find_klipper(self) -> None:
        """Show what is in the folder that Klippy runs from, if that is another than before."""
        path = (await self._klippy.request("info")).get("klipper_path")
        if not isinstance(path, str) or not path or "\0" in path:
            return
        for root, change in await self._reads(partial(_look_for_roots, Path(path))):
            if root not in self._roots:
                self._roots.put(root)
                self._changes.tell(change)


def _look_for_roots(path: Path) -> list[tuple[Root, FileChange]]:
    """Return the roots in Klipper's folder, each with what clients are told of it."""
    found = []
    for root in klipper_roots(path):
        about = root.path.stat()
        item = FileItem(root.name, ".", about.st_mtime, about.st_size, root.permissions)
        found.append((root, FileChange("root_update", item)))
    return found
