"""The audit log: who did what, from where, over which transport; a JSON object a line, added at the end only.

It is for the machine's owner: its file is nobody else's to read, and not among the logs that clients get.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from attrs import define, field

from txraker.access import origin
from txraker.api.audit import AuditEntry
from txraker.api.caller import Role
from txraker.system.logfile import LogFile, local_now

LINES_A_MINUTE: Final = 30.0
"""Lines that one may cause on the average who may not do much, or fails: old lines aren't driven out so."""

STRANGERS_A_MINUTE: Final = 60.0
"""Lines that all strangers together may cause."""

MOST_REMEMBERED: Final = 1000
"""People whose lines are counted."""

_NOBODY: Final = Role.NOBODY.name.lower()
_LIMITED: Final = frozenset({_NOBODY, Role.VIEWER.name.lower()})


class _Line(AuditEntry, frozen=True, omit_defaults=True, kw_only=True):
    """An entry with its time, and how many were left out before."""

    time: str
    left_out: int = 0


@define(eq=False, repr=False)
class _Allowance:
    """How many more lines somebody may cause."""

    rate: float
    left: float = field(init=False)
    since: float = field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.left = self.rate

    def is_used_up(self, now: float) -> bool:
        """Say whether there is nothing left."""
        self.left = min(self.rate, self.left + (now - self.since) / 60.0 * self.rate)
        self.since = now
        return self.left < 1.0


@define(eq=False, repr=False)
class AuditLog:
    """Writes entries to a file. ``seconds`` is a clock that only goes forward."""

    _file: LogFile
    _seconds: Callable[[], float]
    _now: Callable[[], datetime] = local_now
    _strangers: _Allowance = field(factory=lambda: _Allowance(STRANGERS_A_MINUTE), init=False)
    _allowances: dict[tuple[str, str], _Allowance] = field(factory=dict, init=False)
    _left_out: int = field(default=0, init=False)

    def open(self) -> None:
        """Begin to write."""
        self._file.open()

    def close(self) -> None:
        """End."""
        self._file.close()

    def note(self, entry: AuditEntry) -> None:
        """Write an entry, unless somebody causes too many."""
        if not self._is_allowed(entry):
            self._left_out += 1
            return
        time = self._now().isoformat(timespec="milliseconds")
        line = _Line(**msgspec.structs.asdict(entry), time=time, left_out=self._left_out)
        self._left_out = 0
        self._file.append(msgspec.json.encode(line).decode() + "\n")

    def _is_allowed(self, entry: AuditEntry) -> bool:
        """Say whether there is room for a line; for what people do who may do much there always is."""
        if entry.outcome in ("asked", "let in") and entry.role not in _LIMITED:
            return True
        is_stranger = entry.role == _NOBODY
        allowances = [
            self._allowance(("", origin(entry.address)) if is_stranger else (entry.source, entry.who))
        ]
        if is_stranger:
            allowances.append(self._strangers)
        now = self._seconds()
        if any(allowance.is_used_up(now) for allowance in allowances):
            return False
        for allowance in allowances:
            allowance.left -= 1.0
        return True

    def _allowance(self, whose: tuple[str, str]) -> _Allowance:
        allowance = self._allowances.pop(whose, None) or _Allowance(LINES_A_MINUTE)
        self._allowances[whose] = allowance
        while len(self._allowances) > MOST_REMEMBERED:
            del self._allowances[next(iter(self._allowances))]
        return allowance
