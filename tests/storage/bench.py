"""Databases on real files: a reactor for their threads that needs no loop, and servers that can be killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from attrs import define, field
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from tests.tools import Outcome, start
from txraker.storage.database import Database, Recovery
from txraker.storage.migrations import Migration, Migrations

_T = TypeVar("_T")

PATIENCE = 20.0
"""Seconds after which what is waited for is taken to never come."""

NOTES = Migration(1, ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",))
COLOURS = Migration(
    2,
    (
        "CREATE TABLE colours (id INTEGER PRIMARY KEY, note INTEGER NOT NULL REFERENCES notes (id))",
        "ALTER TABLE notes ADD COLUMN size INTEGER NOT NULL DEFAULT 7",
    ),
)


def write(text: str) -> Callable[[sqlite3.Connection], int]:
    """Return work that keeps a text and returns its number."""

    def work(connection: sqlite3.Connection) -> int:
        number = connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid
        assert number is not None
        return number

    return work


def read(connection: sqlite3.Connection) -> list[str]:
    """Return all texts that were kept: work."""
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def pragma(name: str) -> Callable[[sqlite3.Connection], object]:
    """Return work that asks for a setting."""
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]


@implementer(IReactorFromThreads)
@define(eq=False)
class Mailbox:
    """What threads hand to the reactor's thread, which is that of the test."""

    calls: SimpleQueue[Callable[[], object]] = field(factory=SimpleQueue)

    def callFromThread(  # noqa: N802  # Twisted's
        self, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> None:
        """Keep a call until it is waited for."""
        self.calls.put(lambda: callable(*args, **kwargs))

    def wait(self, outcome: Outcome[_T]) -> _T:
        """Make calls until something has ended, and return its result."""
        while not outcome.done:
            self.calls.get(timeout=PATIENCE)()
        return outcome.result()


@define(eq=False)
class Server:
    """A database of a folder, and a test that waits for it."""

    folder: Path
    migrations: Migrations = (NOTES,)
    recovery: Recovery | None = None
    mailbox: Mailbox = field(factory=Mailbox)
    database: Database = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.database = Database(self.mailbox, self.folder, self.migrations, self.recovery)

    def start(self) -> None:
        """Open the database."""
        self.mailbox.wait(start(self.database.start()))

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do work."""
        return self.mailbox.wait(self.begin(work))

    def maintain(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do work outside a transaction."""
        return self.mailbox.wait(start(self.database.maintain(work)))

    def begin(self, work: Callable[[sqlite3.Connection], _T]) -> Outcome[_T]:
        """Ask for work."""
        return start(self.database.run(work))

    def stop(self) -> None:
        """Close the database."""
        self.mailbox.wait(start(self.database.stop()))

    @property
    def thread(self) -> Thread | None:
        """The thread that works."""
        return self.database._thread


@contextmanager
def serving(folder: Path, *migrations: Migration) -> Iterator[Server]:
    """Have a database open for as long as the context lasts."""
    server = Server(folder, migrations or (NOTES,))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def look(file: Path) -> tuple[int, list[str]]:
    """Return the schema's version and the texts in a file, as another program sees them."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0], read(connection)


def open_files(folder: Path) -> set[str]:
    """Return the names of the files of a folder that this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = Path(os.readlink(descriptor))
        except FileNotFoundError:  # that of the listing itself
            continue
        if target.is_relative_to(folder):
            found.add(target.name)
    return found


@contextmanager
def another_process(role: str, folder: Path, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run ``tests.storage.server`` in a process of its own until the context ends."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.storage.server", role, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process writes."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kill a process and return the whole lines that it had written and nobody had read."""
    process.kill()
    assert process.stdout is not None
    rest = process.stdout.read()
    process.wait()
    return rest.splitlines()[: rest.count("\n")]
