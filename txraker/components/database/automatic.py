"""Backups that nobody has to ask for: one a day, if something was changed, and never while printing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txraker.errors import ApiError
from txraker.faults import FaultReport, run_aside
from txraker.storage.backups import Backups
from txraker.storage.maintenance import Maintain

FIRST_AFTER: Final = 120.0
"""Seconds after the start until it is looked for the first time: a machine that boots has enough to do."""

LOOK_EVERY: Final = 3600.0
"""Seconds between one look and the next. To look writes nothing."""


@define(eq=False, repr=False)
class AutomaticBackups:
    """Looks from time to time whether a backup is due."""

    _clock: IReactorTime
    _maintain: Maintain
    _backups: Backups
    _is_printing: Callable[[], Awaitable[bool]]
    _report_fault: FaultReport
    _log: Logger
    _next: IDelayedCall | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to look."""
        self._next = self._clock.callLater(FIRST_AFTER, self._look_aside)

    def stop(self) -> None:
        """Look no more."""
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _look_aside(self) -> None:
        self._next = self._clock.callLater(LOOK_EVERY, self._look_aside)
        run_aside(self._look(), "an automatic backup", self._report_fault)

    async def _look(self) -> None:
        try:
            if await self._is_printing():
                return
            made = await self._maintain(self._backups.make_if_due)
        except ApiError as problem:
            self._log.warn("There can be no automatic backup: {problem}", problem=problem)
        else:
            if made is not None:
                self._log.info("The database was backed up to {path}", path=made)
