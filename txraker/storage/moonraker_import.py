"""What a Moonraker's database holds, taken over into ours; the file it is in isn't changed.

Source of its form: the database that a running Moonraker 0.11.0 writes. A value in ``namespace_store`` is a
blob that begins with its type: text (``s``), an integer (``q``) or a float (``d``) of eight bytes, little end
first, a truth value (``?``), or else it is JSON. A password is kept as PBKDF2-HMAC-SHA256.
What isn't of that form is left, and told; all else is taken.
"""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any, Final, NamedTuple, TypeGuard

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

_Columns = Mapping[str, tuple[type, ...]]

_TEXT: Final = (str, NoneType)
_NUMBER: Final = (int, float, NoneType)
_JSON: Final = (bytes, str, NoneType)
_JOBS: Final[_Columns] = {
    "job_id": (int,),
    "user": _TEXT,
    "filename": _TEXT,
    "status": _TEXT,
    "start_time": _NUMBER,
    "end_time": _NUMBER,
    "print_duration": _NUMBER,
    "total_duration": _NUMBER,
    "filament_used": _NUMBER,
    "metadata": _JSON,
    "auxiliary_data": _JSON,
    "instance_id": _TEXT,
}
_TOTALS: Final[_Columns] = {
    "provider": (str,),
    "field": (str,),
    "maximum": _NUMBER,
    "total": _NUMBER,
    "instance_id": (str,),
}

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
    {"authorized_users", "database", "gcode_metadata", "history", "moonraker", "update_manager"}
)
"""Namespaces in which Moonraker keeps what concerns it alone, or what is in tables by now."""

TAKEN: Final = frozenset({("moonraker", "announcements"), ("moonraker", "instance_id")})
"""What is taken of these: feeds that were added, and what configured cameras have their uids from."""

_NEWS = "announcements"
_LOGS = ("-wal", "-journal")
_UNKNOWN_FORM = "kept in a form that isn't known"
_HASH = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"([0-9a-f]{2})+")
_LONGEST_USERNAME = 256


class NoImport(Exception):
    """Nothing can be imported; the text says why."""


@define(eq=False, repr=False)
class Imported:
    """What was taken over: of namespaces how many values each; and what was left, each with its reason."""

    namespaces: Counter[str] = field(factory=Counter)
    users: list[str] = field(factory=list)
    api_key: bool = False
    jobs: int = 0
    totals: int = 0
    left: list[str] = field(factory=list)


class MoonrakerUser(NamedTuple):
    """A row of ``authorized_users``, as far as it is of use; salt and password should be hexadecimal."""

    username: object
    password: object
    salt: object
    source: object
    created_on: object


class Found(NamedTuple):
    """Rows of a Moonraker's database, as they are kept. Text that isn't UTF-8 is bytes.

    ``missing`` are names of columns that there should be; in the rows they are null.
    """

    values: list[tuple[object, object, object]]
    users: list[MoonrakerUser]
    jobs: list[tuple[object, ...]]
    totals: list[tuple[object, ...]]
    missing: list[str]


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
    imported = Imported(left=[f"{column}: there is no such column" for column in found.missing])
    _take_values(found, connection, imported)
    _take_users(found, connection, imported)
    jobs = _fitting(found.jobs, _JOBS, "jobs", imported)
    imported.jobs = _take_rows(connection, "imported_jobs", jobs)
    totals = _fitting(found.totals, _TOTALS, "totals", imported)
    imported.totals = _take_rows(connection, "imported_totals", totals)
    return imported


def imported_history(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many jobs and totals of a Moonraker's history a database of ours has."""
    jobs, totals = (
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("imported_jobs", "imported_totals")
    )
    return jobs, totals


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
    moonraker.text_factory = _text
    moonraker.execute("BEGIN")
    tables = set(tables_in(moonraker))
    if "namespace_store" not in tables:
        raise NoImport("It isn't a database of Moonraker's: it has no table namespace_store")

    missing: list[str] = []

    def rows(table: str, columns: Collection[str]) -> list[Any]:
        if table not in tables:
            return []
        there = {column[1] for column in moonraker.execute(f"PRAGMA table_info({table})")}
        missing.extend(f"{table}.{column}" for column in columns if column not in there)
        wanted = ", ".join(column if column in there else "NULL" for column in columns)
        return moonraker.execute(f"SELECT {wanted} FROM {table}").fetchall()

    return Found(
        rows("namespace_store", ("namespace", "key", "value")),
        [MoonrakerUser(*row) for row in rows("authorized_users", MoonrakerUser._fields)],
        rows("job_history", _JOBS),
        rows("job_totals", _TOTALS),
        missing,
    )


def _text(kept: bytes) -> str | bytes:
    try:
        return kept.decode()
    except UnicodeDecodeError:
        return kept


def shown(name: object) -> str:
    """Return a name as it can be told within a line: what is odd is quoted, and what is long is cut."""
    if isinstance(name, str) and name and name.isprintable() and name == name.strip():
        return name[:40]
    return ascii(name)[:40]


def _take_values(found: Found, connection: sqlite3.Connection, imported: Imported) -> None:
    """Keep values, each in the place of what is there; announcements take the place of all that there are."""
    if any(namespace == _NEWS for namespace, _, _ in found.values):
        connection.execute("DELETE FROM namespaces WHERE namespace = ?", (_NEWS,))
    for namespace, key, value in found.values:
        if namespace in BOOKKEEPING and (namespace, key) not in TAKEN:
            continue
        try:
            imported.namespaces[_take_value(connection, namespace, key, value)] += 1
        except (BadRequest, ValueError) as problem:
            imported.left.append(f"{shown(namespace)}.{shown(key)}: {problem}")


def _take_value(connection: sqlite3.Connection, namespace: object, key: object, value: object) -> str:
    """Keep a value, which is more than null, and return its namespace. Raises BadRequest, and ValueError."""
    if not isinstance(namespace, str) or not isinstance(key, str):
        raise ValueError("its name isn't text")
    check_names(namespace, (key,))
    text = encoded(moonraker_value(value))
    if text == b"null":
        raise ValueError("there is nothing in it")
    put_rows(connection, namespace, [(key, text)])
    return namespace


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
        raise ValueError(f"it is {_UNKNOWN_FORM}") from None


def _take_users(found: Found, connection: sqlite3.Connection, imported: Imported) -> None:
    for user in found.users:
        if user.username == API_KEY_USER:
            _take_api_key(user.password, connection, imported)
            continue
        try:
            imported.users.append(_take_user(user, connection))
        except ValueError as problem:
            imported.left.append(f"user {shown(user.username)}: {problem}")


def _take_user(user: MoonrakerUser, connection: sqlite3.Connection) -> str:
    """Keep a user and return the name. Raises ValueError for one who can't be taken over."""
    name, created_on = user.username, user.created_on
    if not is_username(name):
        raise ValueError("its name isn't one that a user can have")
    if user.source != "moonraker":
        raise ValueError(f"logs in by {shown(user.source)}, which isn't supported")
    if connection.execute("SELECT 1 FROM users WHERE username = ?", (name,)).fetchone():
        raise ValueError("is there already")
    if not isinstance(created_on, int | float) or not math.isfinite(created_on):
        raise ValueError(f"when it was made is {_UNKNOWN_FORM}")
    connection.execute(
        "INSERT INTO users (username, password, source, role, created_on, session_began)"
        " VALUES (?, ?, 'moonraker', ?, ?, 0)",
        (name, _password(user.salt, user.password), int(Role.ADMIN), created_on),
    )
    return name


def is_username(name: object) -> TypeGuard[str]:
    """Say whether a user can have a name. The rules are those of ``access.post_user``."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_USERNAME
        and name.isprintable()
        and name == name.strip()
        and name not in RESERVED
    )


def _password(salt: object, result: object) -> str:
    if (
        isinstance(salt, str)
        and isinstance(result, str)
        and _SALT.fullmatch(salt)
        and _HASH.fullmatch(result)
    ):
        return passwords.of_moonraker(bytes.fromhex(salt), bytes.fromhex(result))
    raise ValueError(f"its password is {_UNKNOWN_FORM}")


def _take_api_key(key: object, connection: sqlite3.Connection, imported: Imported) -> None:
    if key == "":
        return
    if not isinstance(key, str) or not key.isascii() or not key.isprintable():
        imported.left.append(f"the API key: it is {_UNKNOWN_FORM}")
        return
    connection.execute("INSERT OR REPLACE INTO secrets VALUES ('api_key', ?)", (key.encode(),))
    imported.api_key = True


def _fitting(
    rows: list[tuple[object, ...]], columns: _Columns, what: str, imported: Imported
) -> list[tuple[object, ...]]:
    """Return the rows whose values are of the types of their columns; how many others there are is told."""
    fitting = [row for row in rows if all(map(isinstance, row, columns.values()))]
    if len(fitting) < len(rows):
        imported.left.append(f"{len(rows) - len(fitting)} {what} of the history: {_UNKNOWN_FORM}")
    return fitting


def _take_rows(connection: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> int:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)
    return len(rows)
