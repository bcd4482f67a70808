"""What IDatabase promises, kept by the one in memory and by the one on a disk alike."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from tests.tools import start
from txraker.errors import NotFound, Unavailable
from txraker.interfaces import IDatabase
from txraker.reactor import Reactor
from txraker.storage.database import Database, StorageError
from txraker.storage.migrations import Migration, Migrations
from txraker.testing.database import MemoryDatabase

MIGRATIONS = (
    Migration(1, ("CREATE TABLE spools (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",)),
    Migration(2, ("CREATE TABLE uses (spool INTEGER NOT NULL REFERENCES spools (id))",)),
)

Making = Callable[[Migrations], Any]


@pytest.fixture(params=["in memory", "on disk"])
def making(request: pytest.FixtureRequest, tmp_path: Path) -> Making:
    """Say how to make each kind of database."""
    if request.param == "in memory":
        return MemoryDatabase
    return lambda migrations: Database(cast("Reactor", reactor), tmp_path, migrations)


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def database(making: Making) -> AsyncIterator[Any]:
    """Have a database open."""
    database = making(MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


async_test = pytest_twisted.ensureDeferred


def add(name: str | None) -> Callable[[sqlite3.Connection], int | None]:
    """Return work that adds a spool and returns its number."""
    return lambda connection: connection.execute("INSERT INTO spools (name) VALUES (?)", (name,)).lastrowid


def names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all spools: work."""
    return [name for (name,) in connection.execute("SELECT name FROM spools ORDER BY id")]


def test_provides(making: Making) -> None:
    """Both provide what they say."""
    assert verifyObject(IDatabase, making(MIGRATIONS))


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_result(database: Any) -> None:
    """Work's result is what is awaited, and what it did is there for the next."""
    assert await database.run(names) == []
    assert await database.run(add("PLA")) == 1
    assert await database.run(add("PETG")) == 2
    assert await database.run(names) == ["PLA", "PETG"]
    assert await database.run(lambda _: None) is None


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_exception(database: Any) -> None:
    """What work raises reaches the caller, and what it did before is undone."""

    def fail(connection: sqlite3.Connection) -> None:
        add("lost")(connection)
        raise NotFound("no such spool")

    with pytest.raises(NotFound, match="no such spool"):
        await database.run(fail)
    await database.run(add("PLA"))
    for name in ("PLA", None):
        with pytest.raises(sqlite3.IntegrityError):
            await database.run(add(name))
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        await database.run(lambda connection: connection.execute("nonsense"))
    assert await database.run(names) == ["PLA"]


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_order(database: Any) -> None:
    """Work is done in the order of calls, though nobody waits in between."""
    numbers = [database.run(add(f"spool {number}")) for number in range(20)]
    assert await database.run(names) == [f"spool {number}" for number in range(20)]
    assert [await number for number in numbers] == list(range(1, 21))


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_savepoints(database: Any) -> None:
    """Work may undo a part of what it does."""

    def partly(connection: sqlite3.Connection) -> None:
        add("kept")(connection)
        connection.execute("SAVEPOINT part")
        add("dropped")(connection)
        connection.execute("ROLLBACK TO part")

    await database.run(partly)
    assert await database.run(names) == ["kept"]


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_cursors(database: Any) -> None:
    """A cursor can't leave the work that made it, which is undone, so that the mistake is seen."""
    with pytest.raises(TypeError, match="not a cursor"):
        await database.run(lambda connection: connection.execute("INSERT INTO spools (name) VALUES ('PLA')"))
    assert await database.run(names) == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_foreign_keys(database: Any) -> None:
    """A reference to nothing is refused."""
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.run(lambda connection: connection.execute("INSERT INTO uses VALUES (77)"))


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_cancel(database: Any) -> None:
    """Work that nobody waits for is done all the same."""
    outcome = start(database.run(add("PLA")))
    outcome.deferred.cancel()
    assert outcome.done
    assert outcome.error is None or isinstance(outcome.error, CancelledError)
    assert await database.run(names) == ["PLA"]


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_not_open(making: Making) -> None:
    """Nothing can be done before the start or after the stop, which may come twice, and without a start."""
    database = making(MIGRATIONS)
    await database.stop()
    with pytest.raises(Unavailable):
        await database.run(names)
    await database.start()
    assert await database.run(names) == []
    await database.stop()
    await database.stop()
    with pytest.raises(Unavailable):
        await database.run(names)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_early_and_late(making: Making) -> None:
    """Work may be asked for as soon as the start was, and is done though the stop is asked for next."""
    database = making(MIGRATIONS)
    opening = database.start()
    early = database.run(add("PLA"))
    closing = database.stop()
    late = database.run(names)
    with pytest.raises(Unavailable):
        await late
    assert await early == 1
    for ended in (opening, closing):
        assert isinstance(ended, Deferred)
        assert await ended is None


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_broken_migration(making: Making) -> None:
    """A schema that can't be made is told by the start, and by all work after it."""
    database = making((*MIGRATIONS, Migration(3, ("DROP TABLE nonesuch",))))
    with pytest.raises(StorageError, match="from version 2 to 3: OperationalError: no such table") as caught:
        await database.start()
    with pytest.raises(StorageError) as again:
        await database.run(names)
    assert str(again.value) == str(caught.value)
    await database.stop()
