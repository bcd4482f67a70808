"""What a Moonraker's database holds survives a change to us, and its file isn't touched."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import execute

from tests.storage.moonraker import (
    API_KEY,
    HASH,
    INSTANCE,
    JOB,
    NEWS,
    SALT,
    UID,
    WEBCAM,
    accounts_of,
    imported,
    kept,
    moonraker_database,
    server_of,
)
from tests.tools import result_of, start
from txraker import cli
from txraker.authorization import passwords
from txraker.components.announcements.store import AnnouncementStore
from txraker.components.webcams.options import WebcamOptions
from txraker.components.webcams.store import WebcamStore
from txraker.storage.database import StorageError
from txraker.storage.moonraker_import import NoImport, moonraker_value
from txraker.storage.namespaces import Namespaces


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Have what a Moonraker leaves."""
    return moonraker_database(tmp_path)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """End what a test begins."""
    with ExitStack() as held:
        yield held


def state(path: Path) -> dict[str, Any]:
    """Return what can be seen of a file and of its folder's other files that are Moonraker's."""
    return {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns, stat.S_IMODE(file.stat().st_mode))
        for file in path.parent.iterdir()
        if file.name.startswith(("moonraker", "data")) or ".import" in file.name
    }


def test_namespaces(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """What clients kept is there as it was, with what of Moonraker's own concerns them."""
    before = state(source)
    report = imported(tmp_path)
    assert state(source) == before
    expected = {"announcements": 1, "fluidd": 2, "mainsail": 2, "moonraker": 2, "webcams": 1}
    assert report.namespaces == expected
    server = server_of(tmp_path, held)
    namespaces = Namespaces(server.database)
    assert server.mailbox.wait(start(namespaces.names())) == list(expected)
    assert server.mailbox.wait(start(namespaces.get("fluidd"))) == {
        "layout": [],
        "uiSettings": {"general": {"instanceName": "Voron 2.4 ☺"}},
    }
    assert server.mailbox.wait(start(namespaces.get("mainsail"))) == {"dark": True, "initVersion": "2.18.2"}
    assert (
        server.mailbox.wait(start(namespaces.get("webcams", ["97c7f049-29e0-4615-9c0f-693b58931ac6"])))
        == WEBCAM
    )
    assert server.mailbox.wait(start(namespaces.get("moonraker"))) == {
        "announcements": {"stored_feeds": ["fluidd"]},
        "instance_id": INSTANCE,
    }


def test_what_counts_on_it(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """A configured camera keeps its uid; feeds that were added and what was dismissed stay so."""
    server = server_of(tmp_path, held)
    ours = {f"00000{number}": {**NEWS, "entry_id": f"{number}", "dismissed": False} for number in range(3)}
    ours["000002"]["entry_id"] = NEWS["entry_id"]
    server.mailbox.wait(start(Namespaces(server.database).put_many("announcements", ours)))
    server.mailbox.wait(start(Namespaces(server.database).put("moonraker", ["instance_id"], "0" * 32)))
    server.stop()
    imported(tmp_path)
    server = server_of(tmp_path, held)
    namespaces = Namespaces(server.database)
    cameras = WebcamStore({"front": WebcamOptions(stream_url="/webcam/?action=stream")}, namespaces)
    assert [camera.uid for camera in server.mailbox.wait(start(cameras.all()))] == [
        UID,
        *server.mailbox.wait(start(namespaces.get("webcams"))),
    ]
    news = AnnouncementStore((), namespaces)
    assert server.mailbox.wait(start(news.feeds())) == ["moonraker", "klipper", "fluidd"]
    board = server.mailbox.wait(start(news.board()))
    assert [msgspec.to_builtins(entry) for entry in board.newest_first()] == [NEWS]


def test_history(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """Jobs and totals are kept as they were."""
    report = imported(tmp_path)
    assert (report.jobs, report.totals) == (1, 1)
    server = server_of(tmp_path, held)
    assert server.run(lambda connection: connection.execute("SELECT * FROM imported_jobs").fetchall()) == [
        JOB
    ]
    assert server.run(lambda connection: connection.execute("SELECT * FROM imported_totals").fetchall()) == [
        ("history", "total_jobs", None, 1.0, "default")
    ]


def test_users(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """A user logs in with the password of before, of which we keep our own result from then on."""
    report = imported(tmp_path)
    assert report.users == ["alice"]
    assert report.left == ["user carol: logs in by ldap, which isn't supported"]
    server = server_of(tmp_path, held)
    accounts = accounts_of(server)
    alice = accounts.users["alice"]
    assert (alice.created_on, alice.source, alice.role) == (1795380177.14, "moonraker", 3)
    assert passwords.is_of_moonraker(alice.password)
    assert server.mailbox.wait(start(accounts.log_in("alice", "wrong", is_known=True))) is None
    assert accounts.users["alice"] == alice
    both = [start(accounts.log_in("alice", "secret pw", is_known=True)) for _ in range(2)]
    assert all(server.mailbox.wait(outcome) is not None for outcome in both)
    replaced = accounts.users["alice"].password
    assert replaced.startswith("scrypt$")
    again = accounts_of(server)
    assert again.users["alice"].password == replaced
    assert server.mailbox.wait(start(again.log_in("alice", "secret pw", is_known=True))) is not None
    assert again.users["alice"].password == replaced
    assert server.mailbox.wait(start(again.log_in("alice", "secret", is_known=True))) is None


def test_password_changed(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """A password that a Moonraker kept can be changed, too."""
    imported(tmp_path)
    server = server_of(tmp_path, held)
    accounts = accounts_of(server)
    changing = start(accounts.change_password("alice", "secret pw", "new", lambda: None))
    assert server.mailbox.wait(changing) is True
    assert passwords.matches("new", accounts.users["alice"].password)


def test_password_function() -> None:
    """The function that Moonraker uses is the one that we take it to use."""
    result = hashlib.pbkdf2_hmac("sha256", b"secret pw", bytes.fromhex(SALT), 100_000)
    assert result.hex() == HASH
    taken = passwords.of_moonraker(bytes.fromhex(SALT), result)
    assert passwords.matches("secret pw", taken)
    assert not passwords.matches("secret pw ", taken)
    assert not passwords.is_of_moonraker(passwords.hashed("secret pw"))


def test_api_key(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """The API key stays what it was, so that no slicer has to be set up again."""
    accounts_of(server := server_of(tmp_path, held))
    server.stop()
    assert imported(tmp_path).api_key
    assert accounts_of(server_of(tmp_path, held)).keys.api_key == API_KEY


def test_again(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """To import again changes nothing but what Moonraker's values replace; a changed password stays."""
    imported(tmp_path)
    server = server_of(tmp_path, held)
    accounts = accounts_of(server)
    server.mailbox.wait(start(accounts.log_in("alice", "secret pw", is_known=True)))
    replaced = accounts.users["alice"]
    server.mailbox.wait(start(Namespaces(server.database).put("fluidd", ["layout"], ["changed"])))
    server.mailbox.wait(start(Namespaces(server.database).put("fluidd", ["ours"], 1)))
    server.stop()
    report = imported(tmp_path)
    assert report.users == []
    assert "user alice: is there already" in report.left
    server = server_of(tmp_path, held)
    assert accounts_of(server).users == {"alice": replaced}
    fluidd = server.mailbox.wait(start(Namespaces(server.database).get("fluidd")))
    assert (fluidd["layout"], fluidd["ours"]) == ([], 1)
    jobs = server.run(lambda connection: connection.execute("SELECT count(*) FROM imported_jobs").fetchone())
    assert jobs == (1,)


def test_server_runs(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """While a server uses the database nothing is imported."""
    server = server_of(tmp_path, held)
    with pytest.raises(StorageError, match="in use by another server"):
        imported(tmp_path)
    assert server.mailbox.wait(start(Namespaces(server.database).names())) == []


def test_log_beside_it(tmp_path: Path, held: ExitStack) -> None:
    """What is still in a write-ahead log is imported, and neither file is changed by a byte."""
    source = moonraker_database(tmp_path, "PRAGMA journal_mode=WAL")
    with closing(sqlite3.connect(source, isolation_level=None)) as moonraker:
        moonraker.execute("PRAGMA wal_autocheckpoint=0")
        moonraker.execute("INSERT INTO namespace_store VALUES ('late', 'k', ?)", (kept("in the log"),))
        files = {name: content[0] for name, content in state(source).items() if not name.endswith("-shm")}
        other = tmp_path / "other"
        (other / "database").mkdir(parents=True)
        for name, content in files.items():
            (other / "database" / name).write_bytes(content)
    before = state(other / "database" / "moonraker-sql.db")
    assert set(before) == {"moonraker-sql.db", "moonraker-sql.db-wal"}
    assert imported(other).namespaces["late"] == 1
    assert state(other / "database" / "moonraker-sql.db") == before
    server = server_of(other, held)
    assert server.mailbox.wait(start(Namespaces(server.database).get("late", ["k"]))) == "in the log"


def test_elsewhere(tmp_path: Path, source: Path) -> None:
    """A database in another place, which may be read-only, can be imported from."""
    place = tmp_path / "card with ? and #"
    place.mkdir()
    moved = source.rename(place / "old%20.db")
    moved.chmod(0o400)
    place.chmod(0o500)
    try:
        assert imported(tmp_path, moved).api_key
    finally:
        place.chmod(0o700)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "There is no "),
        (lambda path: path.write_bytes(b"junk" * 1000), "file is not a database"),
        (lambda path: path.write_bytes(b""), "It isn't a database of Moonraker's"),
        (lambda path: os.truncate(path, 8192), "malformed"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: path.rename(path.with_name("data.mdb")), "before 0.9.0"),
    ],
)
def test_bad_sources(tmp_path: Path, source: Path, spoil: Any, reason: str, held: ExitStack) -> None:
    """What can't be imported is refused with the reason, and changes nothing here or there."""
    spoil(source)
    before = state(source) if source.is_file() else {}
    with pytest.raises(NoImport) as caught:
        imported(tmp_path)
    assert reason in str(caught.value)
    assert (state(source) if source.is_file() else {}) == before
    server = server_of(tmp_path, held)
    assert server.mailbox.wait(start(Namespaces(server.database).names())) == []


def test_closed_folder(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be looked into is refused with the reason."""

    def denied(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(StorageError, match=r"moonraker-sql\.db: Permission denied"):
        imported(tmp_path)


def test_without_users_and_history(tmp_path: Path) -> None:
    """Tables that a Moonraker hasn't made are no hindrance."""
    source = moonraker_database(tmp_path)
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for table in ("authorized_users", "job_history", "job_totals"):
            connection.execute(f"DROP TABLE {table}")
    report = imported(tmp_path)
    assert (report.users, report.api_key, report.jobs, report.totals) == ([], False, 0, 0)
    assert report.namespaces["fluidd"] == 2


@pytest.mark.parametrize("value", ["", "text", "ü", 0, -(2**63), 1.5, True, False, [], {"a": [1, None]}])
def test_values(value: object) -> None:
    """Every form of value is read as it was."""
    assert moonraker_value(kept(value)) == value
    assert type(moonraker_value(kept(value))) is type(value)


def test_command(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what it imported and what it left; when it can't, why, and it fails."""
    words = ["import-database", "--data-path", str(tmp_path)]
    assert cli.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "namespace announcements: 1 values",
        "namespace fluidd: 2 values",
        "namespace mainsail: 2 values",
        "namespace moonraker: 2 values",
        "namespace webcams: 1 values",
        "user alice, whose password stays",
        "the API key",
        "1 jobs and 1 totals of the history",
        "left out: user carol: logs in by ldap, which isn't supported",
    ]
    assert cli.main([*words, "--source", str(tmp_path / "nope.db")]) == 1
    assert capsys.readouterr().err == f"txraker: There is no {tmp_path / 'nope.db'}\n"
    assert cli.main(["import-database", "--data-path", str(tmp_path / "nope")]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_somebody_elses(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data path of another user's isn't touched, as its server couldn't read what we would make."""
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(NoImport, match="belongs to another user"):
        imported(tmp_path)
    assert [path.name for path in source.parent.iterdir()] == [source.name]


def test_all_or_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, held: ExitStack
) -> None:
    """When the import fails in its middle nothing of it stays."""

    def full(*_: object) -> None:
        problem = sqlite3.OperationalError("database or disk is full")
        raise problem

    monkeypatch.setattr("txraker.storage.moonraker_import._take_rows", full)
    with pytest.raises(StorageError, match="disk is full"):
        imported(tmp_path)
    server = server_of(tmp_path, held)
    assert server.mailbox.wait(start(Namespaces(server.database).names())) == []
    assert result_of(execute(lambda: accounts_of(server).users)) == {}
