"""What a Moonraker's database holds, taken over into ours; the file it is in isn't changed.

Source of its form: the database that a running Moonraker 0.11.0 writes. A value in ``namespace_store`` is a
blob that begins with its type: text (``s``), an integer (``q``) or a float (``d``) of eight bytes, little end
first, a truth value (``?``), or else it is JSON. A password is kept as PBKDF2-HMAC-SHA256.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import msgspec
from attrs import define, field

from txraker.api.caller import Role
from txraker.authorization import passwords
from txraker.authorization.accounts import RESERVED
from txraker.authorization.keys import API_KEY_USER
from txraker.errors import BadRequest
from txraker.storage.copies import open_to_read, tables_in
from txraker.storage.database import storage_error
from txraker.storage.migrations import Migration
from txraker.storage.namespaces import put_rows
from txraker.storage.nested import check_names, encoded

_JOBS: Final = (
    "job_id",
    "user",
    "filename",
    "status",
    "start_time",
    "end_time",
    "print_duration",
    "total_duration",
    "filament_used",
    "metadata",
    "auxiliary_data",
    "instance_id",
)
_TOTALS: Final = ("provider", "field", "maximum", "total", "instance_id")

MIGRATION: Final = Migration(
    3,
    (
        "CREATE TABLE imported_jobs (job_id INTEGER PRIMARY KEY, user TEXT, filename TEXT, status TEXT,"
        " start_time REAL, end_time REAL, print_duration REAL, total_duration REAL, filament_used REAL,"
        " metadata BLOB, auxiliary_data BLOB, instance_id TEXT)",
        "CREATE TABLE imported_totals (provider TEXT, field TEXT, maximum REAL, total REAL, instance_id TEXT,"
        " PRIMARY KEY (provider, field, instance_id))",
    ),
)
"""The tables that a Moonraker's history is kept in as it was, until a history of ours takes it from there."""

BOOKKEEPING: Final = frozenset(
    {
        "announcements",
        "authorized_users",
        "database",
        "gcode_metadata",
        "history",
        "moonraker",
        "update_manager",
    }
)
"""Namespaces in which Moonraker keeps what concerns it alone, or what is in tables by now."""

_LOGS = ("-wal", "-journal")
_HEXADECIMAL = re.compile(r"([0-9a-f]{2})+")


class NoImport(Exception):
    """Nothing can be imported; the text says why."""


@define(eq=False)
class Imported:
    """What was taken over: of namespaces how many values each; and what was left, each with its reason."""

    namespaces: Counter[str] = field(factory=Counter)
    users: list[str] = field(factory=list)
    api_key: bool = False
    jobs: int = 0
    totals: int = 0
    left: list[str] = field(factory=list)


class MoonrakerUser(NamedTuple):
    """A row of ``authorized_users``, as far as it is of use; ``salt`` and ``password`` are hexadecimal."""

    username: str
    password: str
    salt: str
    source: str
    created_on: float


class Found(NamedTuple):
    """What a Moonraker's database holds: values as they are kept, and rows of its history."""

    values: list[tuple[str, str, object]]
    users: list[MoonrakerUser]
    jobs: list[tuple[object, ...]]
    totals: list[tuple[object, ...]]


def import_moonraker(source: Path, connection: sqlite3.Connection, scratch: Path) -> Imported:
    """Take over what a Moonraker's database holds, within the transaction that the caller has begun.

    Values that are there already are replaced; users who are there already are left as they are, so that a
    password that was changed meanwhile stays. In the folder ``scratch`` there may be a copy for a while.
    Raises NoImport when the source can't be read.
    """
    try:
        with _opened(source, scratch) as moonraker:
            found = _read(moonraker)
    except FileNotFoundError as problem:
        raise NoImport(f"There is no {source}") from problem
    except (OSError, sqlite3.Error) as problem:
        raise NoImport(str(storage_error(source, problem))) from problem
    imported = Imported()
    _take_values(found, connection, imported)
    _take_users(found, connection, imported)
    imported.jobs = _take_rows(connection, "imported_jobs", found.jobs)
    imported.totals = _take_rows(connection, "imported_totals", found.totals)
    return imported


@contextmanager
def _opened(source: Path, scratch: Path) -> Iterator[sqlite3.Connection]:
    """Open a database without changing a byte of it, or of what is beside it.

    If there is a log, or SQLite would begin one even to read, a copy of all of it is read instead.
    """
    with source.open("rb") as file:
        is_logged = file.read(20)[18:20] == b"\x02\x02"
    logs = [log for ending in _LOGS if (log := source.with_name(source.name + ending)).exists()]
    with ExitStack() as held:
        file_to_read = source
        if is_logged or logs:
            folder = Path(held.enter_context(TemporaryDirectory(dir=scratch, prefix=".import-")))
            for original in (source, *logs):
                shutil.copyfile(original, folder / original.name)
            file_to_read = folder / source.name
            sqlite3.connect(file_to_read).execute("PRAGMA journal_mode=DELETE").connection.close()
        connection = held.enter_context(closing(open_to_read(file_to_read)))
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise NoImport(f"{source} is damaged: {' '.join(damage.split())}")
        yield connection


def _read(moonraker: sqlite3.Connection) -> Found:
    moonraker.execute("BEGIN")
    tables = set(tables_in(moonraker))
    if "namespace_store" not in tables:
        raise NoImport("It isn't a database of Moonraker's: it has no table namespace_store")

    def rows(table: str, columns: Iterable[str]) -> list[Any]:
        if table not in tables:
            return []
        return moonraker.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()

    return Found(
        rows("namespace_store", ("namespace", "key", "value")),
        [MoonrakerUser(*row) for row in rows("authorized_users", MoonrakerUser._fields)],
        rows("job_history", _JOBS),
        rows("job_totals", _TOTALS),
    )


def _take_values(found: Found, connection: sqlite3.Connection, imported: Imported) -> None:
    for namespace, key, value in found.values:
        if namespace in BOOKKEEPING:
            continue
        try:
            check_names(namespace, (key,))
            put_rows(connection, namespace, [(key, encoded(moonraker_value(value)))])
        except (BadRequest, ValueError) as problem:
            imported.left.append(f"{namespace[:40]}.{key[:40]}: {problem}")
        else:
            imported.namespaces[namespace] += 1


def moonraker_value(kept: object) -> Any:
    """Return a value of ``namespace_store``. Raises ValueError for one of a form that isn't known."""
    if not isinstance(kept, bytes):
        return kept
    kind, rest = kept[:1], kept[1:]
    if kind == b"s":
        return rest.decode()
    if kind == b"?" and rest:
        return rest != b"\0"
    try:
        if kind in (b"q", b"d"):
            return struct.unpack(f"<{kind.decode()}", rest)[0]
        return msgspec.json.decode(kept)
    except (struct.error, msgspec.DecodeError, RecursionError):
        raise ValueError("it is kept in a form that isn't known") from None


def _take_users(found: Found, connection: sqlite3.Connection, imported: Imported) -> None:
    for user in found.users:
        if user.username == API_KEY_USER:
            imported.api_key = _take_api_key(user.password, connection)
            continue
        reason = _reason_to_leave(user, connection)
        if reason:
            imported.left.append(f"user {user.username}: {reason}")
            continue
        kept = passwords.of_moonraker(bytes.fromhex(user.salt), bytes.fromhex(user.password))
        connection.execute(
            "INSERT INTO users (username, password, source, role, created_on, session_began)"
            " VALUES (?, ?, 'moonraker', ?, ?, 0)",
            (user.username, kept, int(Role.ADMIN), user.created_on),
        )
        imported.users.append(user.username)


def _reason_to_leave(user: MoonrakerUser, connection: sqlite3.Connection) -> str:
    """Return why a user can't be taken over; nothing when that can be done."""
    if user.source != "moonraker":
        return f"logs in by {user.source}, which isn't supported"
    if connection.execute("SELECT 1 FROM users WHERE username = ?", (user.username,)).fetchone():
        return "is there already"
    if user.username in RESERVED or not _HEXADECIMAL.fullmatch(f"{user.salt}{user.password}"):
        return "isn't one who can log in"
    return ""


def _take_api_key(key: str, connection: sqlite3.Connection) -> bool:
    if not key:
        return False
    connection.execute("INSERT OR REPLACE INTO secrets VALUES ('api_key', ?)", (key.encode(),))
    return True


def _take_rows(connection: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> int:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)
    return len(rows)
