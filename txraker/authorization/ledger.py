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

from txraker.errors import Unavailable
from txraker.interfaces import IDatabase
from txraker.storage.database import StorageError

_T = TypeVar("_T")


class Statement(NamedTuple):
    """A row as it is to be from now on, in SQL."""

    text: str
    values: tuple[object, ...]


@define(eq=False, repr=False)
class Ledger:
    """Writes rows, each known by a key; the newest statement for a row is the one that counts.

    Whoever changes something in memory at once, as what takes rights away does, says so by ``changed``.
    """

    database: IDatabase
    _lock: DeferredLock = field(factory=DeferredLock, init=False)
    _due: dict[Hashable, Statement] = field(factory=dict, init=False)
    _listeners: list[Callable[[], None]] = field(factory=list, init=False)

    def listen(self, listener: Callable[[], None]) -> None:
        """Tell somebody whenever it has changed who may."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Tell somebody no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def changed(self) -> None:
        """Tell everybody that it has changed who may."""
        for listener in list(self._listeners):
            listener()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Read, change and write without somebody else's change between, except for what is withdrawn."""
        await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what ``work`` reads, or makes where it is missing. Raises StorageError."""
        result: _T = await self.database.run(work)
        return result

    async def write(self, row: Hashable, statement: Statement) -> None:
        """Write a row, or nothing. To be called while ``changing``.

        Raises StorageError, and Unavailable when the row was withdrawn meanwhile, which is what counts.
        """
        before = self._due.get(row)
        await self._write({**self._due, row: statement})
        if self._due.get(row) is not before:
            raise Unavailable("It was changed meanwhile; try again")
        self._due.pop(row, None)

    async def write_or_owe(self, row: Hashable, statement: Statement) -> None:
        """Write a row, if not now then later. To be called while ``changing``.

        Raises Unavailable when the row was withdrawn meanwhile, which is what counts.
        """
        try:
            await self.write(row, statement)
        except StorageError:
            self._due.setdefault(row, statement)

    async def withdraw(self, row: Hashable, statement: Statement) -> None:
        """Write a row, whatever else is being done to it, if not now then later.

        Raises StorageError for later. Not to be called while ``changing``.
        """
        self._due[row] = statement
        self.changed()
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what hasn't been written yet. Raises StorageError."""
        if self._due:
            async with self.changing():
                await self._write(dict(self._due))

    def is_due(self, row: Hashable) -> bool:
        """Say whether a row hasn't been written yet."""
        return row in self._due

    async def _write(self, due: dict[Hashable, Statement]) -> None:
        if due:
            statements = list(due.values())
            await self.database.run(lambda connection: _execute(connection, statements))
        for row, statement in due.items():
            if self._due.get(row) is statement:
                del self._due[row]


def _execute(connection: sqlite3.Connection, statements: list[Statement]) -> None:
    for statement in statements:
        connection.execute(statement.text, statement.values)
