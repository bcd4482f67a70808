"""A watcher on real folders and the real kernel, with a clock that the test moves: nothing sleeps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock

from tests.tools import Faults
from txraker.events import FileAction, FileChange, FileItem, SourceItem
from txraker.files.disk import Disk
from txraker.files.places import Root, Roots
from txraker.files.watch.inotify import Inotify
from txraker.files.watch.look import is_skipped
from txraker.files.watch.watcher import Watcher
from txraker.reactor import OffThread, Reactor
from txraker.testing.threads import at_once

Listing = dict[str, tuple[float, int] | None]
"""What is in the roots: files with when they were modified and their size; folders with None."""


class ReadingClock(Clock):
    """A clock that notes who wants to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:  # noqa: N802  # Twisted's name
        """Note who wants to read."""
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:  # noqa: N802  # Twisted's name
        """Note who wants to read no more."""
        self.readers.remove(reader)


@define(eq=False)
class Bench:
    """Two roots, ``gcodes`` and ``config``, a folder outside of them, and a watcher."""

    path: Path
    clock: ReadingClock = field(factory=ReadingClock)
    changes: list[FileChange] = field(factory=list)
    warnings: list[tuple[str, str]] = field(factory=list)
    faults: Faults = field(factory=Faults)
    open_kernel: Callable[[], Inotify] = Inotify.open
    off_thread: Any = at_once
    tell: Callable[[FileChange], None] = lambda _: None
    idle: Callable[[], None] = lambda: None
    deaf: bool = False
    wall: Callable[[], float] = time
    watcher: Watcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("gcodes", "config", "outside", "secret"):
            (self.path / name).mkdir(exist_ok=True)
        roots = Roots()
        for name in ("gcodes", "config"):
            roots.put(Root(name, self.path / name, True))
        disk = Disk(roots, link_targets=[self.path / "outside"])
        self.watcher = Watcher(
            cast("Reactor", self.clock),
            cast("OffThread", self._work),
            list(roots),
            lambda: disk.rules().allows,
            self._hear,
            lambda key, text: self.warnings.append((key, text)),
            self.faults,
            self.open_kernel,
            self.path / "mounts",
            self.wall,
        )

    def _work(self, work: Callable[[], object]) -> object:
        return self.off_thread(work)

    def _hear(self, change: FileChange) -> None:
        self.changes.append(change)
        self.tell(change)

    def start(self) -> Bench:
        """Begin to watch."""
        self.watcher.start()
        self.clock.advance(0)
        return self

    def read(self) -> None:
        """Let the watcher read what it wants to."""
        for reader in () if self.deaf else tuple(self.clock.readers):
            reader.doRead()

    def go(self, seconds: float = 3.0) -> list[str]:
        """Let time pass and return what was told meanwhile."""
        for _ in range(round(seconds / 0.05)):
            self.read()
            self.idle()
            self.clock.advance(0.05)
        told = [said(change) for change in self.changes]
        self.changes.clear()
        return told

    def write(self, name: str, text: str = "G28\n") -> Path:
        """Write a file."""
        path = self.path / name
        path.write_text(text)
        return path

    def move(self, name: str, new_name: str) -> None:
        """Move something."""
        (self.path / name).rename(self.path / new_name)

    def watches(self) -> int:
        """Return how many folders the kernel watches."""
        return Path(f"/proc/self/fdinfo/{self.watcher.fileno()}").read_text().count("inotify wd:")

    def listing(self) -> Listing:
        """Return what is in the roots."""
        found: Listing = {}
        for root in ("gcodes", "config"):
            for folder, folders, files in os.walk(self.path / root):
                for name in (name for name in (*folders, *files) if not is_skipped(name)):
                    path = Path(folder) / name
                    about = path.stat()
                    stamp = None if path.is_dir() else (about.st_mtime, about.st_size)
                    found[str(path.relative_to(self.path))] = stamp
        return found


def change(path: Path, action: str, name: str, source: str | None = None) -> FileChange:
    """Return a change as the file manager tells it, after it was done below a path."""
    root, relative = name.split("/", 1)
    there = path / name
    about = there.stat() if there.exists() else None
    stamp = (about.st_mtime, about.st_size, "rw") if about is not None else (0.0, 0, "")
    before = SourceItem(*source.split("/", 1)) if source is not None else None
    return FileChange(cast("FileAction", action), FileItem(root, relative, *stamp), before)


def said(change: FileChange) -> str:
    """Return a change in short: the action, the place, and where it was before."""
    item, source = change.item, change.source_item
    text = f"{change.action} {item.root}/{item.path}"
    return f"{text} < {source.root}/{source.path}" if source is not None else text


@define(eq=False)
class SlowWorker:
    """A worker who looks when told to, and is heard of when told again."""

    _waiting: list[tuple[Deferred[object], Callable[[], object]]] = field(factory=list)
    _done: list[tuple[Deferred[object], object]] = field(factory=list)

    def __call__(self, work: Callable[[], object]) -> Deferred[object]:
        self._waiting.append((Deferred(), work))
        return self._waiting[-1][0]

    def step(self) -> None:
        """Let the worker do something."""
        if self._done:
            done, result = self._done.pop(0)
            done.callback(result)
        elif self._waiting:
            done, work = self._waiting.pop(0)
            self._done.append((done, work()))


@define(eq=False)
class Client:
    """A client that keeps a listing by what it is told; new folders it asks for."""

    listing: Listing
    _ask: Callable[[], Listing]

    def hear(self, change: FileChange) -> None:
        """Do what the client of a file browser does."""
        item, source = change.item, change.source_item
        path = f"{item.root}/{item.path}".rstrip("/")
        moved = self._take(f"{source.root}/{source.path}") if source is not None else {}
        self._take(path)
        if change.action.endswith("_file") and change.action != "delete_file":
            self.listing[path] = (item.modified, item.size)
        elif change.action == "move_dir" and moved:
            self.listing |= {path + name: stamp for name, stamp in moved.items()}
        elif change.action in {"create_dir", "move_dir", "root_update"}:
            there = self._ask()
            self.listing |= {name: there[name] for name in there if f"{name}/".startswith(f"{path}/")}

    def _take(self, path: str) -> Listing:
        """Forget something and what is in it; return that by what comes after the path."""
        names = [name for name in self.listing if f"{name}/".startswith(f"{path}/")]
        return {name.removeprefix(path): self.listing.pop(name) for name in names}
