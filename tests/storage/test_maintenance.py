"""Work on a database as a whole: outside a transaction, in its turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.bench import Server, look, pragma, read, serving, write
from tests.tools import start
from txraker.errors import BadRequest, Unavailable
from txraker.storage.database import StorageError
from txraker.storage.maintenance import compact


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Have a database open."""
    with serving(tmp_path) as server:
        yield server


def test_outside_a_transaction(server: Server) -> None:
    """Maintenance is in no transaction; what others ask for after it is in one of its own."""
    assert server.maintain(lambda connection: connection.in_transaction) is False
    assert server.run(lambda connection: connection.in_transaction) is True
    server.maintain(lambda connection: connection.execute("VACUUM").fetchall())


def test_order(server: Server) -> None:
    """It is done after what was asked for before, and before what is asked for later."""
    seen: list[list[str]] = []
    server.begin(write("before"))
    start(server.database.maintain(lambda connection: seen.append(read(connection))))
    assert server.run(write("after")) == 2
    assert seen == [["before"]]


def test_left_open(server: Server) -> None:
    """A transaction that it leaves open, or dies in, is rolled back."""

    def leave(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        write("lost")(connection)

    def die(connection: sqlite3.Connection) -> None:
        leave(connection)
        raise BadRequest("amid it")

    server.maintain(leave)
    with pytest.raises(BadRequest, match="amid it"):
        server.maintain(die)
    assert server.run(read) == []


def test_refused(tmp_path: Path) -> None:
    """Without a database that is open there is none."""
    server = Server(tmp_path)
    with pytest.raises(Unavailable, match="has not been started"):
        server.maintain(read)


def test_compact(server: Server) -> None:
    """A file from which much was deleted gets smaller, and what is left is there."""
    for number in range(50):
        server.run(write(f"{number} " + "x" * 20000))
    server.run(lambda connection: connection.execute("DELETE FROM notes WHERE id > 1").rowcount)
    sizes = server.maintain(compact)
    assert sizes.before > 50 * 20000
    assert sizes.after < 50000
    assert server.database.path.stat().st_size == sizes.after
    assert server.database.path.with_name("txraker.db-wal").stat().st_size == 0
    assert look(server.database.path) == (1, ["0 " + "x" * 20000])
    assert server.run(pragma("journal_mode")) == "wal"
    assert server.maintain(compact).before == sizes.after


def test_file_that_is_locked(server: Server) -> None:
    """While another program keeps the file locked it isn't compacted, which is said."""
    server.run(write("precious"))
    server.run(pragma("busy_timeout=1"))
    other = sqlite3.connect(server.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="database is locked"):
        server.maintain(compact)
    other.close()
    assert server.run(read) == ["precious"]
