"""Tables as developers may see them: everything but what would let them in as somebody else."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from txraker.errors import NotFound
from txraker.storage.copies import tables_in

SECRET: Final = {
    "users": {"password", "session"},
    "secrets": {"value"},
    "api_tokens": {"digest"},
}
"""Columns whose values are never shown, by their tables."""

MASK: Final = "***"


def read_table(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    """Return all rows of a table. Raises NotFound when there is none of that name."""
    if name not in tables_in(connection):
        raise NotFound(f"Table name '{name}' does not exist")
    quoted = name.replace('"', '""')
    cursor = connection.execute(f'SELECT rowid, * FROM "{quoted}"')
    columns = [column[0] for column in cursor.description]
    hidden = SECRET.get(name, set())
    return [
        {
            column: MASK if column in hidden else _shown(value)
            for column, value in zip(columns, row, strict=True)
        }
        for row in cursor
    ]


def _shown(value: object) -> object:
    """Return a value as JSON can say it: a blob is what it holds as JSON, or hexadecimal."""
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value.hex()
