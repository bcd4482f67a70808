"""The metadata of all gcode files: found out when it is asked for or a file is new, kept, carried along.

What happens to files is heard of by FileListChanged, and worked off in that order.
"""

from __future__ import annotations

import uuid
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
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
from txraker.metadata.disk import Files, Version, is_gcode, namesakes
from txraker.metadata.facts import Facts, Metadata, Thumbnail
from txraker.metadata.messages import Found
from txraker.metadata.scanner import Interrupted, Job, Unreadable
from txraker.metadata.shelf import PAGE, LastPrint, Shelf
from txraker.reactor import OffThread

TIDY_AFTER: Final = 5.0
"""Seconds after the start before all files are looked at."""


class Scans(Protocol):
    """Reads gcode files: a Scanner, or what stands for one in tests."""

    def scan(self, job: Job, *, urgent: bool = False) -> Deferred[Found]:
        """Return what was found. Raises Unreadable, Unavailable and NotFound."""

    def drop(self, folder: Path) -> None:
        """Read no file below a folder that is gone, unless somebody waits for it."""

    def stop(self) -> Deferred[None]:
        """Let go of everything."""


@define(eq=False, repr=False)
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
    _given_up: dict[str, Metadata] = field(factory=dict, init=False)
    _changes: DeferredLock = field(factory=DeferredLock, init=False)
    _backlog: dict[str, None] = field(factory=dict, init=False)
    _is_reading: bool = field(default=False, init=False)
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
            raise _not_available(place)
        return await self._known(place, there) or await self._read(place, there, urgent=True)

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
        return await self._shelf.get(place.relative) if is_gcode(place.relative) else None

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
        unknown, gone = await self._shelf.compare(there)
        self._shelf.put(dict.fromkeys(gone))
        self._read_later(sorted(unknown, key=lambda relative: there[relative].modified))

    def _read_later(self, relatives: Iterable[str]) -> None:
        """Have files read one after the other when there is time, the last of them first."""
        for relative in relatives:
            self._backlog.pop(relative, None)
            self._backlog[relative] = None
        if self._backlog and not self._is_reading:
            self._is_reading = True
            self._begin(self._read_backlog())

    async def _read_backlog(self) -> None:
        try:
            while self._backlog and not self._has_stopped:
                relative, _ = self._backlog.popitem()
                await self._changes.run(lambda: None)  # what happened before was taken part in
                with suppress(ApiError):
                    await self._read_if_new(self._roots.place(relative, within=GCODES))
        finally:
            self._is_reading = False

    async def _read_if_new(self, place: Place) -> None:
        there = await self._off_thread(partial(self._files.version, place))
        if there is None or await self._known(place, there) is not None or self._has_stopped:
            return
        await self._read(place, there)

    async def _known(self, place: Place, there: Version) -> Metadata | None:
        """Return what is known of a version of a file, None where it is to be read."""
        for known in (self._given_up.get(place.relative), await self._shelf.get(place.relative)):
            if known is not None and known.is_of(*there):
                return known
        return None

    async def _read(self, place: Place, there: Version, *, urgent: bool = False) -> Metadata:
        marks_objects = self._marks_objects and await self._may_be_changed(place)
        path = await self._off_thread(partial(self._files.path, place))
        job = Job(path, there.size, there.modified, marks_objects)
        try:
            found = await self._scans.scan(job, urgent=urgent)
        except Unreadable as problem:
            return await self._unread(place, there, problem)
        return await self._take(place, there, found)

    async def _unread(self, place: Place, there: Version, problem: Unreadable) -> Metadata:
        """Take that a file couldn't be read, and keep that if it is the file's fault. Raises NotFound."""
        if await self._off_thread(partial(self._files.version, place)) is None:
            raise _not_available(place)
        self._log.warn("{file}: no metadata: {problem}", file=place.relative, problem=str(problem))
        nothing = Found(there.size, there.modified, Facts(), [], [], is_complete=False)
        if not isinstance(problem, Interrupted):
            return await self._take(place, there, nothing)
        known = await self._known(place, there)
        if known is None:
            last = await self._shelf.last_print(place.relative, there)
            known = _metadata(place, problem.found or nothing, last)
            if problem.is_deadly:
                self._given_up[place.relative] = known
        return known

    async def _take(self, place: Place, there: Version, found: Found) -> Metadata:
        self._given_up.pop(place.relative, None)
        metadata = _metadata(place, found, await self._shelf.last_print(place.relative, there))
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
        await self._take_down(place, stale)
        self._keep(metadata)

    async def _take_down(self, place: Place, pictures: Sequence[Thumbnail]) -> None:
        """Delete pictures of a file, except for those that a file named alike shows, too."""
        if pictures:
            shared = await self._shared(place)
            own = [picture for picture in pictures if picture.relative_path not in shared]
            await self._off_thread(partial(self._files.delete_pictures, place, own))

    async def _shared(self, place: Place) -> set[str]:
        """Return the pictures, by their relative paths, of other files in the folder that are named alike."""
        others = await self._shelf.get_many(namesakes(place.relative))
        return {picture.relative_path for other in others.values() for picture in other.thumbnails or ()}

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
        if GCODES not in (change.item.root, source) or change.action == "root_update":
            return
        if change.action in ("create_file", "modify_file"):
            self._read_later(filter(is_gcode, [change.item.path]))
        else:
            self._begin(self._follow(change))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        running = run_aside(work, "metadata", self._report_fault, ApiError)
        if not running.called:
            self._aside.add(running)
            running.addBoth(lambda _: self._aside.discard(running))

    async def _follow(self, change: FileChange) -> None:
        """Take part in a move, in a deletion, or in a new folder; one after the other, but reading apart."""
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
            self._read_later(filter(is_gcode, [place.relative]))
            return
        there = await self._off_thread(partial(self._files.versions, place))
        names = sorted(there, key=lambda relative: there[relative].modified)
        for begin in range(0, len(names), PAGE):
            page = names[begin : begin + PAGE]
            known = await self._shelf.get_many(page)
            self._read_later(
                relative
                for relative in page
                if relative not in known or not known[relative].is_of(*there[relative])
            )

    async def _leave(self, source: Place, target: Place | None) -> None:
        """Let a file's metadata and pictures go where it went; with no target the file is gone."""
        known = await self._shelf.get(source.relative)
        if known is None:
            return
        self._shelf.put({source.relative: None})
        thumbnails = known.thumbnails or []
        there = await self._off_thread(partial(self._files.version, target)) if target is not None else None
        if target is None or there is None or not known.is_of(*there):
            await self._take_down(source, thumbnails)
            return
        if thumbnails:
            shared = await self._shared(source)
            thumbnails = await self._off_thread(
                partial(self._files.move_pictures, source, target, thumbnails, shared)
            )
        moved = msgspec.structs.replace(
            known, filename=target.relative, thumbnails=thumbnails or msgspec.UNSET
        )
        await self._keep_if_there(target, moved)

    async def _leave_folder(self, source: Place, target: Place | None) -> None:
        """Let the metadata of a folder's files go where it went; their pictures went with it.

        Nobody is told of each file: Moonraker 0.11.0 tells of the folder alone.
        """
        await self._shelf.move_folder(source.relative, None if target is None else target.relative)
        self._scans.drop(await self._off_thread(partial(self._files.path, source)))


def _not_available(place: Place) -> NotFound:
    return NotFound(f"Metadata not available for <{place.relative}>")


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
