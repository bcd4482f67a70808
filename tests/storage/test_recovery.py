"""A damaged database is put aside, and the newest good backup takes its place."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.storage.bench import Server, open_files, pragma
from tests.tools import start
from txraker.errors import KeyNotFound
from txraker.storage.backups import Backups
from txraker.storage.database import StorageError
from txraker.storage.namespaces import Namespaces
from txraker.storage.recovery import Recovery
from txraker.storage.schema import MIGRATIONS

NOW = datetime(2026, 11, 22, 20, 41, 26)
STAMP = "20261122-204126"


def backups_of(folder: Path) -> Backups:
    """Return the backups of a data path."""
    return Backups(folder / "backup" / "database", MIGRATIONS, lambda: NOW)


def opened(folder: Path) -> Server:
    """Open a database that recovers."""
    server = Server(folder, MIGRATIONS, Recovery(backups_of(folder)))
    server.start()
    return server


def put(server: Server, value: Any) -> None:
    """Keep something."""
    server.mailbox.wait(start(Namespaces(server.database).put("n", ["k"], value)))


def got(server: Server) -> Any:
    """Return what was kept."""
    return server.mailbox.wait(start(Namespaces(server.database).get("n", ["k"])))


def used(folder: Path, *values: str) -> Path:
    """Make a database with a backup of each of its states but the last; return its file."""
    server = opened(folder)
    for age, value in enumerate(reversed(values[:-1])):
        put(server, value)
        path = server.maintain(partial(backups_of(folder).make, name=f"{value}.db"))
        moment = NOW.timestamp() - 3600 * (len(values) - age)
        os.utime(path, (moment, moment))
    put(server, values[-1])
    server.stop()
    return server.database.path


def damage(file: Path) -> bytes:
    """Write nonsense into a file and return what it holds now."""
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 200] = b"\xa5" * 200
    file.write_bytes(content)
    return bytes(content)


def names(folder: Path) -> set[str]:
    """Return the names of the files beside a database that is closed."""
    return {path.name for path in (folder / "database").iterdir()} - {"txraker.db.lock"}


def test_whole(tmp_path: Path) -> None:
    """A database that is whole is opened as it is, and there is nothing to tell."""
    used(tmp_path, "old", "new")
    server = opened(tmp_path)
    assert server.database.notice == ""
    assert got(server) == "new"
    server.stop()
    assert names(tmp_path) == {"txraker.db"}


def test_restored(tmp_path: Path) -> None:
    """The newest backup takes the place of a damaged file, which is kept; all of it is told."""
    file = used(tmp_path, "newest", "older", "lost")
    content = damage(file)
    server = opened(tmp_path)
    notice = server.database.notice
    assert "was restored from the backup newest.db, as it was on 2026-11-22 18:41:26" in notice
    assert "what was changed since is lost" in notice
    assert f"kept as {file}.damaged-{STAMP}" in notice
    assert got(server) == "newest"
    assert server.run(pragma("journal_mode")) == "wal"
    put(server, "fine")
    server.stop()
    assert names(tmp_path) == {"txraker.db", f"txraker.db.damaged-{STAMP}"}
    assert file.with_name(f"txraker.db.damaged-{STAMP}").read_bytes() == content
    server = opened(tmp_path)
    assert server.database.notice == ""
    assert got(server) == "fine"
    server.stop()


@pytest.mark.parametrize("content", [b"no", b"not a database\n" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_no_database(tmp_path: Path, content: bytes) -> None:
    """What is no database at all is a damaged one."""
    file = used(tmp_path, "good", "lost")
    file.write_bytes(content)
    server = opened(tmp_path)
    assert got(server) == "good"
    server.stop()
    assert file.with_name(f"txraker.db.damaged-{STAMP}").read_bytes() == content


def test_bad_backups(tmp_path: Path) -> None:
    """A backup that is damaged, or no backup, is passed over for an older one."""
    file = used(tmp_path, "newest", "older", "lost")
    folder = backups_of(tmp_path).folder
    damage(folder / "newest.db")
    (folder / "notes.txt").write_text("bought a new SD card")
    damage(file)
    server = opened(tmp_path)
    assert "older.db" in server.database.notice
    assert got(server) == "older"
    server.stop()
    assert sorted(path.name for path in folder.iterdir()) == ["newest.db", "notes.txt", "older.db"]


def test_rejected(tmp_path: Path) -> None:
    """What a restore has replaced is the last to take a damaged file's place, however new it is."""
    file = used(tmp_path, "rejected", "wanted", "lost")
    folder = backups_of(tmp_path).folder
    rejected = (folder / "rejected.db").rename(folder / f"before-restore-{STAMP}.db")
    for value in ("wanted", "rejected"):
        damage(file)
        server = opened(tmp_path)
        assert got(server) == value
        server.stop()
        (folder / "wanted.db").unlink(missing_ok=True)
    assert rejected.exists()


def test_of_the_future(tmp_path: Path) -> None:
    """A backup of the future comes after those of the past, and before what a restore has replaced."""
    file = used(tmp_path, "future", "old", "replaced", "lost")
    folder = backups_of(tmp_path).folder
    (folder / "replaced.db").rename(folder / f"before-restore-{STAMP}.db")
    os.utime(folder / "future.db", (NOW.timestamp() + 3600,) * 2)
    for value in ("old", "future", "replaced"):
        damage(file)
        server = opened(tmp_path)
        assert got(server) == value
        server.stop()
        (folder / f"{value}.db").unlink(missing_ok=True)


def test_no_backup(tmp_path: Path) -> None:
    """Without a backup that can be used a new database is begun, and that is told."""
    file = used(tmp_path, "lost")
    damage(file)
    server = opened(tmp_path)
    assert "there was no backup that could be used: a new one was begun" in server.database.notice
    assert server.run(pragma("user_version")) == len(MIGRATIONS)
    put(server, "fine")
    assert got(server) == "fine"
    server.stop()
    assert names(tmp_path) == {"txraker.db", f"txraker.db.damaged-{STAMP}"}


def test_logs_go_along(tmp_path: Path) -> None:
    """The log of a damaged file is kept beside it, and has no part in what takes its place."""
    file = used(tmp_path, "good", "lost")
    with closing(sqlite3.connect(file)) as somebody_who_looks:
        assert somebody_who_looks.execute("SELECT count(*) FROM namespaces").fetchone() == (1,)
        damage(file)
        server = opened(tmp_path)
        assert got(server) == "good"
        aside = file.with_name(f"txraker.db.damaged-{STAMP}")
        for ending in ("-wal", "-shm"):
            assert aside.with_name(aside.name + ending).exists()
    server.stop()
    server = opened(tmp_path)
    assert got(server) == "good"
    server.stop()


def test_damaged_twice(tmp_path: Path) -> None:
    """What was put aside isn't overwritten by what is put aside next."""
    file = used(tmp_path, "good", "lost")
    first = damage(file)
    opened(tmp_path).stop()
    second = damage(file)
    opened(tmp_path).stop()
    assert first != second
    assert file.with_name(f"txraker.db.damaged-{STAMP}").read_bytes() == first
    assert file.with_name(f"txraker.db.damaged-{STAMP}-2").read_bytes() == second


def test_empty(tmp_path: Path) -> None:
    """An empty file, as a loss of power leaves some, is a damaged one if there is a backup."""
    file = used(tmp_path, "good", "lost")
    file.write_bytes(b"")
    server = opened(tmp_path)
    assert "it is empty" in server.database.notice
    assert got(server) == "good"
    server.stop()


def test_empty_without_backups(tmp_path: Path) -> None:
    """An empty file is a new one if there never was a backup."""
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "txraker.db").touch()
    server = opened(tmp_path)
    assert server.database.notice == ""
    server.stop()
    assert names(tmp_path) == {"txraker.db"}


def test_deleted(tmp_path: Path) -> None:
    """A file that somebody deleted isn't brought back."""
    used(tmp_path, "old", "new").unlink()
    server = opened(tmp_path)
    assert server.database.notice == ""
    with pytest.raises(KeyNotFound):
        got(server)
    server.stop()


def test_cut_short(tmp_path: Path) -> None:
    """A recovery that was cut short before its last step is finished at the next start."""
    file = used(tmp_path, "good", "lost")
    backups_of(tmp_path).prepare_newest(file.with_name("txraker.db.restored"))
    file.unlink()
    server = opened(tmp_path)
    assert got(server) == "good"
    server.stop()
    assert names(tmp_path) == {"txraker.db"}


def test_cut_short_earlier(tmp_path: Path) -> None:
    """What is left of a recovery that was cut short before it had put anything aside is removed."""
    file = used(tmp_path, "good", "new")
    file.with_name("txraker.db.restored").write_bytes(b"half")
    server = opened(tmp_path)
    assert got(server) == "new"
    server.stop()
    assert names(tmp_path) == {"txraker.db"}


def test_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the backup can't be copied, the damaged file stays where it is, and the disk is blamed."""
    file = used(tmp_path, "good", "lost")
    content = damage(file)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("txraker.storage.copies.sync", full)
        server = Server(tmp_path, MIGRATIONS, Recovery(backups_of(tmp_path)))
        with pytest.raises(StorageError, match="No space left on device"):
            server.start()
        server.stop()
    assert file.read_bytes() == content
    assert names(tmp_path) == {"txraker.db"}
    assert open_files(tmp_path) == set()
    server = opened(tmp_path)
    assert got(server) == "good"
    server.stop()


def test_newer(tmp_path: Path) -> None:
    """A database that is newer than the code isn't damaged: it stays, and so does the reason."""
    file = used(tmp_path, "good", "new")
    server = opened(tmp_path)
    server.run(lambda connection: connection.execute("PRAGMA user_version=99").fetchall())
    server.stop()
    content = file.read_bytes()
    server = Server(tmp_path, MIGRATIONS, Recovery(backups_of(tmp_path)))
    with pytest.raises(StorageError, match="its format is version 99"):
        server.start()
    server.stop()
    assert file.read_bytes() == content
    assert names(tmp_path) == {"txraker.db"}
