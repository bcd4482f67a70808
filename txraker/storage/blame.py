"""What is to blame when SQLite can't do something: what was asked for, the file, or what it is stored on."""

from __future__ import annotations

import sqlite3
from typing import Final

_UNUSABLE: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOTADB,
    }
)
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_of_the_file(problem: BaseException) -> bool:
    """Say whether the file or its disk is to blame, and not what was asked for."""
    return _code(problem) in _UNUSABLE


def is_damage(problem: BaseException) -> bool:
    """Say whether the content of the file makes no sense."""
    return _code(problem) in _DAMAGED


def _code(problem: BaseException) -> int:
    code: int = problem.sqlite_errorcode if hasattr(problem, "sqlite_errorcode") else sqlite3.SQLITE_OK
    return code & 0xFF
