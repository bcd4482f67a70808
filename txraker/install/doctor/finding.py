"""What a check comes to."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Level = Literal["good", "unknown", "warning", "bad"]
"""How it is: as it should be; not to be seen from here; not as it should be; so that it can't work."""


@frozen
class Finding:
    """One sentence about the machine, and the command that mends what it says, if there is one."""

    level: Level
    says: str
    mend: str | None = None


def good(says: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("good", says)


def unknown(says: str, mend: str | None = None) -> Finding:
    """Return that something can't be seen from here."""
    return Finding("unknown", says, mend)


def warning(says: str, mend: str | None = None) -> Finding:
    """Return that something isn't as it should be, though a printer may be served."""
    return Finding("warning", says, mend)


def bad(says: str, mend: str | None = None) -> Finding:
    """Return that something keeps the server from working."""
    return Finding("bad", says, mend)
