"""Builds the ``file_manager`` component, and what else deals with its files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from attrs import define

import txraker
from txraker.api.audit import AuditEntry
from txraker.api.caller import TRUSTED, Caller, Transport
from txraker.api.endpoint import endpoints_of
from txraker.components.file_manager.component import FileManager
from txraker.components.file_manager.metadata import MetadataEndpoints
from txraker.config.options import FileManagerOptions
from txraker.errors import BadRequest
from txraker.events import FileChange, FileListChanged
from txraker.faults import FaultReport, run_aside
from txraker.files.changes import Changes
from txraker.files.defaults import CONFIG, default_link_targets, default_roots, reserved_paths
from txraker.files.disk import Disk
from txraker.files.guard import PrinterGuard
from txraker.files.places import Place, Roots
from txraker.files.uploads import Uploads
from txraker.files.watch.watcher import Watcher
from txraker.interfaces import INamespaces
from txraker.klippy.client import KlippyClient
from txraker.klippy.printing import PrintInProgress
from txraker.loader import ComponentLoader
from txraker.metadata.disk import Files as GcodeFiles
from txraker.metadata.library import Library
from txraker.metadata.scanner import Scanner
from txraker.metadata.shelf import Shelf
from txraker.reactor import OwnThreads, off_thread
from txraker.transports.web.download import Downloads

MIB = 1024 * 1024

WRITERS = 4
"""Changes of files at once that are done soon, unless the disk hangs; an upload is put in place by one."""

COPIERS = 2
"""Copies and archives at once: each may hold a thread for minutes."""


UPLOADER = Caller(Transport.UNIX, "an upload", TRUSTED)
"""Who starts the print of a file whose sender asked for that, and may."""


@define(eq=False, repr=False)
class Files:
    """The files of one printer, for those who serve them. ``delete`` deletes one as the API does."""

    roots: Roots
    uploads: Uploads
    downloads: Downloads
    delete: Callable[[Caller, Place], Awaitable[object]]
    _library: Library
    _watcher: Watcher | None
    _report_fault: FaultReport

    def start(self) -> None:
        """Begin to watch, to read what gcode files say, and remove what uploads have left."""
        self._library.start()
        if self._watcher is not None:
            self._watcher.start()
        run_aside(self.uploads.remove_leftovers(), "removing what uploads left", self._report_fault)

    async def stop(self) -> None:
        """End that."""
        if self._watcher is not None:
            self._watcher.stop()
        await self._library.stop()


def load_file_manager(
    loader: ComponentLoader,
    klippy: KlippyClient,
    printing: PrintInProgress,
    namespaces: INamespaces,
    audit: Callable[[AuditEntry], None],
    logs: Mapping[str, Callable[[], Path | None]],
    largest_upload: int,
    neighbours: Sequence[Path],
) -> Files:
    """Load the component.

    ``logs`` are files that are known by names of their own, ``largest_upload`` is in MiB, and ``neighbours``
    are the data paths of the other printers of this process.
    """
    reactor, configuration, dispatcher = loader.reactor, loader.configuration, loader.dispatcher
    events, report_fault = loader.events, loader.report_fault
    options = configuration.read("file_manager", FileManagerOptions)
    data_path = configuration.data_path
    roots = default_roots(data_path, config_is_writable=options.enable_config_write_access)
    disk = Disk(
        roots,
        reserved_paths(data_path, Path(txraker.__file__).parent, neighbours),
        default_link_targets(Path.home()),
    )
    guard = PrinterGuard(reactor, klippy, klippy.status)

    def tell(change: FileChange) -> None:
        if watcher is not None:
            watcher.expect(change)
        events.emit(FileListChanged(change))

    def quiet(places: Sequence[Place]) -> AbstractContextManager[None]:
        if watcher is None:
            return nullcontext()
        return watcher.quiet(*((place.root.name, place.relative) for place in places))

    def warn(key: str, text: str) -> None:
        if text and options.enable_observer_warnings:
            loader.warnings.put(key, text)
        elif not text:
            loader.warnings.drop(key)

    watcher = None
    if options.file_system_observer == "inotify":
        watcher = Watcher(
            reactor,
            OwnThreads(reactor, 1, "txraker-watch"),
            [root for root in roots if root.is_writable or root.name == CONFIG],
            lambda: disk.rules().allows,
            lambda change: events.emit(FileListChanged(change)),
            warn,
            report_fault,
        )
    changes = Changes(
        roots,
        guard,
        OwnThreads(reactor, WRITERS, "txraker-files"),
        OwnThreads(reactor, COPIERS, "txraker-copies"),
        tell,
        quiet,
    )
    library = Library(
        reactor,
        Shelf(namespaces, reactor, report_fault),
        Scanner(reactor, loader.log),
        roots,
        GcodeFiles(disk),
        guard,
        events,
        off_thread(reactor),
        report_fault,
        loader.log,
        options.enable_object_processing,
    )

    async def start_print(path: str) -> None:
        if await printing.ask():
            raise BadRequest("There is a print already")
        await call("printer.print.start", UPLOADER, {"filename": path})

    async def call(method: str, caller: Caller, arguments: Mapping[str, object]) -> object:
        return await dispatcher.call(dispatcher.find_method(method, Transport.WEBSOCKET), caller, arguments)

    async def delete(caller: Caller, place: Place) -> object:
        return await call("server.files.delete_file", caller, {"path": str(place)})

    loader.load(
        "file_manager",
        lambda: FileManager(
            roots,
            disk,
            changes,
            klippy,
            events,
            off_thread(reactor),
            reactor,
            report_fault,
            library.of_files,
        ),
    )
    dispatcher.add(endpoints_of(MetadataEndpoints(library, roots)))
    uploads = Uploads(roots, disk, changes, off_thread(reactor), start_print, audit, largest_upload * MIB)
    return Files(roots, uploads, Downloads(roots, disk, logs), delete, library, watcher, report_fault)
