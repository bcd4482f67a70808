"""What is kept of who may: changed by one at a time, and never forgotten while a disk is full.

Rights that are taken away are gone at once, whether that can be written or not; what couldn't be written is
written with the next change, or when somebody asks for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.interfaces import IDatabase

_T = TypeVar("_T")


class Statement(NamedTuple):
    """A row as it is to be from now on, in SQL."""

    text: str
    values: tuple[object, ...]


@define(eq=False)
class Ledger:
    """Writes rows, each known by a key; the newest statement for a row is the one that counts."""

    _database: IDatabase
    _lock: DeferredLock = field(factory=DeferredLock, init=False)
    _due: dict[Hashable, Statement] = field(factory=dict, init=False)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Read, change and write without somebody else's change between."""
        await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what ``work`` reads, or makes where it is missing. Raises StorageError."""
        result: _T = await self._database.run(work)
        return result

    async def write(self, row: Hashable, statement: Statement) -> None:
        """Write a row, or nothing. Raises StorageError. To be called while ``changing``."""
        await self._write({**self._due, row: statement})

    async def withdraw(self, row: Hashable, statement: Statement) -> None:
        """Write a row, if not now then later. Raises StorageError for later. The same holds."""
        self._due[row] = statement
        await self._write(self._due)

    async def catch_up(self) -> None:
        """Write what couldn't be written before. Raises StorageError."""
        if self._due:
            async with self.changing():
                await self._write(self._due)

    def is_due(self, row: Hashable) -> bool:
        """Say whether a row couldn't be written."""
        return row in self._due

    async def _write(self, due: dict[Hashable, Statement]) -> None:
        statements = list(due.values())
        await self._database.run(lambda connection: _execute(connection, statements))
        self._due.clear()


def _execute(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    for statement in statements:
        connection.execute(statement.text, statement.values)
