"""The metadata of all gcode files: found out when it is asked for or a file is new, kept, carried along.

What happens to files is heard of by FileListChanged, and worked off in that order.
"""

from __future__ import annotations

import uuid
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txraker.errors import ApiError, BadRequest, NotFound
from txraker.events import Events, FileChange, FileListChanged, MetadataUpdate
from txraker.faults import FaultReport, run_aside
from txraker.files.gcodes import GCODES
from txraker.files.listing import FileInfo
from txraker.files.places import Place, Roots
from txraker.interfaces import IFileGuard
from txraker.metadata.disk import Files, Version, is_gcode
from txraker.metadata.facts import Facts, Metadata
from txraker.metadata.messages import Found
from txraker.metadata.scanner import Job, Unreadable
from txraker.metadata.shelf import LastPrint, Shelf
from txraker.reactor import OffThread

TIDY_AFTER: Final = 5.0
"""Seconds after the start before all files are looked at."""


class Scans(Protocol):
    """Reads gcode files: a Scanner, or what stands for one in tests."""

    def scan(self, job: Job, *, urgent: bool = False) -> Deferred[Found]:
        """Return what was found. Raises Unreadable and Unavailable."""

    def stop(self) -> Deferred[None]:
        """Let go of everything."""


@define(eq=False)
class Library:
    """Knows the metadata of the files in the root ``gcodes``.

    ``marks_objects`` says whether files may be changed so that Klippy knows their objects.
    """

    _clock: IReactorTime
    _shelf: Shelf
    _scans: Scans
    _roots: Roots
    _files: Files
    _guard: IFileGuard
    _events: Events
    _off_thread: OffThread
    _report_fault: FaultReport
    _log: Logger
    _marks_objects: bool = False
    _changes: DeferredLock = field(factory=DeferredLock, init=False)
    _tidying: IDelayedCall | None = field(default=None, init=False)
    _aside: set[Deferred[None]] = field(factory=set, init=False)
    _has_stopped: bool = field(default=False, init=False)

    def start(self) -> None:
        """Follow what happens to files, and look at all of them soon."""
        self._events.on(FileListChanged, self._changed)
        self._tidying = self._clock.callLater(TIDY_AFTER, lambda: self._begin(self.tidy()))

    async def stop(self) -> None:
        """Read no more, and write what was found."""
        self._has_stopped = True
        if self._tidying is not None and self._tidying.active():
            self._tidying.cancel()
        await self._scans.stop()
        for aside in list(self._aside):
            aside.cancel()
        await self._shelf.write()

    async def of(self, place: Place) -> Metadata:
        """Return a file's metadata, which is found out now if need be. Raises NotFound and Unavailable."""
        there = (
            await self._off_thread(partial(self._files.version, place)) if is_gcode(place.relative) else None
        )
        if there is None:
            raise NotFound(f"Metadata not available for <{place.relative}>")
        known = await self._shelf.get(place.relative)
        if known is not None and known.is_of(*there):
            return known
        return await self._read(place, there, urgent=True)

    async def read_again(self, place: Place) -> Metadata:
        """Find a file's metadata out anew. Raises NotFound, BadRequest and Unavailable."""
        there = await self._off_thread(partial(self._files.version, place))
        if there is None:
            raise NotFound(f"File '{place.relative}' does not exist")
        if not is_gcode(place.relative):
            raise BadRequest(f"File '{place.relative}' is not a valid gcode file")
        return await self._read(place, there, urgent=True)

    async def known(self, place: Place) -> Metadata | None:
        """Return what a file said last, whether it has changed since or not. Raises Unavailable."""
        return await self._shelf.get(place.relative)

    async def of_files(self, files: Sequence[FileInfo]) -> dict[str, dict[str, Any]]:
        """Return what is known of just these versions of files, by their paths; nothing is read for that.

        Raises Unavailable.
        """
        known = await self._shelf.get_many(file.path for file in files if is_gcode(file.path))
        found = ((file, known.get(file.path)) for file in files)
        return {
            file.path: msgspec.to_builtins(metadata)
            for file, metadata in found
            if metadata is not None and metadata.is_of(file.size, file.modified)
        }

    async def printed(self, place: Place, job_id: str, started: float) -> None:
        """Note the last print of a file; ``started`` is Unix time. Raises Unavailable."""
        known = await self._shelf.get(place.relative)
        if known is not None:
            self._keep(msgspec.structs.replace(known, job_id=job_id, print_start_time=started))

    async def tidy(self) -> None:
        """Forget files that are gone, then read those that are new or have changed, the newest first."""
        root = Place(self._roots.get(GCODES))
        there = await self._off_thread(partial(self._files.versions, root))
        kept = await self._shelf.all()
        self._shelf.put({relative: None for relative in kept if relative not in there})
        unknown = [
            relative
            for relative, seen in there.items()
            if (known := kept.get(relative)) is None or not known.is_of(*seen)
        ]
        del kept
        for relative in sorted(unknown, key=lambda relative: there[relative].modified, reverse=True):
            await self._read_if_new(self._roots.place(relative, within=GCODES))

    async def _read_if_new(self, place: Place) -> None:
        there = await self._off_thread(partial(self._files.version, place))
        known = await self._shelf.get(place.relative)
        if there is None or (known is not None and known.is_of(*there)) or self._has_stopped:
            return
        await self._read(place, there)

    async def _read(self, place: Place, there: Version, *, urgent: bool = False) -> Metadata:
        marks_objects = self._marks_objects and await self._may_be_changed(place)
        path = await self._off_thread(partial(self._files.path, place))
        job = Job(path, there.size, there.modified, marks_objects)
        try:
            found = await self._scans.scan(job, urgent=urgent)
        except Unreadable as problem:
            self._log.warn("{file}: no metadata: {problem}", file=place.relative, problem=str(problem))
            found = Found(there.size, there.modified, Facts(), [], [], is_complete=False)
        last = await self._shelf.last_print(place.relative, there)
        metadata = _metadata(place, found, last)
        await self._keep_if_there(place, metadata)
        return metadata

    async def _keep_if_there(self, place: Place, metadata: Metadata) -> None:
        """Keep what was found, unless the file has gone meanwhile; delete pictures that it had before."""
        if await self._off_thread(partial(self._files.version, place)) is None:
            return
        before = await self._shelf.get(place.relative)
        old = set(before.thumbnails or ()) if before is not None else set()
        names = {thumbnail.relative_path for thumbnail in metadata.thumbnails or ()}
        stale = [thumbnail for thumbnail in old if thumbnail.relative_path not in names]
        if stale:
            await self._off_thread(partial(self._files.delete_pictures, place, stale))
        self._keep(metadata)

    async def _may_be_changed(self, place: Place) -> bool:
        try:
            return place.root.is_writable and await self._guard.in_use() != place.relative
        except ApiError:
            return False

    def _keep(self, metadata: Metadata) -> None:
        self._shelf.put({metadata.filename: metadata})
        self._events.emit(MetadataUpdate(metadata))

    def _changed(self, event: FileListChanged) -> None:
        change = event.change
        source = change.source_item.root if change.source_item is not None else ""
        if GCODES in (change.item.root, source) and change.action != "root_update":
            self._begin(self._follow(change))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        running = run_aside(work, "metadata", self._report_fault, ApiError)
        if not running.called:
            self._aside.add(running)
            running.addBoth(lambda _: self._aside.discard(running))

    async def _follow(self, change: FileChange) -> None:
        """Take part in what happened to a file or folder; one change after the other, but reading apart."""
        item, source = change.item, change.source_item
        here = self._place(item.root, item.path)
        before = self._place(source.root, source.path) if source is not None else None
        is_folder = change.action.endswith("_dir")
        await self._changes.acquire()
        try:
            if change.action.startswith("delete_"):
                before, here = here, None
            if before is not None and is_folder:
                await self._leave_folder(before, here)
            elif before is not None:
                await self._leave(before, here)
        finally:
            self._changes.release()
        if here is not None:
            await self._read_new(here, is_folder=is_folder)

    def _place(self, root: str, path: str) -> Place | None:
        """Return a place in our root, None for one in another."""
        return self._roots.place(path, within=GCODES) if root == GCODES else None

    async def _read_new(self, place: Place, *, is_folder: bool) -> None:
        if not is_folder:
            if is_gcode(place.relative):
                await self._read_if_new(place)
            return
        for relative in await self._off_thread(partial(self._files.versions, place)):
            await self._read_if_new(self._roots.place(relative, within=GCODES))

    async def _leave(self, source: Place, target: Place | None) -> None:
        """Let a file's metadata and pictures go where it went; with no target the file is gone."""
        known = await self._shelf.get(source.relative)
        if known is None:
            return
        self._shelf.put({source.relative: None})
        thumbnails = known.thumbnails or []
        there = await self._off_thread(partial(self._files.version, target)) if target is not None else None
        if target is None or there is None or not known.is_of(*there):
            await self._off_thread(partial(self._files.delete_pictures, source, thumbnails))
            return
        if thumbnails:
            thumbnails = await self._off_thread(
                partial(self._files.move_pictures, source, target, thumbnails)
            )
        moved = msgspec.structs.replace(
            known, filename=target.relative, thumbnails=thumbnails or msgspec.UNSET
        )
        self._keep(moved)

    async def _leave_folder(self, source: Place, target: Place | None) -> None:
        """Let the metadata of a folder's files go where it went; their pictures went with it."""
        kept = await self._shelf.all()
        beginning = f"{source.relative}/"
        for relative, known in kept.items():
            if relative.startswith(beginning):
                self._shelf.put({relative: None})
                if target is not None and known is not None:
                    name = f"{target.relative}/{relative.removeprefix(beginning)}"
                    self._keep(msgspec.structs.replace(known, filename=name))


def _metadata(place: Place, found: Found, last: LastPrint) -> Metadata:
    return Metadata(
        **{name: getattr(found.facts, name) for name in found.facts.__struct_fields__},
        size=found.size,
        modified=found.modified,
        uuid=str(uuid.uuid4()),
        file_processors=found.file_processors,
        filename=place.relative,
        thumbnails=found.thumbnails or msgspec.UNSET,
        job_id=last.job_id,
        print_start_time=last.print_start_time,
    )
