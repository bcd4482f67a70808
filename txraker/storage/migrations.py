"""Schema versions: the steps that bring a database from one version to the next.

A database says its version in SQLite's ``user_version``, which is written in the transaction that leads to
it: version and tables never disagree. An empty database has version 0.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from txraker import __version__

Step = str | Callable[[sqlite3.Connection], object]
"""One SQL statement, or what is done with the connection."""


class CannotMigrate(Exception):
    """A database can't be brought to the version that the code needs."""


class TooNew(CannotMigrate):
    """A database has a version that this code doesn't know yet; ``newest`` is the last that it knows."""

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(
            f"it was written by a newer txraker: its format is version {version}, and this one, "
            f"{__version__}, knows none after {newest}"
        )
        self.newest = newest


class Migration(msgspec.Struct, frozen=True):
    """What leads to ``version`` from the version before it, in this order.

    While it runs, foreign keys aren't enforced, so that tables can be replaced; they must hold at its end.
    """

    version: int
    steps: tuple[Step, ...]

    def apply(self, connection: sqlite3.Connection) -> None:
        """Do all steps within the transaction that the caller has begun, and note the version."""
        for step in self.steps:
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
        dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise CannotMigrate(f"rows of the table {dangling[0]} would refer to nothing")
        connection.execute(f"PRAGMA user_version={self.version}")


Migrations = tuple[Migration, ...]
"""All migrations there are, numbered 1, 2, 3 and so on."""


def check_numbers(_instance: object, _attribute: object, migrations: Sequence[Migration]) -> None:
    """Raise ValueError if migrations aren't numbered from 1 without a gap: a validator of attrs."""
    numbers = [migration.version for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"migrations must be numbered from 1 without a gap, not {numbers}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a database's schema."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def is_empty(connection: sqlite3.Connection) -> bool:
    """Return whether a database holds nothing at all."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def missing(migrations: Migrations, version: int) -> Migrations:
    """Return what is to be done with a database of that version.

    Raises TooNew, and CannotMigrate when the version is none that there could be.
    """
    newest = len(migrations)
    if version > newest:
        raise TooNew(version, newest)
    if version < 0:
        raise CannotMigrate(f"its format is version {version}, and txraker writes none of that number")
    return migrations[version:]
