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

from txraker.api.audit import AuditEntry
from txraker.api.caller import Role
from txraker.system.logfile import LogFile, local_now

STRANGERS_A_MINUTE: Final = 30.0
"""Lines that those whom we don't know may cause, on the average: nobody fills a disk by being refused."""

_NOBODY: Final = Role.NOBODY.name.lower()


class _Line(AuditEntry, frozen=True, omit_defaults=True, kw_only=True):
    """An entry with its time, and how many of strangers were left out before."""

    time: str
    left_out: int = 0


@define(eq=False)
class AuditLog:
    """Writes entries to a file. ``seconds`` is a clock that only goes forward."""

    _file: LogFile
    _seconds: Callable[[], float]
    _now: Callable[[], datetime] = local_now
    _allowance: float = field(default=STRANGERS_A_MINUTE, init=False)
    _allowed_at: float = field(default=-math.inf, init=False)
    _left_out: int = field(default=0, init=False)

    def open(self) -> None:
        """Begin to write."""
        self._file.open()

    def close(self) -> None:
        """End."""
        self._file.close()

    def note(self, entry: AuditEntry) -> None:
        """Write an entry, unless strangers cause too many."""
        if entry.role == _NOBODY and not self._is_allowed():
            self._left_out += 1
            return
        time = self._now().isoformat(timespec="milliseconds")
        line = _Line(**msgspec.structs.asdict(entry), time=time, left_out=self._left_out)
        self._left_out = 0
        self._file.append(msgspec.json.encode(line).decode() + "\n")

    def _is_allowed(self) -> bool:
        now = self._seconds()
        earned = (now - self._allowed_at) / 60.0 * STRANGERS_A_MINUTE
        self._allowance = min(STRANGERS_A_MINUTE, self._allowance + earned)
        self._allowed_at = now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True
