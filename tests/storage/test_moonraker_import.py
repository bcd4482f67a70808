"""What a Moonraker's database holds survives a change to us, and its file isn't touched."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, execute

from tests.storage.bench import Server
from tests.tools import result_of, start
from txraker import cli
from txraker.authorization import passwords
from txraker.authorization.accounts import Accounts, open_accounts
from txraker.storage.database import StorageError
from txraker.storage.moonraker_import import Imported, NoImport, moonraker_value
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS

TABLES = (
    "CREATE TABLE table_registry (name TEXT NOT NULL PRIMARY KEY, prototype TEXT NOT NULL, version INT)",
    "CREATE TABLE namespace_store (namespace TEXT NOT NULL, key TEXT NOT NULL, value record NOT NULL,"
    " PRIMARY KEY (namespace, key))",
    "CREATE TABLE authorized_users (username TEXT PRIMARY KEY NOT NULL, password TEXT NOT NULL,"
    " created_on REAL NOT NULL, salt TEXT NOT NULL, source TEXT NOT NULL, jwt_secret TEXT, jwk_id TEXT,"
    " groups pyjson)",
    "CREATE TABLE job_history (job_id INTEGER PRIMARY KEY ASC, user TEXT NOT NULL, filename TEXT,"
    " status TEXT NOT NULL, start_time REAL NOT NULL, end_time REAL, print_duration REAL NOT NULL,"
    " total_duration REAL NOT NULL, filament_used REAL NOT NULL, metadata pyjson,"
    " auxiliary_data pyjson NOT NULL, instance_id TEXT NOT NULL)",
    "CREATE TABLE job_totals (provider TEXT NOT NULL, field TEXT NOT NULL, maximum REAL, total REAL,"
    " instance_id TEXT NOT NULL, PRIMARY KEY (provider, field, instance_id))",
)
"""The tables of a database that Moonraker 0.11.0 has made."""

API_KEY = "922c2a9401f84e2a85254584a8d71e1f"
SALT = "fa45a01cf1aeb614bfafeb2d36c27ac3e0a3e903461befe29c909d445cbe9e5c"
HASH = "349cd9d6d732c5800aaafe0893cc39bf2f4a2e7bcaa3873e94f6277111413cd8"
"""What a Moonraker 0.11.0 kept of the password "secret pw"."""

WEBCAM = {"name": "cam1", "service": "mjpegstreamer", "targetFps": 15, "urlStream": "/webcam/?action=stream"}
JOB = (
    7,
    "_TRUSTED_USER_",
    "benchy.gcode",
    "completed",
    1795380395.8442688,
    1795380412.3432379,
    10.5,
    16.265400171279907,
    120.25,
    b'{"size":6804,"slicer":"PrusaSlicer"}',
    b"[]",
    "default",
)


def kept(value: object) -> bytes:
    """Return a value as Moonraker keeps it."""
    if isinstance(value, bool):
        return b"?" + bytes([value])
    if isinstance(value, int):
        return b"q" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"d" + struct.pack("<d", value)
    return b"s" + value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def moonraker_database(folder: Path, *more: str) -> Path:
    """Make what a Moonraker leaves in a data path, and return its database."""
    (folder / "database").mkdir()
    path = folder / "database" / "moonraker-sql.db"
    values = [
        ("fluidd", "uiSettings", {"general": {"instanceName": "Voron 2.4 ☺"}}),
        ("fluidd", "layout", []),
        ("mainsail", "initVersion", "2.18.2"),
        ("mainsail", "dark", True),
        ("webcams", "97c7f049-29e0-4615-9c0f-693b58931ac6", WEBCAM),
        ("moonraker", "instance_id", "989d5494976245dca28cf9d95290c884"),
        ("database", "unsafe_shutdowns", 3),
        ("gcode_metadata", "benchy.gcode", {"size": 6804}),
        ("update_manager", "klipper", {"is_valid": True}),
    ]
    users = [
        ("_API_KEY_USER_", API_KEY, 1795380025.06, "", "moonraker"),
        ("alice", HASH, 1795380177.14, SALT, "moonraker"),
        ("carol", "", 1795380177.14, "", "ldap"),
    ]
    with closing(sqlite3.connect(path)) as connection:
        for statement in (*TABLES, *more):
            connection.execute(statement)
        rows = [(namespace, key, kept(value)) for namespace, key, value in values]
        connection.executemany("INSERT INTO namespace_store VALUES (?, ?, ?)", rows)
        connection.executemany(
            "INSERT INTO authorized_users VALUES (?, ?, ?, ?, ?, NULL, NULL, '[\"admin\"]')", users
        )
        connection.execute(f"INSERT INTO job_history VALUES ({', '.join('?' * len(JOB))})", JOB)
        connection.execute("INSERT INTO job_totals VALUES ('history', 'total_jobs', NULL, 1.0, 'default')")
        connection.commit()
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Have what a Moonraker leaves."""
    return moonraker_database(tmp_path)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """End what a test begins."""
    with ExitStack() as held:
        yield held


def imported(folder: Path, source: Path | None = None) -> Imported:
    """Import."""
    return cli.import_database(folder, source or folder / "database" / "moonraker-sql.db")


def server_of(folder: Path, held: ExitStack) -> Server:
    """Have the database open that was imported to."""
    server = Server(folder, MIGRATIONS)
    server.start()
    held.callback(server.stop)
    return server


def state(path: Path) -> dict[str, Any]:
    """Return what can be seen of a file and of its folder's other files that are Moonraker's."""
    return {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns, stat.S_IMODE(file.stat().st_mode))
        for file in path.parent.iterdir()
        if file.name.startswith(("moonraker", "data")) or ".import" in file.name
    }


def test_namespaces(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """What clients kept is there as it was; what Moonraker keeps for itself isn't taken."""
    before = state(source)
    report = imported(tmp_path)
    assert state(source) == before
    assert report.namespaces == {"fluidd": 2, "mainsail": 2, "webcams": 1}
    server = server_of(tmp_path, held)
    namespaces = Namespaces(server.database)
    assert server.mailbox.wait(start(namespaces.names())) == ["fluidd", "mainsail", "webcams"]
    assert server.mailbox.wait(start(namespaces.get("fluidd"))) == {
        "layout": [],
        "uiSettings": {"general": {"instanceName": "Voron 2.4 ☺"}},
    }
    assert server.mailbox.wait(start(namespaces.get("mainsail"))) == {"dark": True, "initVersion": "2.18.2"}
    assert (
        server.mailbox.wait(start(namespaces.get("webcams", ["97c7f049-29e0-4615-9c0f-693b58931ac6"])))
        == WEBCAM
    )


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


def accounts_of(server: Server) -> Accounts:
    """Have the accounts of a database read."""

    def at_once(work: Any) -> Deferred[Any]:
        return execute(work)

    accounts = open_accounts(server.database, at_once, lambda: 1795400000.0)
    server.mailbox.wait(start(accounts.load()))
    return accounts


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


def test_odd_values(tmp_path: Path, held: ExitStack) -> None:
    """A value in a form that isn't known is left and named; the others are imported."""
    source = moonraker_database(tmp_path)
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for key, value in (
            ("bad", b"\x00\x01"),
            ("short", b"q\x01"),
            ("text", b"s\xff"),
            ("", b"s"),
            ("num", 5),
        ):
            connection.execute("INSERT INTO namespace_store VALUES ('odd', ?, ?)", (key, value))
        connection.execute(
            "INSERT INTO authorized_users VALUES ('dave', 'xyz', 0, '', 'moonraker', '', '', '')"
        )
    report = imported(tmp_path)
    assert report.namespaces["odd"] == 1
    assert len([reason for reason in report.left if reason.startswith("odd.")]) == 4
    assert "user dave: isn't one who can log in" in report.left


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
        "namespace fluidd: 2 values",
        "namespace mainsail: 2 values",
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
