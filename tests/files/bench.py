"""A server that has nothing but files, on whatever reactor, for tests of uploads and downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError

from tests.tools import Faults, Logged, result_of
from txraker.access import configured_access
from txraker.api.audit import AuditEntry
from txraker.api.caller import Caller
from txraker.api.dispatch import Dispatcher
from txraker.authorization.accounts import open_accounts
from txraker.authorization.gate import Gate
from txraker.errors import ApiError, NotFound
from txraker.events import FileChange
from txraker.files.changes import Changes
from txraker.files.disk import Disk
from txraker.files.places import Place, Root, Roots
from txraker.files.uploads import Uploads
from txraker.reactor import OffThread
from txraker.server_warnings import ServerWarnings
from txraker.storage.schema import MIGRATIONS
from txraker.testing.database import MemoryDatabase
from txraker.testing.guard import MemoryGuard
from txraker.testing.threads import at_once
from txraker.transports.web.channel import LimitedSite
from txraker.transports.web.download import Downloads, FileResource
from txraker.transports.web.frontend import Frontend
from txraker.transports.web.resources import Door, Nothing
from txraker.transports.web.sending import Sending
from txraker.transports.web.tree import site
from txraker.transports.web.upload import UploadResource

MIB = 1024 * 1024


@define(eq=False)
class FileServer:
    """Folders, a site that serves them, and what it has told. The home network and loopback are trusted."""

    folder: Path
    clock: Any
    off_thread: OffThread = at_once
    largest: int = 16 * MIB
    prefix: str = ""
    guard: MemoryGuard = field(factory=MemoryGuard)
    roots: Roots = field(factory=Roots)
    faults: Faults = field(factory=Faults)
    changes: list[FileChange] = field(factory=list)
    prints: list[str] = field(factory=list)
    print_error: ApiError | None = None
    noted: list[AuditEntry] = field(factory=list)
    deleted: list[str] = field(factory=list)
    log: Path | None = None
    gate: Gate = field(init=False)
    uploads: Uploads = field(init=False)
    upload: UploadResource = field(init=False)
    site: LimitedSite = field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("gcodes", "config", "logs"):
            (self.folder / name).mkdir(exist_ok=True)
            self.roots.put(Root(name, self.folder / name, is_writable=name != "logs"))
        database = MemoryDatabase(MIGRATIONS)
        result_of(database.start())
        accounts = open_accounts(database, at_once, self.clock.seconds)
        result_of(accounts.load())
        access = configured_access(["192.168.1.0/24", "127.0.0.0/8"], ["http://good.example"]).access
        self.gate = Gate(access, accounts, self.clock.seconds)
        dispatcher = Dispatcher(self.faults, lambda _: None, CancelledError, audit=self.noted.append)
        door = Door(dispatcher, self.gate, self.faults)
        disk = Disk(self.roots)
        self.uploads = Uploads(
            self.roots,
            disk,
            Changes(self.roots, self.guard, self.off_thread, self.off_thread, self.changes.append),
            self.off_thread,
            self.start_print,
            self.noted.append,
            self.largest,
        )
        prefix = f"/{self.prefix}" if self.prefix else ""
        self.upload = UploadResource(door, self.uploads, self.off_thread, prefix)
        downloads = Downloads(self.roots, disk, {"klippy.log": lambda: self.log})
        sending = Sending(self.off_thread, self.clock)
        files = FileResource(door, downloads, self.delete, sending, prefix)
        nothing = Nothing(door)
        warnings = ServerWarnings(Logged().logger())
        frontend = Frontend(door, sending, warnings, None, prefix)
        self.site = site(self.clock, door, nothing, nothing, frontend, self.prefix, self.upload, files)

    async def start_print(self, path: str) -> None:
        """Note what is to be printed, or fail."""
        if self.print_error is not None:
            raise self.print_error
        self.prints.append(path)

    async def delete(self, caller: Caller, place: Place) -> object:
        """Note what is to be deleted; what isn't there can't be."""
        if not place.path.exists():
            raise NotFound(f"'{place}' doesn't exist")
        self.deleted.append(str(place))
        return {"action": "delete_file"}

    def names(self, root: str = "gcodes") -> list[str]:
        """Return the paths of everything in a root."""
        folder = self.folder / root
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
