"""A file that can't be used is a reason that is told, and never one to change the file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from tests.storage.bench import NOTES, Server, open_files, read, serving, write
from tests.tools import start
from txraker.errors import Unavailable
from txraker.storage.database import StorageError


def refusal(folder: Path) -> StorageError:
    """Return why the database of a folder can't be opened, and check that nothing is left open."""
    server = Server(folder)
    with pytest.raises(StorageError) as caught:
        server.start()
    server.stop()
    assert server.thread is None
    assert open_files(folder) == set()
    return caught.value


def file_of(folder: Path, content: bytes) -> Path:
    """Put something in the database's place."""
    (folder / "database").mkdir()
    file = folder / "database" / "txraker.db"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "content", [b"no", b"not a database\n" * 1000, bytes(8192), b"SQLite format 3\0" + bytes(5000)]
)
def test_no_database(tmp_path: Path, content: bytes) -> None:
    """A file that isn't a database is refused, and left as it is."""
    file = file_of(tmp_path, content)
    problem = refusal(tmp_path)
    assert problem.file == file
    assert problem.reason in (
        "file is not a database (SQLITE_NOTADB)",
        "database disk image is malformed (SQLITE_CORRUPT)",
    )
    assert str(problem) == f"{file}: {problem.reason}"
    assert file.read_bytes() == content


def test_empty_file(tmp_path: Path) -> None:
    """An empty file, which a power failure may leave, is a new database."""
    file_of(tmp_path, b"")
    with serving(tmp_path) as server:
        assert server.run(read) == []


def test_truncated(tmp_path: Path) -> None:
    """A database that has lost its end is refused, and left as it is."""
    with serving(tmp_path) as server:
        for _ in range(10):
            server.run(write("x" * 5000))
    file = server.database.path
    file.write_bytes(file.read_bytes()[:-4096])
    before = file.read_bytes()
    assert "malformed" in refusal(tmp_path).reason
    assert file.read_bytes() == before


def test_damaged(tmp_path: Path) -> None:
    """A database with a page of nonsense is refused, though it could be opened, and left as it is."""
    with serving(tmp_path) as server:
        for _ in range(50):
            server.run(write("x" * 1000))
    file = server.database.path
    content = bytearray(file.read_bytes())
    content[-4096:] = b"\x05nonsense" * 455 + b"\0"
    file.write_bytes(content)
    assert refusal(tmp_path).reason.startswith(("it is damaged: ", "database disk image is malformed"))
    assert file.read_bytes() == content


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file in the folder's place is named as what is in the way."""
    (tmp_path / "database").write_text("mine")
    problem = refusal(tmp_path)
    assert (problem.file, problem.reason) == (tmp_path / "database", "File exists")
    assert (tmp_path / "database").read_text() == "mine"


def test_file_that_is_a_folder(tmp_path: Path) -> None:
    """A folder in the file's place is named, too."""
    (tmp_path / "database" / "txraker.db").mkdir(parents=True)
    problem = refusal(tmp_path)
    assert (problem.file, problem.reason) == (tmp_path / "database" / "txraker.db", "Is a directory")


def test_no_data_path(tmp_path: Path) -> None:
    """A data path that isn't there, because its disk isn't, isn't made."""
    problem = refusal(tmp_path / "nowhere")
    assert problem.reason == "No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which nothing can be locked can't hold a database."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert refusal(tmp_path).reason == "Operation not supported"


def test_sqlite_without_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that knows no threads isn't used from several."""
    monkeypatch.setattr(sqlite3, "threadsafety", 0)
    assert refusal(tmp_path).reason == "SQLite was built without support for threads"
    assert list(tmp_path.iterdir()) == []


def test_no_more_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no more threads to be had, there is no database."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert refusal(tmp_path).reason == "can't start new thread"


def test_work_on_what_cannot_be_opened(tmp_path: Path) -> None:
    """Whoever asks a database that can't be opened is told why, before that is known and after."""
    file = file_of(tmp_path, b"not a database")
    server = Server(tmp_path)
    opening = start(server.database.start())
    early = server.begin(read)
    stopping = start(server.database.stop())
    server.mailbox.wait(stopping)
    late = server.begin(read)
    for outcome in (opening, early, late):
        assert isinstance(outcome.error, StorageError)
        assert isinstance(outcome.error, Unavailable)
        assert str(outcome.error) == f"{file}: file is not a database (SQLITE_NOTADB)"
    server.stop()


def test_nobody_waits_for_the_start(tmp_path: Path) -> None:
    """Who doesn't wait for the start any more isn't told of it; the database is open all the same."""
    server = Server(tmp_path)
    opening = start(server.database.start())
    opening.deferred.cancel()
    assert server.run(write("hello")) == 1
    server.stop()


def test_repaired(tmp_path: Path) -> None:
    """When the reason for a refusal is gone, another server can start."""
    file = file_of(tmp_path, b"not a database")
    refusal(tmp_path)
    file.unlink()
    with serving(tmp_path, NOTES) as server:
        assert server.run(write("hello")) == 1
