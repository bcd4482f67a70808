"""Work on a database as a whole: how it is asked for, and what makes its file smaller."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

_T = TypeVar("_T")


class Maintain(Protocol):
    """Does work on a printer's database in its turn and outside a transaction, as ``Database.maintain``."""

    def __call__(self, work: Callable[[sqlite3.Connection], _T]) -> Awaitable[_T]:
        """Return an awaitable of what ``work`` returns. Raises what that raises, and Unavailable."""


class Sizes(NamedTuple):
    """Bytes of a database's file."""

    before: int
    after: int


def compact(connection: sqlite3.Connection) -> Sizes:
    """Write a database anew, without gaps, and return what that saved."""
    before = _size(connection)
    connection.execute("VACUUM")
    return Sizes(before, _size(connection))


def _size(connection: sqlite3.Connection) -> int:
    """Return what the file measures once everything is in it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(size)
