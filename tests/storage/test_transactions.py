"""Transactions do all they were asked for or nothing, whatever they are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools import result_of
from txraker.storage.migrations import Migration
from txraker.testing.database import MemoryDatabase

Model = dict[str, int]

TABLE = Migration(
    1, ("CREATE TABLE pairs (key TEXT PRIMARY KEY, value INTEGER NOT NULL CHECK (value < 100))",)
)


class Put(NamedTuple):
    """Set a value; one of 100 or more breaks a rule of the table."""

    key: str
    value: int

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", self)

    def model(self, pairs: Model) -> None:
        """Do the same to a dict."""
        if self.value >= 100:
            raise sqlite3.IntegrityError
        pairs[self.key] = self.value


class Drop(NamedTuple):
    """Remove a key that must be there."""

    key: str

    def __call__(self, connection: sqlite3.Connection) -> None:
        if not connection.execute("DELETE FROM pairs WHERE key = ?", self).rowcount:
            raise KeyError(self.key)

    def model(self, pairs: Model) -> None:
        """Do the same to a dict."""
        del pairs[self.key]


Step = Put | Drop

keys = st.sampled_from("abcd")
steps = st.builds(Put, keys, st.integers(0, 110)) | st.builds(Drop, keys)
transactions = st.lists(st.lists(steps, max_size=6), max_size=8)


def all_of(steps: list[Step]) -> Callable[[sqlite3.Connection], None]:
    """Return the work that is made of these steps."""

    def work(connection: sqlite3.Connection) -> None:
        for step in steps:
            step(connection)

    return work


def modelled(steps: list[Step], before: Model) -> tuple[Model, type[Exception] | None]:
    """Return what there is after a transaction, and what it raises."""
    after = dict(before)
    try:
        for step in steps:
            step.model(after)
    except (KeyError, sqlite3.IntegrityError) as problem:
        return before, type(problem)
    return after, None


@settings(deadline=None)
@given(transactions)
def test_like_a_dict(asked: list[list[Step]]) -> None:
    """After each transaction the table is a dict to which all was done, or nothing if a step failed."""
    database = MemoryDatabase((TABLE,))
    result_of(database.start())
    pairs: Model = {}
    for steps in asked:
        pairs, raised = modelled(steps, pairs)
        if raised is None:
            result_of(database.run(all_of(steps)))
        else:
            with pytest.raises(raised):
                result_of(database.run(all_of(steps)))
        assert dict(result_of(database.run(everything))) == pairs
    result_of(database.stop())


def everything(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return the whole table: work."""
    return connection.execute("SELECT key, value FROM pairs").fetchall()
