"""A database's file, its thread, and what they do when something is wrong with either."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from tests.storage.bench import PATIENCE, Server, look, open_files, pragma, read, serving, write
from tests.tools import Outcome, start
from txraker.errors import BadRequest, Unavailable
from txraker.storage.database import LARGEST_LOG, StorageError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Have a database open."""
    with serving(tmp_path) as server:
        yield server


def mode(path: Path) -> int:
    """Return a file's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_modes(tmp_path: Path) -> None:
    """Whatever is made, nobody else may read it."""
    before = os.umask(0)
    try:
        with serving(tmp_path) as server:
            server.run(write("secret"))
            folder = tmp_path / "database"
            assert mode(folder) == 0o700
            files = {path.name: mode(path) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert files == dict.fromkeys(
        ("txraker.db", "txraker.db-shm", "txraker.db-wal", "txraker.db.lock"), 0o600
    )


def test_mode_of_somebody_elses_folder(tmp_path: Path) -> None:
    """A folder and a file that are there keep their modes."""
    (tmp_path / "database").mkdir(mode=0o755)
    (tmp_path / "database" / "txraker.db").touch(0o640)
    with serving(tmp_path) as server:
        server.run(write("hello"))
    assert mode(tmp_path / "database") == 0o755
    assert mode(tmp_path / "database" / "txraker.db") == 0o640


def test_settings(server: Server) -> None:
    """SQLite is set to keep what was answered, and to distrust what a file says it should run."""
    assert {name: server.run(pragma(name)) for name in ("journal_mode", "synchronous")} == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
    }
    assert server.run(pragma("foreign_keys")) == 1
    assert server.run(pragma("trusted_schema")) == 0
    assert server.run(pragma("busy_timeout")) == 5000
    assert server.run(pragma("journal_size_limit")) == LARGEST_LOG


def test_kept(tmp_path: Path) -> None:
    """What was written is there after a restart."""
    for number in range(3):
        with serving(tmp_path) as server:
            server.run(write(f"note {number}"))
    with serving(tmp_path) as server:
        assert server.run(read) == ["note 0", "note 1", "note 2"]


def test_committed_when_answered(server: Server) -> None:
    """What was answered is seen by other programs; what wasn't, is not."""
    server.run(write("done"))
    may_end = threading.Event()
    has_written = threading.Event()

    def slowly(connection: sqlite3.Connection) -> None:
        write("under way")(connection)
        has_written.set()
        assert may_end.wait(PATIENCE)

    outcome = server.begin(slowly)
    assert has_written.wait(PATIENCE)
    assert look(server.database.path) == (1, ["done"])
    may_end.set()
    server.mailbox.wait(outcome)
    assert look(server.database.path) == (1, ["done", "under way"])


def test_one_thread(server: Server) -> None:
    """All work is done in one and the same thread, which isn't the caller's."""
    threads = {server.run(lambda _: threading.get_ident()) for _ in range(10)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_order(server: Server) -> None:
    """Work is done, and answered, in the order in which it was asked for, without a wait in between."""
    answered: list[int] = []
    for number in range(200):
        server.database.run(write(str(number))).addCallback(answered.append)
    assert server.run(read) == [str(number) for number in range(200)]
    assert answered == list(range(1, 201))


def test_work_before_it_is_open(tmp_path: Path) -> None:
    """Who asks for work before the file is open needn't wait to ask."""
    server = Server(tmp_path)
    opening = start(server.database.start())
    writing = server.begin(write("early"))
    assert server.mailbox.wait(writing) == 1
    assert opening.done
    server.stop()


def test_exceptions(server: Server) -> None:
    """What work raises reaches the caller as it is, and nothing of that work stays."""

    def fail(connection: sqlite3.Connection) -> None:
        write("lost")(connection)
        raise BadRequest("not so")

    with pytest.raises(BadRequest, match="not so"):
        server.run(fail)
    with pytest.raises(sqlite3.IntegrityError):
        server.run(lambda connection: connection.execute("INSERT INTO notes (text) VALUES (NULL)"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        server.run(lambda connection: connection.execute("SELECT * FROM nonesuch"))
    with pytest.raises(SystemExit):
        server.run(lambda _: sys.exit())
    assert server.run(read) == []


def test_work_that_ends_its_transaction(server: Server) -> None:
    """Work that ends its transaction is told that it must not; the next work has one of its own."""

    def run_script(connection: sqlite3.Connection) -> None:
        connection.executescript("SELECT 1")

    for work in (run_script, sqlite3.Connection.rollback):
        with pytest.raises(sqlite3.OperationalError, match="no transaction is active"):
            server.run(work)
    assert server.run(write("fine")) == 1


def test_constraint_at_commit(tmp_path: Path) -> None:
    """A commit that fails is rolled back, and its reason reaches the caller."""

    def point_nowhere(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys=ON")
        connection.execute("CREATE TABLE child (note REFERENCES notes (id))")
        connection.execute("INSERT INTO child VALUES (77)")

    with serving(tmp_path) as server:
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            server.run(point_nowhere)
        assert server.run(write("fine")) == 1
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            server.run(lambda connection: connection.execute("SELECT * FROM child"))


def test_full_disk(server: Server) -> None:
    """A disk that is full is to blame, and told so; when there is space again, work goes on."""
    server.run(lambda connection: connection.execute("PRAGMA max_page_count=3").fetchall())
    with pytest.raises(StorageError, match=r"txraker\.db: database or disk is full"):
        server.run(write("long" * 10000))
    assert server.run(read) == []
    server.run(lambda connection: connection.execute("PRAGMA max_page_count=300").fetchall())
    assert server.run(write("long" * 10000)) == 1


def test_large_log(server: Server) -> None:
    """However much was written, the log on the disk is cut."""
    for _ in range(3):
        server.run(write("x" * 3 * LARGEST_LOG))
    server.run(write("one more"))
    log = server.database.path.with_name("txraker.db-wal")
    assert log.stat().st_size <= LARGEST_LOG


def test_reading_writes_nothing(server: Server) -> None:
    """Work that only reads leaves the files as they are."""
    server.run(write("hello"))
    files = [server.database.path, server.database.path.with_name("txraker.db-wal")]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    assert server.run(read) == ["hello"]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def test_cancelled(server: Server) -> None:
    """Work that nobody waits for any more is done all the same, and doesn't disturb what comes after."""
    may_begin = threading.Event()
    blocking = server.begin(lambda _: may_begin.wait(PATIENCE))
    outcomes: list[Outcome[Any]] = [server.begin(write("dropped")), server.begin(lambda _: 1 / 0)]
    for outcome in outcomes:
        outcome.deferred.cancel()
        assert isinstance(outcome.error, CancelledError)
    may_begin.set()
    assert server.mailbox.wait(blocking)
    assert server.run(read) == ["dropped"]


def test_stop_while_busy(tmp_path: Path) -> None:
    """What was asked for before the stop is done and answered first; what is asked for after it, isn't."""
    server = Server(tmp_path)
    server.start()
    may_end = threading.Event()
    busy = server.begin(lambda _: may_end.wait(PATIENCE))
    queued = [server.begin(write(str(number))) for number in range(50)]
    stopping = [start(server.database.stop()), start(server.database.stop())]
    late = server.begin(write("late"))
    assert isinstance(late.error, Unavailable)
    assert str(late.error) == "The database has been stopped"
    assert not busy.done
    assert not any(outcome.done for outcome in queued)
    assert not any(outcome.done for outcome in stopping)
    may_end.set()
    for outcome in stopping:
        server.mailbox.wait(outcome)
    assert [outcome.result() for outcome in queued] == list(range(1, 51))
    assert look(server.database.path) == (1, [str(number) for number in range(50)])


def test_stop_at_once(tmp_path: Path) -> None:
    """A database that is stopped while it opens is opened, and closed."""
    server = Server(tmp_path)
    opening = start(server.database.start())
    server.stop()
    opening.result()
    assert look(server.database.path) == (1, [])


def test_never_started(tmp_path: Path) -> None:
    """A database that wasn't started does nothing, and can be stopped."""
    server = Server(tmp_path)
    assert str(server.begin(read).error) == "The database has not been started"
    server.stop()
    assert list(tmp_path.iterdir()) == []


def test_nothing_leaks(tmp_path: Path) -> None:
    """When it has stopped the thread has ended, all files are closed, and the log is gone."""
    with serving(tmp_path) as server:
        server.run(write("hello"))
        thread = server.thread
        assert thread is not None
        assert thread.daemon
        assert open_files(tmp_path) >= {"txraker.db", "txraker.db-wal", "txraker.db.lock"}
    assert not thread.is_alive()
    assert server.thread is None
    assert open_files(tmp_path) == set()
    assert sorted(path.name for path in server.database.path.parent.iterdir()) == [
        "txraker.db",
        "txraker.db.lock",
    ]


def test_exception_that_is_kept(tmp_path: Path) -> None:
    """Who keeps an exception doesn't keep the cursors that were open when it was raised, and so the file."""

    def fail(connection: sqlite3.Connection) -> None:
        cursor = connection.execute("SELECT 1 UNION SELECT 2")
        cursor.fetchone()
        raise BadRequest("in the middle")

    with serving(tmp_path) as server:
        outcome = server.begin(fail)
        with pytest.raises(BadRequest):
            server.mailbox.wait(outcome)
    assert outcome.error is not None
    assert open_files(tmp_path) == set()


def test_disk_that_fails_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can't be closed properly doesn't keep the stop from ending."""
    real = os.close
    failing: list[bool] = []

    def close(descriptor: int) -> None:
        real(descriptor)
        if failing:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "close", close)
    server = Server(tmp_path)
    server.start()
    failing.append(True)
    server.stop()
    assert server.thread is None


def test_somebody_who_looks(tmp_path: Path) -> None:
    """Another program that reads the file at the same time is no hindrance, to work or to the stop."""
    with serving(tmp_path) as server:
        server.run(write("before"))
        other = sqlite3.connect(server.database.path, isolation_level=None)
        other.execute("BEGIN")
        assert read(other) == ["before"]
        server.run(write("after"))
        assert read(other) == ["before"]
        other.close()
    assert look(server.database.path) == (1, ["before", "after"])


def test_log_is_moved(tmp_path: Path) -> None:
    """At the stop the file has everything, and the log nothing, though somebody else has the file open."""
    with serving(tmp_path) as server:
        server.run(write("hello"))
        other = sqlite3.connect(server.database.path, isolation_level=None)
        assert read(other) == ["hello"]
    assert server.database.path.with_name("txraker.db-wal").stat().st_size == 0
    other.close()


def test_somebody_who_writes(server: Server) -> None:
    """While another program keeps the file locked nothing is begun, and that is said."""
    server.run(pragma("busy_timeout=1"))
    other = sqlite3.connect(server.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun: list[object] = []
    with pytest.raises(StorageError, match="database is locked"):
        server.run(begun.append)
    other.close()
    assert begun == []
    assert server.run(write("fine")) == 1


def test_second_server(tmp_path: Path, server: Server) -> None:
    """A file has one server at a time, in one process, too; the second is told so, and changes nothing."""
    second = Server(tmp_path)
    with pytest.raises(StorageError, match="in use by another server"):
        second.start()
    second.stop()
    assert server.run(write("fine")) == 1
    server.stop()
    with serving(tmp_path) as third:
        assert third.run(read) == ["fine"]


def test_two_printers(tmp_path: Path) -> None:
    """Two printers in one process have a database each."""
    for name in "ab":
        (tmp_path / name).mkdir()
    with serving(tmp_path / "a") as first, serving(tmp_path / "b") as second:
        first.run(write("a"))
        second.run(write("b"))
        assert (first.run(read), second.run(read)) == (["a"], ["b"])
