"""What is kept of one printer, restarts of its server or not: the database, and what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from txraker.authorization.accounts import Accounts, open_accounts
from txraker.faults import FaultReport, run_aside
from txraker.reactor import Reactor, off_thread
from txraker.storage.backups import Backups
from txraker.storage.database import Database, StorageError
from txraker.storage.namespaces import Namespaces
from txraker.storage.recovery import Recovery
from txraker.storage.schema import MIGRATIONS
from txraker.system.logfile import local_now

_T = TypeVar("_T")

OPEN_AGAIN_AFTER = 10.0
"""Seconds after which it is tried again to open a database that couldn't be: others may have had it."""


@define(eq=False, repr=False)
class Kept:
    """Opens the database, again and again if need be. ``warn`` is told what is wrong, and when it is over."""

    _reactor: Reactor
    _data_path: Path
    _warn: Callable[[str, str], None]
    _report_fault: FaultReport
    accounts: Accounts = field(init=False)
    namespaces: Namespaces = field(init=False)
    backups: Backups = field(init=False)
    _database: Database = field(init=False)
    _opening_again: IDelayedCall | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.backups = Backups(self._data_path / "backup" / "database", MIGRATIONS, local_now)
        self._database = self._make_database("The database has not been started")
        self.accounts = open_accounts(self._database, off_thread(self._reactor), self._reactor.seconds)
        self.namespaces = Namespaces(self._database)

    def open(self) -> Deferred[None]:
        """Open the database; the answer fires when that has been tried for the first time."""
        return run_aside(self._open(), "opening the database", self._report_fault)

    async def close(self) -> None:
        """Do what was asked for, and let go of the database."""
        if self._opening_again is not None and self._opening_again.active():
            self._opening_again.cancel()
        await self._database.stop()

    def maintain(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        """Do what concerns the database's file as a whole. See ``Database.maintain``."""
        return self._database.maintain(work)

    async def replaced(self) -> None:
        """Begin with what is in the database now: its whole content is another. Raises StorageError."""
        await self.accounts.load()
        self.accounts.ledger.changed()

    async def _open(self) -> None:
        try:
            await self._database.start()
            await self.accounts.load()
        except StorageError as problem:
            self._warn("database", str(problem))
            await self._database.stop()
            self._database = self._make_database(str(problem))
            self.accounts.ledger.database = self.namespaces.database = self._database
            self._opening_again = self._reactor.callLater(OPEN_AGAIN_AFTER, self.open)
        else:
            self._warn("database", "")
            self._warn("database recovery", self._database.notice)

    def _make_database(self, why_not: str) -> Database:
        """Return a database to be opened; ``why_not`` says why it isn't open yet."""
        return Database(self._reactor, self._data_path, MIGRATIONS, Recovery(self.backups), why_not)
