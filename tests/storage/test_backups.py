"""Backups: made whole or not at all, listed, deleted, restored, and made by themselves."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.storage.bench import Server, pragma
from tests.tools import start
from txraker.errors import BadRequest, NotFound
from txraker.storage.backups import Backups
from txraker.storage.database import StorageError
from txraker.storage.migrations import Migration, Migrations
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS


@define(eq=False)
class Printer:
    """A printer's database, its backups and a clock; there is one moment after the other."""

    folder: Path
    migrations: Migrations = MIGRATIONS
    now: datetime = field(factory=datetime.now)
    server: Server = field(init=False)
    backups: Backups = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = Server(self.folder, self.migrations)
        self.backups = Backups(self.folder / "backup" / "database", self.migrations, lambda: self.now)
        self.server.start()

    def put(self, value: Any) -> None:
        """Keep something."""
        namespaces = Namespaces(self.server.database)
        self.server.mailbox.wait(start(namespaces.put("fluidd", ["k"], value)))

    def get(self) -> Any:
        """Return what was kept."""
        return self.server.mailbox.wait(start(Namespaces(self.server.database).get("fluidd", ["k"])))

    def make(self, name: str | None = None) -> Path:
        """Make a backup."""
        return self.server.maintain(partial(self.backups.make, name=name))

    def restore(self, name: str) -> Any:
        """Restore a backup."""
        return self.server.maintain(partial(self.backups.restore, name=name))

    def look(self) -> str | None:
        """See whether a backup is due."""
        made = self.server.maintain(self.backups.make_if_due)
        moment = self.now.timestamp()
        if made is not None and abs(moment - time.time()) > 3600:
            os.utime(made, (moment, moment))
        return made.name if made is not None else None

    def files(self) -> list[str]:
        """Return what is in the folder of backups."""
        return sorted(os.listdir(self.backups.folder))


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Printer]:
    """Have a printer's database open."""
    printer = Printer(tmp_path)
    yield printer
    printer.server.stop()


def value_in(file: Path) -> Any:
    """Return what a file has of what was kept, as another program sees it."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT value FROM namespaces").fetchone()[0]


def test_make(printer: Printer) -> None:
    """A backup is a file that only we may read, needs no log beside it, and holds all that was answered."""
    printer.now = datetime(2026, 11, 22, 20, 41, 26)
    printer.put("one")
    path = printer.make()
    assert path == printer.folder / "backup" / "database" / "sqldb-backup-20261122-204126.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes()[18:20] == b"\x01\x01"
    assert value_in(path) == b'"one"'
    assert printer.files() == [path.name]


def test_made_again(printer: Printer) -> None:
    """A backup takes the place of one of its name."""
    for value in ("one", "two"):
        printer.put(value)
        printer.make("mine.db")
    assert printer.files() == ["mine.db"]
    assert value_in(printer.backups.folder / "mine.db") == b'"two"'


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a.db",
        "/tmp/a.db",
        "a/b.db",
        ".hidden",
        "a\0b",
        "a\nb",
        "x" * 201,
        "a.part",
        "a.db-journal",
        "a.db-wal",
        "a.db-shm",
        "\udce9",
    ],
)
def test_bad_names(printer: Printer, name: str) -> None:
    """A name that leads elsewhere, hides or can't be said is refused wherever one is given."""
    for work in (
        partial(printer.backups.make, name=name),
        partial(printer.backups.restore, name=name),
        lambda _: printer.backups.delete(name),
    ):
        with pytest.raises(BadRequest, match="Invalid name"):
            printer.server.maintain(work)
    assert not printer.backups.folder.exists()


def test_list(printer: Printer) -> None:
    """Backups are the files of the folder: none hidden, unfinished or SQLite's own, no folder, no link."""
    assert printer.backups.names() == []
    printer.make("b.db")
    printer.make("a b.db")
    folder = printer.backups.folder
    for name in (".hidden", "c.db.part", "odd\udce9.db", "b.db-journal", "b.db-wal", "b.db-shm"):
        (folder / name).touch()
    (folder / "folder.db").mkdir()
    (folder / "link.db").symlink_to(printer.server.database.path)
    assert printer.backups.names() == ["a b.db", "b.db"]
    for name in ("link.db", "folder.db"):
        with pytest.raises(NotFound, match=f"Backup file {name} does not exist"):
            printer.backups.delete(name)


def test_delete(printer: Printer) -> None:
    """A backup that is deleted is gone, and deleting it again says so."""
    path = printer.make("a.db")
    assert printer.backups.delete("a.db") == path
    assert printer.files() == []
    with pytest.raises(NotFound, match=r"Backup file a\.db does not exist"):
        printer.backups.delete("a.db")


def test_no_place(printer: Printer) -> None:
    """Where nothing can be written the reason names the backup, and nothing is left of it."""
    printer.backups.folder.parent.mkdir(exist_ok=True)
    printer.backups.folder.write_text("in the way")
    with pytest.raises(StorageError, match="File exists"):
        printer.make("a.db")
    printer.backups.folder.unlink()
    (printer.backups.folder / "a.db").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"a\.db.*: Is a directory"):
        printer.make("a.db")
    assert printer.files() == ["a.db"]


def test_restore(printer: Printer) -> None:
    """A restore brings back what there was, and makes a backup of what there is."""
    printer.put("old")
    printer.make("a.db")
    printer.put("new")
    restored = printer.restore("a.db")
    assert printer.get() == "old"
    assert {"users", "secrets", "namespaces"} <= set(restored.tables)
    assert restored.namespaces == ["fluidd"]
    before = f"before-restore-{printer.backups.stamp()}.db"
    assert printer.files() == ["a.db", before]
    assert value_in(printer.backups.folder / before) == b'"new"'
    assert printer.server.run(pragma("journal_mode")) == "wal"
    assert printer.server.run(pragma("foreign_keys")) == 1
    printer.put("newer")
    printer.server.stop()
    printer.server = Server(printer.folder, MIGRATIONS)
    printer.server.start()
    assert printer.get() == "newer"


def test_restored_is_seen_by_others(printer: Printer) -> None:
    """What was restored is what another program sees, also one that looked before."""
    printer.put("old")
    printer.make("a.db")
    printer.put("new")
    with closing(sqlite3.connect(printer.server.database.path)) as other:
        assert other.execute("SELECT value FROM namespaces").fetchone() == (b'"new"',)
        printer.restore("a.db")
        assert other.execute("SELECT value FROM namespaces").fetchone() == (b'"old"',)


def test_restores_are_few(printer: Printer) -> None:
    """Of the backups made before restores the newest three are kept; others aren't touched."""
    printer.make("a.db")
    (printer.backups.folder / "before-restore-mine.db").touch()
    for _ in range(5):
        printer.now += timedelta(seconds=1)
        printer.restore("a.db")
    assert len(printer.files()) == 3 + 2
    assert printer.files()[-2] == f"before-restore-{printer.backups.stamp()}.db"


def test_restore_of_an_older_version(tmp_path: Path) -> None:
    """A backup of an older version is brought to ours."""
    older = Printer(tmp_path, MIGRATIONS[:2])
    older.put("old")
    older.make("a.db")
    older.server.stop()
    printer = Printer(tmp_path)
    printer.put("new")
    printer.restore("a.db")
    assert printer.get() == "old"
    assert printer.server.run(pragma("user_version")) == len(MIGRATIONS)
    printer.server.stop()
    with closing(sqlite3.connect(printer.backups.folder / "a.db")) as backup:
        assert backup.execute("PRAGMA user_version").fetchone() == (2,)


def damage(file: Path) -> None:
    """Write nonsense into the middle of a file."""
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 200] = b"\xa5" * 200
    file.write_bytes(content)


def sql(*statements: str) -> Callable[[Path], None]:
    """Return what does something to a file."""

    def change(file: Path) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.write_bytes(b"junk"), "file is not a database"),
        (lambda file: file.write_bytes(b""), "it isn't a database of txraker's"),
        (damage, "damaged"),
        (lambda file: os.truncate(file, 8192), "(SQLITE_CORRUPT)"),
        (sql("PRAGMA user_version=99"), "it was written by a newer txraker: its format is version 99"),
        (sql("PRAGMA user_version=0"), "it isn't a database of txraker's"),
        (sql("DROP TABLE secrets"), "it isn't a database of txraker's"),
        (sql("PRAGMA user_version=2"), "can't be brought from version 2 to 3: OperationalError: table"),
    ],
)
def test_bad_backups(printer: Printer, spoil: Callable[[Path], None], reason: str) -> None:
    """A backup that is damaged, newer or somebody else's is refused with the reason; nothing is changed."""
    printer.put("good")
    spoil(printer.make("bad.db"))
    with pytest.raises(BadRequest) as caught:
        printer.restore("bad.db")
    assert str(caught.value).startswith("Backup file bad.db can't be restored: ")
    assert reason in str(caught.value)
    assert printer.get() == "good"
    assert printer.files() == ["bad.db"]


def test_restore_of_nothing(printer: Printer) -> None:
    """A backup that isn't there is named with its path."""
    path = printer.backups.folder / "no.db"
    with pytest.raises(BadRequest, match=f"Restoration File {path} does not exist"):
        printer.restore("no.db")


def test_automatic(printer: Printer) -> None:
    """The first look makes a backup; the next is made a day later, if something was changed."""
    printer.put(1)
    assert printer.look() == f"auto-{printer.backups.stamp()}.db"
    printer.put(2)
    printer.now += timedelta(hours=23)
    assert printer.look() is None
    printer.now += timedelta(hours=2)
    assert printer.look() == f"auto-{printer.backups.stamp()}.db"


def test_automatic_when_changed(tmp_path: Path) -> None:
    """A day after the last backup there is another if something was changed since, and else none, ever."""
    printer = Printer(tmp_path, now=datetime.now() - timedelta(days=3))
    printer.put(1)
    assert printer.look() is not None
    printer.now += timedelta(days=3, minutes=1)
    printer.put(2)
    second = printer.look()
    assert second is not None
    for _ in range(5):
        printer.now += timedelta(days=2)
        assert printer.look() is None
    assert len(printer.files()) == 2
    assert value_in(printer.backups.folder / second) == b"2"
    printer.server.stop()


def test_idle(printer: Printer) -> None:
    """Where nothing was changed a look writes nothing, also after a restart."""
    printer.put(1)
    assert printer.look() is not None
    for _ in range(2):
        before = {path: path.stat().st_mtime_ns for path in printer.folder.rglob("*")}
        printer.now += timedelta(days=2)
        assert printer.look() is None
        assert {path: path.stat().st_mtime_ns for path in printer.folder.rglob("*")} == before
        printer.server.stop()
        printer.server = Server(printer.folder, MIGRATIONS)
        printer.server.start()


def test_automatic_ones_are_few(printer: Printer) -> None:
    """The newest three are kept; those that somebody asked for stay."""
    printer.make("auto-mine.db")
    printer.now = datetime.now() - timedelta(days=20)
    for number in range(5):
        printer.now += timedelta(days=2)
        printer.put(number)
        assert printer.look() is not None
    files = printer.files()
    assert len(files) == 4
    assert "auto-mine.db" in files
    assert f"auto-{printer.backups.stamp()}.db" in files


def test_clock_that_was_wrong(printer: Printer) -> None:
    """A backup that is of the future doesn't keep others from being made."""
    printer.put(1)
    printer.now += timedelta(days=4000)
    assert printer.look() is not None
    printer.now -= timedelta(days=4000)
    assert printer.look() is not None
    printer.now += timedelta(minutes=1)
    assert printer.look() is None


def test_clock_that_was_wrong_for_long(printer: Printer) -> None:
    """A backup that was just made stays, however many there are of the future, which go as the oldest."""
    printer.backups.folder.mkdir(parents=True)
    for number in range(4):
        future = printer.backups.folder / f"auto-2037010{number + 1}-000000.db"
        future.touch()
        os.utime(future, (2114380800, 2114380800))
    printer.now = datetime.now() - timedelta(days=20)
    made: list[str | None] = []
    for _ in range(3):
        printer.now += timedelta(days=2)
        printer.put(len(made))
        made.append(printer.look())
        assert printer.look() is None
        assert set(made) <= set(printer.files())
    assert printer.files() == made


def test_restores_of_the_future(printer: Printer) -> None:
    """What a restore replaces stays, however many such backups there are of the future."""
    printer.make("a.db")
    for number in range(3):
        (printer.backups.folder / f"before-restore-2037010{number + 1}-000000.db").touch()
    printer.restore("a.db")
    assert f"before-restore-{printer.backups.stamp()}.db" in printer.files()
    assert len(printer.files()) == 1 + 3


def test_disk_that_takes_no_copy(printer: Printer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no copy of a backup is to blame, and not the backup; nothing is changed."""
    printer.put("old")
    printer.make("a.db")
    printer.put("new")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("txraker.storage.copies.sync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        printer.restore("a.db")
    assert printer.get() == "new"
    assert printer.files() == ["a.db"]


def test_migration_without_space(tmp_path: Path) -> None:
    """The same while a copy is brought to our version."""

    def full(_: sqlite3.Connection) -> None:
        problem = sqlite3.OperationalError("database or disk is full")
        problem.sqlite_errorcode = sqlite3.SQLITE_FULL
        problem.sqlite_errorname = "SQLITE_FULL"
        raise problem

    older = Printer(tmp_path, MIGRATIONS[:2])
    path = older.make("a.db")
    older.server.stop()
    backups = Backups(path.parent, (*MIGRATIONS[:2], Migration(3, (full,))), datetime.now)
    with pytest.raises(StorageError, match="disk is full"):
        backups.prepare_newest(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
