"""A database grows with the code, step by step, and nothing is lost when a step fails."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from tests.storage.bench import COLOURS, NOTES, Server, look, open_files, pragma, read, serving, write
from txraker import __version__
from txraker.storage.database import StorageError
from txraker.storage.migrations import Migration


def shout(connection: sqlite3.Connection) -> None:
    """Write everything in capitals: a migration."""
    connection.execute("UPDATE notes SET text = upper(text)")


def stumble(connection: sqlite3.Connection) -> None:
    """Do something, and fail: a migration."""
    connection.execute("DELETE FROM notes")
    raise KeyError("colour")


def refusal(folder: Path, *migrations: Migration) -> StorageError:
    """Return why a database can't be opened with these migrations."""
    server = Server(folder, migrations)
    with pytest.raises(StorageError) as caught:
        server.start()
    server.stop()
    assert open_files(folder) == set()
    return caught.value


def backups(folder: Path) -> dict[str, list[str]]:
    """Return the names of the copies that were made, and what is in them."""
    return {path.name: look(path)[1] for path in sorted((folder / "database").glob("*.bak*"))}


def written(folder: Path) -> Path:
    """Make a database of version 1 that holds something, and return its file."""
    with serving(folder, NOTES) as server:
        server.run(write("precious"))
    return server.database.path


def test_new(tmp_path: Path) -> None:
    """A new database has the newest version at once, and there is nothing to copy."""
    with serving(tmp_path, NOTES, COLOURS) as server:
        assert server.run(pragma("user_version")) == 2
        server.run(write("hello"))
        assert server.run(lambda connection: connection.execute("SELECT size FROM notes").fetchall()) == [
            (7,)
        ]
    assert backups(tmp_path) == {}


def test_old(tmp_path: Path) -> None:
    """An old database gets what it lacks, in order, after a copy was made that only we may read."""
    file = written(tmp_path)
    with serving(tmp_path, NOTES, COLOURS, Migration(3, (shout, "UPDATE notes SET size = 8"))) as server:
        assert server.run(pragma("user_version")) == 3
        assert server.run(read) == ["PRECIOUS"]
    copy = file.with_name("txraker.db.1.bak")
    assert copy.read_bytes()[18:20] == b"\x01\x01", "it would need a log beside it"
    assert look(copy) == (1, ["precious"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert set(backups(tmp_path)) == {copy.name}


def test_nothing_to_do(tmp_path: Path) -> None:
    """A database of the newest version isn't copied."""
    written(tmp_path)
    with serving(tmp_path, NOTES) as server:
        assert server.run(read) == ["precious"]
    assert backups(tmp_path) == {}


def test_copy_takes_its_place(tmp_path: Path) -> None:
    """A copy can be put back in the database's place, and be migrated again."""
    file = written(tmp_path)
    with serving(tmp_path, NOTES, Migration(2, (shout,))):
        pass
    file.with_name("txraker.db.1.bak").rename(file)
    with serving(tmp_path, NOTES) as server:
        assert server.run(read) == ["precious"]


@pytest.mark.parametrize("step", [stumble, "INSERT INTO notes (text) VALUES (NULL)", "CREATE nonsense"])
def test_failure(tmp_path: Path, step: object) -> None:
    """A migration that fails in its middle leaves no trace; those before it stay, and so does the copy."""
    file = written(tmp_path)
    broken = Migration(3, (shout, "CREATE TABLE half (done)", step))  # type: ignore[arg-type]  # a step
    problem = refusal(tmp_path, NOTES, COLOURS, broken)
    assert problem.file == file
    assert problem.reason.startswith("its schema can't be brought from version 2 to 3: ")
    assert look(file) == (2, ["precious"])
    assert backups(tmp_path) == {"txraker.db.1.bak": ["precious"]}
    with serving(tmp_path, NOTES, COLOURS, Migration(3, ("CREATE TABLE half (done)",))) as server:
        assert server.run(read) == ["precious"]
    assert set(backups(tmp_path)) == {"txraker.db.1.bak", "txraker.db.2.bak"}


def test_reason_of_a_failure(tmp_path: Path) -> None:
    """It is said what failed, in one line."""
    written(tmp_path)
    reasons = [
        refusal(tmp_path, NOTES, Migration(2, (step,))).reason.partition(" from version 1 to 2: ")[2]
        for step in (stumble, "SELECT nonesuch FROM notes")
    ]
    assert reasons == ["KeyError: 'colour'", "OperationalError: no such column: nonesuch"]


def test_failure_on_a_new_file(tmp_path: Path) -> None:
    """When the first migration fails, the file stays empty and can be used by a better version."""
    refusal(tmp_path, Migration(1, ("CREATE TABLE half (done)", "CREATE nonsense")))
    with serving(tmp_path, NOTES) as server:
        server.run(write("fine"))


def test_replaced_table(tmp_path: Path) -> None:
    """A table that others refer to can be replaced, as foreign keys don't matter meanwhile."""
    fill = "INSERT INTO colours (note) SELECT id FROM notes"
    replace = Migration(
        3,
        (
            "CREATE TABLE better (id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''))",
            "INSERT INTO better SELECT id, text FROM notes",
            "DROP TABLE notes",
            "ALTER TABLE better RENAME TO notes",
        ),
    )
    written(tmp_path)
    with serving(tmp_path, NOTES, COLOURS) as server:
        server.run(lambda connection: connection.execute(fill).rowcount)
    with serving(tmp_path, NOTES, COLOURS, replace) as server:
        assert server.run(lambda connection: connection.execute("SELECT note FROM colours").fetchall()) == [
            (1,)
        ]
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            server.run(lambda connection: connection.execute("DELETE FROM notes").rowcount)


def test_reference_to_nothing(tmp_path: Path) -> None:
    """A migration after which something refers to nothing fails."""
    file = written(tmp_path)
    problem = refusal(tmp_path, NOTES, COLOURS, Migration(3, ("INSERT INTO colours (note) VALUES (77)",)))
    assert problem.reason.endswith("rows of the table colours would refer to nothing")
    assert look(file) == (2, ["precious"])


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (2, f"it was written by a newer txraker: its format is version 2, and this one, {__version__}, "),
        (99, f"it was written by a newer txraker: its format is version 99, and this one, {__version__}, "),
        (-1, "its format is version -1, and txraker writes none of that number"),
    ],
)
def test_unknown_version(tmp_path: Path, version: int, reason: str) -> None:
    """A database newer than the code is refused; both versions are named, and the file isn't touched."""
    file = written(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    problem = refusal(tmp_path, NOTES)
    assert str(problem).startswith(f"{file}: {reason}")
    if version > 0:
        assert "knows none after 1. It is left as it is. Update txraker, or restore a backup: " in str(
            problem
        )
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert backups(tmp_path) == {}


def test_way_back(tmp_path: Path) -> None:
    """Who has a database that is too new is told of the copy from before; put in its place, it is good."""
    file = written(tmp_path)
    with serving(tmp_path, NOTES, COLOURS, Migration(3, (shout,))):
        pass
    copy = file.with_name("txraker.db.1.bak")
    for known in ([NOTES], [NOTES, COLOURS]):
        assert f"Update txraker, or put {copy} in its place: " in refusal(tmp_path, *known).reason
    copy.rename(file)
    with serving(tmp_path, NOTES, COLOURS) as server:
        assert server.run(read) == ["precious"]


def test_newer_copy_replaces_older(tmp_path: Path) -> None:
    """There is one copy of each version, the latest; what an attempt that was cut short left is removed."""
    file = written(tmp_path)
    file.with_name("txraker.db.1.bak").write_text("old")
    file.with_name("txraker.db.1.bak.part").write_text("cut short")
    with serving(tmp_path, NOTES, COLOURS):
        pass
    assert backups(tmp_path) == {"txraker.db.1.bak": ["precious"]}
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "txraker.db",
        "txraker.db.1.bak",
        "txraker.db.lock",
    ]


def test_no_place_for_a_copy(tmp_path: Path) -> None:
    """What can't be copied isn't migrated, and the reason names the copy; nothing is left half done."""
    file = written(tmp_path)
    blocker = file.with_name("txraker.db.1.bak")
    blocker.mkdir()
    problem = refusal(tmp_path, NOTES, COLOURS)
    assert problem.file.name.startswith("txraker.db.1.bak")
    assert problem.reason == "Is a directory"
    assert look(file) == (1, ["precious"])
    blocker.rmdir()
    assert sorted(path.name for path in file.parent.iterdir()) == ["txraker.db", "txraker.db.lock"]


def test_somebody_elses_database(tmp_path: Path) -> None:
    """A database that isn't ours is copied before anything is done to it."""
    (tmp_path / "database").mkdir()
    file = tmp_path / "database" / "txraker.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute("INSERT INTO notes (rowid, text) VALUES (1, 'theirs')")
    connection.close()
    assert "table notes already exists" in refusal(tmp_path, NOTES).reason
    with sqlite3.connect(file.with_name("txraker.db.0.bak")) as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("theirs",)]
    connection.close()


def test_numbers(tmp_path: Path) -> None:
    """Migrations that aren't numbered one after the other are a defect, told at once."""
    for migrations in ((COLOURS,), (COLOURS, NOTES), (NOTES, NOTES)):
        with pytest.raises(ValueError, match="numbered from 1 without a gap"):
            Server(tmp_path, migrations)
