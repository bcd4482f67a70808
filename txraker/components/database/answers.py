"""What ``server.database.*`` answers. Contract: "Database Management" of Moonraker's API."""

from __future__ import annotations

from typing import Any

import msgspec


class DatabaseInfo(msgspec.Struct, frozen=True):
    """Names of namespaces, and of the files that are backups."""

    namespaces: list[str]
    backups: list[str]


class DatabaseTables(msgspec.Struct, frozen=True):
    """The same of all namespaces, with the names of tables."""

    namespaces: list[str]
    backups: list[str]
    tables: list[str]


class DatabaseItem(msgspec.Struct, frozen=True):
    """A value with what it was asked for by; without a `key` it is a whole namespace."""

    namespace: str
    key: str | list[str] | None
    value: Any  # one that was only read is JSON already: a msgspec.Raw


class Compacted(msgspec.Struct, frozen=True):
    """What a database's file measured and measures now, in bytes."""

    previous_size: int
    new_size: int


class BackupPath(msgspec.Struct, frozen=True):
    """The absolute path where a backup is, or was."""

    backup_path: str


class RestoredDatabase(msgspec.Struct, frozen=True):
    """The names of the tables and of the namespaces that came from the backup."""

    restored_tables: list[str]
    restored_namespaces: list[str]


class DatabaseTable(msgspec.Struct, frozen=True):
    """All rows of a table by the names of their columns, with their `rowid`. Secrets are masked."""

    table_name: str
    rows: list[dict[str, Any]]
