"""One SQLite file, one connection, one thread.

```
 reactor's thread                    thread "txraker-database"
 run(work) ── queue ───────────────▶ BEGIN IMMEDIATE · work(connection) · COMMIT or ROLLBACK
 Deferred  ◀── callFromThread ────── what work returned or raised
```

The connection is opened, used and closed in that thread alone, which takes one piece of work after the other:
nothing of ours waits for SQLite's locks, and writers need no retries. An empty queue blocks the thread, and
nothing is written or woken until there is work.

*Durable*: a write-ahead log with ``synchronous=FULL``; a commit is on the disk before it is answered. Where a
file system can't do a write-ahead log SQLite stays with its rollback journal, which keeps the same promise.

*One server at a time*: ``flock`` on ``txraker.db.lock``. The kernel takes it back however a process ends, it
keeps two servers in one process apart, too, and says at once who is the second. SQLite's exclusive locking
mode would also shut out whoever just looks at the file with another program. The lock is on a file beside
the database, because to close any descriptor of the database is to give up SQLite's own locks in this
process; and that file stays, because who removes it lets others lock a new one of the same name.

*Migrations* are applied when the file is opened, each in its transaction, after a copy is made of what there
was. The file is checked before. One that is damaged is replaced by what ``recovery`` finds, if there is one;
one that can't be used for any other reason, such as being newer than the code, is left as it is.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from traceback import clear_frames
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.errors import Unavailable
from txraker.interfaces import IDatabase
from txraker.storage.blame import is_damage, is_of_the_file
from txraker.storage.copies import save_copy
from txraker.storage.migrations import (
    CannotMigrate,
    Migrations,
    TooNew,
    check_numbers,
    is_empty,
    missing,
    version_of,
)

_T = TypeVar("_T")

PATIENCE = 5.0
"""Seconds to wait for another program that has locked the file, such as somebody's ``sqlite3``."""

LARGEST_LOG = 4 * 1024 * 1024
"""Bytes that the write-ahead log may keep on the disk: what it grows to before its content is moved."""


class StorageError(Unavailable):
    """A database can't be used because of its file, or of what that is stored on.

    ``file`` is the file that is to blame, ``reason`` what is wrong with it, as a user should read it.
    """

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class Damaged(StorageError):
    """The content of a database's file makes no sense, and never will."""


class Recovery(Protocol):
    """What puts something better in the place of a damaged file."""

    def before(self, file: Path) -> str:
        """See to a file before it is opened; return what users must know. Raises OSError and StorageError."""

    def __call__(self, file: Path, damage: StorageError) -> str:
        """Put a damaged file aside, another in its place if there is one; return what users must know."""


def storage_error(file: Path, problem: BaseException) -> StorageError:
    """Return what went wrong in words for users; ``file`` is to blame unless the problem names another."""
    if isinstance(problem, StorageError):
        return problem
    reason = str(problem)
    if isinstance(problem, OSError):
        file = Path(os.fsdecode(problem.filename)) if problem.filename else file
        reason = problem.strerror or reason
    elif isinstance(problem, sqlite3.Error) and hasattr(problem, "sqlite_errorname"):
        reason = f"{problem} ({problem.sqlite_errorname})"
    blame = StorageError(file, reason)
    blame.__cause__ = problem
    return blame


def blamed(file: Path, problem: BaseException) -> BaseException:
    """Return a StorageError if the file is to blame for what work raised, and else just that."""
    return storage_error(file, problem) if is_of_the_file(problem) else problem


def prepare(connection: sqlite3.Connection) -> None:
    """Set what lasts as long as a connection and must come before anything else."""
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={LARGEST_LOG}")


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Do work in one transaction, which is rolled back when the work raises, and return its result.

    A cursor is no result, and a TypeError: it would be used, or at least be let go of, in another thread.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        if isinstance(result, sqlite3.Cursor):
            raise TypeError("Work on a database returns values, not a cursor")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def maintain(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Do work outside a transaction, and return its result; one that it left open is rolled back."""
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, migrations: Migrations, back_up: Callable[[int], object]) -> None:
    """Bring a database to its newest version, and enforce foreign keys from then on.

    ``back_up`` is called before with the version that there was, if there is anything to keep. Migrations
    that came before one that fails stay done. Raises CannotMigrate, and what ``back_up`` raises.
    """
    version = version_of(connection)
    wanted = missing(migrations, version)
    if wanted and not is_empty(connection):
        back_up(version)
    connection.execute("PRAGMA foreign_keys=OFF")
    for migration in wanted:
        try:
            transact(connection, migration.apply)
        except Exception as problem:
            steps = f"from version {migration.version - 1} to {migration.version}"
            raise CannotMigrate(
                f"its schema can't be brought {steps}: {type(problem).__name__}: {problem}"
            ) from problem
    connection.execute("PRAGMA foreign_keys=ON")


class _Job(msgspec.Struct, Generic[_T], frozen=True, eq=False):
    """Work, and who is told what came of it. ``do`` does it, in a transaction or outside."""

    work: Callable[[sqlite3.Connection], _T]
    told: Deferred[_T]
    do: Callable[[sqlite3.Connection, Callable[[sqlite3.Connection], _T]], _T]


@implementer(IDatabase)
@define(eq=False, repr=False)
class Database:
    """The file ``database/txraker.db`` of a data path; it can be started and stopped once.

    ``why_not`` is told to whoever asks before it is started. ``notice`` says, once it is open, what users
    must know of a recovery, if there was one.
    """

    _reactor: IReactorFromThreads
    _data_path: Path
    _migrations: Migrations = field(default=(), validator=check_numbers)
    _recovery: Recovery | None = None
    _why_not: str = "The database has not been started"
    path: Path = field(init=False)
    notice: str = field(default="", init=False)
    _queue: SimpleQueue[_Job[Any] | None] = field(factory=SimpleQueue, init=False)
    _thread: Thread | None = field(default=None, init=False)
    _refusal: Callable[[], Unavailable] | None = field(init=False)
    _opened: Deferred[None] = field(factory=Deferred, init=False)
    _ended: list[Deferred[None]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.path = path_in(self._data_path)
        self._refusal = partial(Unavailable, self._why_not)

    def start(self) -> Deferred[None]:
        self._refusal = None
        thread = Thread(target=self._live, name="txraker-database", daemon=True)
        try:
            thread.start()
        except RuntimeError as problem:  # there are as many threads as we may have
            self._cannot_work(StorageError(self.path, str(problem)))
        else:
            self._thread = thread
        return self._opened

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        return self._ask(_Job(work, Deferred[_T](), transact))

    def maintain(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        """Do work outside a transaction, in its turn, and return what it returns.

        It is for what concerns the file as a whole: to compact it, to copy it, to replace its content.
        Raises what ``run`` raises.
        """
        return self._ask(_Job(work, Deferred[_T](), maintain))

    def _ask(self, job: _Job[_T]) -> Deferred[_T]:
        if self._refusal is not None:
            return fail(self._refusal())
        self._queue.put(job)
        return job.told

    def stop(self) -> Deferred[None]:
        if self._thread is None:
            return succeed(None)
        if self._refusal is None:
            self._refusal = partial(Unavailable, "The database has been stopped")
            self._queue.put(None)
        ended = Deferred[None]()
        self._ended.append(ended)
        return ended

    def _cannot_work(self, problem: StorageError) -> None:
        """Tell why to whoever waits for the start or for work, and to all who come later."""
        self._refusal = refusal = partial(StorageError, problem.file, problem.reason)
        if not self._opened.called:
            self._opened.errback(problem)
        while not self._queue.empty():
            job = self._queue.get()
            if job is not None:
                job.told.errback(refusal())

    def _thread_ends(self, problem: StorageError | None) -> None:
        """Tell whoever waits that the thread has done all it was asked for, or, with a problem, nothing."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if problem is not None:
            self._cannot_work(problem)
        for waiting in self._ended:
            waiting.callback(None)

    # All that follows is done in the thread of its own.

    def _live(self) -> None:
        problem = None
        try:
            with ExitStack() as held:
                connection, self.notice = open_database(self.path, self._migrations, held, self._recovery)
                self._reactor.callFromThread(self._opened.callback, None)
                self._work(connection)
        except Exception as error:
            problem = storage_error(self.path, error)
        finally:
            self._reactor.callFromThread(self._thread_ends, problem)

    def _work(self, connection: sqlite3.Connection) -> None:
        while self._work_once(connection):
            pass
        with suppress(sqlite3.Error):  # what can't be moved from the log now is found there at the next start
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _work_once(self, connection: sqlite3.Connection) -> bool:
        """Wait for work and do it; return whether there may be more. Nothing of it is kept meanwhile."""
        job = self._queue.get()
        if job is None:
            return False
        try:
            result = job.do(connection, job.work)
        except BaseException as problem:
            clear_frames(problem.__traceback__)  # a cursor in there would keep the file open
            self._reactor.callFromThread(job.told.errback, Failure(blamed(self.path, problem)))
        else:
            self._reactor.callFromThread(job.told.callback, result)
        return True


def path_in(data_path: Path) -> Path:
    """Return where a printer's database is."""
    return data_path / "database" / "txraker.db"


def open_database(
    path: Path, migrations: Migrations, held: ExitStack, recovery: Recovery | None = None
) -> tuple[sqlite3.Connection, str]:
    """Return a connection that is ready for work, and what users must know of a recovery, if there was one.

    ``held`` closes it, and whatever else is to be closed. Raises StorageError, OSError, sqlite3.Error and
    CannotMigrate.
    """
    if sqlite3.threadsafety == 0:
        raise StorageError(path, "SQLite was built without support for threads")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    lock = _create(_beside(path, "lock"))
    held.callback(os.close, lock)
    _lock(lock, path)
    connection, notice = _recovered(path, held, recovery) if recovery else (_connect(path, held), "")
    try:
        migrate(connection, migrations, partial(_back_up, connection, path))
    except TooNew as problem:
        raise StorageError(path, f"{problem}. {_way_out(path, problem.newest)}") from problem
    connection.execute("PRAGMA journal_mode=WAL")
    return connection, notice


def _recovered(path: Path, held: ExitStack, recovery: Recovery) -> tuple[sqlite3.Connection, str]:
    notice = recovery.before(path)
    try:
        return _connect(path, held), notice
    except Damaged as damage:
        notice = recovery(path, damage)
    return _connect(path, held), notice


def _connect(path: Path, held: ExitStack) -> sqlite3.Connection:
    """Return a connection to a file that has been checked. Raises Damaged."""
    os.close(_create(path))
    with ExitStack() as until_checked:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        until_checked.enter_context(closing(connection))
        try:
            prepare(connection)
            _check(connection, path)
        except sqlite3.DatabaseError as problem:
            if is_damage(problem):
                raise Damaged(path, storage_error(path, problem).reason) from problem
            raise
        held.push(until_checked.pop_all())
    return connection


def _way_out(file: Path, newest: int) -> str:
    """Return what can be done about a database that is too new, of which there may be a copy from before."""
    copies = (_copy_of(file, version) for version in range(newest, 0, -1))
    copy = next((copy for copy in copies if copy.exists()), None)
    before = f"put {copy} in its place" if copy else "restore a backup"
    return f"It is left as it is. Update txraker, or {before}: see 'Going back' in docs/install.md"


def _copy_of(file: Path, version: int) -> Path:
    """Return where a copy of a database is that was made before it was brought to a later version."""
    return _beside(file, f"{version}.bak")


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(f"{file.name}.{ending}")


def _create(file: Path) -> int:
    """Return a descriptor of a file that may be written, which is made if it isn't there."""
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int, file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(file, "it is in use by another server") from None


def _check(connection: sqlite3.Connection, file: Path) -> None:
    found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Damaged(file, f"it is damaged: {' '.join(found.split())}")


def _back_up(connection: sqlite3.Connection, file: Path, version: int) -> None:
    """Copy a database to a file of its own, which replaces an older copy of that version once it is whole."""
    backup = _copy_of(file, version)
    try:
        save_copy(connection, backup)
    except Exception as problem:
        raise storage_error(backup, problem) from problem
