"""Namespaces in the database: a row for each name in a namespace, its value as JSON.

To read or change one name touches its row alone, however much the namespace holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from attrs import define
from zope.interface import implementer

from txraker.errors import KeyNotFound
from txraker.interfaces import IDatabase, INamespaces
from txraker.storage.migrations import Migration
from txraker.storage.nested import (
    check_depth,
    check_name,
    check_names,
    check_size,
    decoded,
    encoded,
    pop_within,
    put_within,
    raw_object,
    raw_within,
)

MIGRATION: Final = Migration(
    2,
    (
        "CREATE TABLE namespaces (namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
        " PRIMARY KEY (namespace, key)) STRICT",
    ),
)
"""The table that namespaces are kept in."""

_HERE = "WHERE namespace = ? AND key = ?"
_BELOW = "WHERE namespace = ? AND key >= ? AND key < CAST(? AS TEXT)"


@implementer(INamespaces)
@define(eq=False, repr=False)
class Namespaces:
    """Provides INamespaces. ``database`` may be replaced by one that was opened anew.

    A null that is put at a single name takes away what was there. Raises BadRequest for names and values that
    can't be kept, and when a key leads through something that isn't an object.
    """

    database: IDatabase

    async def get(self, namespace: str, key: Sequence[str] = ()) -> Any:
        read = _reading(namespace, key)
        return await self.database.run(lambda connection: decoded(read(connection)))

    async def get_raw(self, namespace: str, key: Sequence[str] = ()) -> msgspec.Raw:
        return await self.database.run(_reading(namespace, key))

    async def get_many(self, namespace: str, names: Collection[str]) -> dict[str, Any]:
        for name in names:
            check_names(namespace, (name,))
        return await self.database.run(lambda connection: _get_many(connection, namespace, names))

    async def page(self, namespace: str, after: str, most: int) -> dict[str, Any]:
        for name in (namespace, after):
            check_name(name)
        return await self.database.run(lambda connection: _page(connection, namespace, after, most))

    async def put(self, namespace: str, key: Sequence[str], value: Any) -> None:
        names = tuple(key)
        check_names(namespace, names)
        text = encoded(value)
        await self.database.run(lambda connection: _put(connection, namespace, names, text))

    async def put_many(self, namespace: str, values: Mapping[str, Any]) -> None:
        texts = {name: encoded(value) for name, value in values.items()}
        for name in texts:
            check_names(namespace, (name,))
        await self.database.run(lambda connection: put_rows(connection, namespace, texts.items()))

    async def rename(self, namespace: str, beginning: str, other: str) -> None:
        for name in (beginning, other):
            check_names(namespace, (name,))
        await self.database.run(lambda connection: _rename(connection, namespace, beginning, other))

    async def forget(self, namespace: str, beginning: str) -> None:
        check_names(namespace, (beginning,))
        await self.database.run(lambda connection: _forget(connection, namespace, beginning))

    async def delete(self, namespace: str, key: Sequence[str]) -> Any:
        names = tuple(key)
        check_names(namespace, names)
        return await self.database.run(lambda connection: _delete(connection, namespace, names))

    async def names(self) -> list[str]:
        found: list[str] = await self.database.run(names_in)
        return found


def names_in(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all namespaces in a database."""
    rows = connection.execute("SELECT DISTINCT namespace FROM namespaces ORDER BY namespace")
    return [name for (name,) in rows]


def put_rows(connection: sqlite3.Connection, namespace: str, texts: Iterable[tuple[str, bytes]]) -> None:
    """Keep values in JSON by their names; a null takes away what is there. Raises BadRequest."""
    for name, text in texts:
        check_depth(text)
        if text == b"null":
            connection.execute(f"DELETE FROM namespaces {_HERE}", (namespace, name))
        else:
            connection.execute(
                "INSERT INTO namespaces VALUES (?, ?, ?)"
                " ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value",
                (namespace, name, text),
            )


def _row(connection: sqlite3.Connection, namespace: str, name: str) -> bytes | None:
    row = connection.execute(f"SELECT value FROM namespaces {_HERE}", (namespace, name)).fetchone()
    return None if row is None else bytes(row[0])


def _reading(namespace: str, key: Sequence[str]) -> Callable[[sqlite3.Connection], msgspec.Raw]:
    """Return work that reads a value, or without a key a namespace. Raises BadRequest."""
    names = tuple(key)
    if not names:
        check_name(namespace)
        return lambda connection: _get_all(connection, namespace)
    check_names(namespace, names)
    return lambda connection: _get(connection, namespace, names)


def _get(connection: sqlite3.Connection, namespace: str, names: Sequence[str]) -> msgspec.Raw:
    text = _row(connection, namespace, names[0])
    if text is None:
        raise KeyNotFound(namespace, names[0])
    try:
        return raw_within(text, names[1:])
    except KeyError:
        raise KeyNotFound(namespace, ".".join(names)) from None


def _get_many(connection: sqlite3.Connection, namespace: str, names: Collection[str]) -> dict[str, Any]:
    texts = {name: _row(connection, namespace, name) for name in names}
    return {name: decoded(text) for name, text in texts.items() if text is not None}


def _page(connection: sqlite3.Connection, namespace: str, after: str, most: int) -> dict[str, Any]:
    rows = connection.execute(
        "SELECT key, value FROM namespaces WHERE namespace = ? AND key > ? ORDER BY key LIMIT ?",
        (namespace, after, most),
    )
    return {name: decoded(text) for name, text in rows}


def _below(namespace: str, beginning: str) -> tuple[str, str, bytes]:
    """Return what ``_BELOW`` is asked with: no name in UTF-8 has the byte that ends what begins so."""
    return namespace, beginning, beginning.encode() + b"\xff"


def _rename(connection: sqlite3.Connection, namespace: str, beginning: str, other: str) -> None:
    rest = len(beginning.encode()) + 1
    connection.execute(
        f"UPDATE OR REPLACE namespaces SET key = CAST(? || substr(CAST(key AS BLOB), ?) AS TEXT) {_BELOW}",
        (other, rest, *_below(namespace, beginning)),
    )


def _forget(connection: sqlite3.Connection, namespace: str, beginning: str) -> None:
    connection.execute(f"DELETE FROM namespaces {_BELOW}", _below(namespace, beginning))


def _get_all(connection: sqlite3.Connection, namespace: str) -> msgspec.Raw:
    size = "SELECT sum(length(key) + length(value)) FROM namespaces WHERE namespace = ?"
    (found,) = connection.execute(size, (namespace,)).fetchone()
    if found is None:
        raise KeyNotFound(namespace, "")
    check_size(namespace, found)
    return raw_object(
        dict(
            connection.execute(
                "SELECT key, value FROM namespaces WHERE namespace = ? ORDER BY key", (namespace,)
            )
        )
    )


def _put(connection: sqlite3.Connection, namespace: str, names: Sequence[str], text: bytes) -> None:
    if len(names) > 1:
        before = _row(connection, namespace, names[0])
        row = put_within(None if before is None else decoded(before), namespace, names, msgspec.Raw(text))
        text = encoded(row)
    put_rows(connection, namespace, [(names[0], text)])


def _delete(connection: sqlite3.Connection, namespace: str, names: Sequence[str]) -> Any:
    text = _row(connection, namespace, names[0])
    if text is None:
        raise KeyNotFound(namespace, names[0])
    row = decoded(text)
    if len(names) == 1:
        removed, row = row, None
    else:
        try:
            removed = pop_within(row, names[1:])
        except KeyError:
            raise KeyNotFound(namespace, ".".join(names)) from None
    put_rows(connection, namespace, [(names[0], encoded(row or None))])
    return removed
