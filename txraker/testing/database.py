"""A database in memory: provides IDatabase without a file and without a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from txraker.errors import Unavailable
from txraker.interfaces import IDatabase
from txraker.storage.database import migrate, prepare, storage_error, transact
from txraker.storage.migrations import CannotMigrate, Migrations, check_numbers

_FILE = ":memory:"

_T = TypeVar("_T")


@implementer(IDatabase)
@define(eq=False)
class MemoryDatabase:
    """Does work at once, in the caller's thread. Who starts it stops it.

    ``problem`` is raised by each call of ``run`` while there is one.
    """

    _migrations: Migrations = field(default=(), validator=check_numbers)
    problem: Exception | None = None
    _connection: sqlite3.Connection | None = field(default=None, init=False)

    def start(self) -> Deferred[None]:
        self._connection = sqlite3.connect(_FILE, isolation_level=None)
        prepare(self._connection)
        try:
            migrate(self._connection, self._migrations, lambda _version: None)
        except CannotMigrate as problem:
            self.problem = storage_error(Path(_FILE), problem)
            return fail(self.problem)
        return succeed(None)

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        if self._connection is None:
            return fail(Unavailable("The database is not open"))
        if self.problem is not None:
            return fail(self.problem)
        try:
            return succeed(transact(self._connection, work))
        except Exception as problem:
            return fail(problem)

    def stop(self) -> Deferred[None]:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return succeed(None)
