"""What a Moonraker 0.11.0 leaves in a data path, and what is imported of it."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, execute

from tests.storage.bench import Server
from tests.tools import start
from txraker.authorization.accounts import Accounts, open_accounts
from txraker.storage.importing import import_database
from txraker.storage.moonraker_import import Imported
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
NEWS = {
    "entry_id": "arksine/klipper/issue/1",
    "url": "https://example.org/1",
    "title": "One",
    "description": "The first",
    "priority": "normal",
    "date": 1795391200.0,
    "dismissed": True,
    "date_dismissed": 1795391200.952443,
    "dismiss_wake": None,
    "source": "moonlight",
    "feed": "klipper",
}
INSTANCE = "6affbb5d100842cbab5c5b3ccb61d0c8"
UID = "cecedb89-32ae-575f-a8f0-57373d69276c"
"""The uid that a camera "front" of the configuration had in the Moonraker 0.11.0 of that id."""

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
        ("announcements", "000000", NEWS),
        ("moonraker", "instance_id", INSTANCE),
        ("moonraker", "announcements", {"stored_feeds": ["fluidd"]}),
        ("moonraker", "file_manager", {"metadata_version": 3}),
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


def imported(folder: Path, source: Path | None = None) -> Imported:
    """Import."""
    return import_database(folder, source or folder / "database" / "moonraker-sql.db")


def server_of(folder: Path, held: ExitStack) -> Server:
    """Have the database open that was imported to."""
    server = Server(folder, MIGRATIONS)
    server.start()
    held.callback(server.stop)
    return server


def accounts_of(server: Server) -> Accounts:
    """Have the accounts of a database read."""

    def at_once(work: Any) -> Deferred[Any]:
        return execute(work)

    accounts = open_accounts(server.database, at_once, lambda: 1795400000.0)
    server.mailbox.wait(start(accounts.load()))
    return accounts
