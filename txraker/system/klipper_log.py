"""Klipper's log file. Klipper has it open, so its service is stopped while the file is put aside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from txraker.errors import ApiError, KlippyDisconnected, KlippyNotConnected, Unavailable
from txraker.interfaces import IKlippy, ILogFile, ISystem
from txraker.klippy.printing import PrintInProgress
from txraker.reactor import OffThread
from txraker.system.errors import (
    JobFailed,
    NoSuchService,
    NotPermitted,
    NotSupported,
    RolloverFailed,
    SystemUnavailable,
)
from txraker.system.instances import Instances
from txraker.system.logfile import local_now
from txraker.system.rolled import LogLimits, prune, put_aside

START_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between attempts to start Klipper again while nobody can be asked to."""

FAILURES = 4
"""Attempts after a start that failed: the pauses outlast systemd's limit on starts within ten seconds."""

GONE_WITHIN = 2.0
"""Seconds after the stop of its service in which Klippy's connection must have ended."""

RENAME_WITHIN = 10.0
"""Seconds that renaming may take, be the disk as slow as it is, before Klipper is started all the same."""

_LOOK_EVERY = 0.05


@implementer(ILogFile)
@define(eq=False, repr=False)
class KlipperLog:
    """Provides ILogFile. Whatever goes wrong once Klipper was told to stop, it is started again."""

    _clock: IReactorTime
    _klippy: IKlippy
    _printing: PrintInProgress
    _system: ISystem
    _instances: Instances
    _off_thread: OffThread
    _limits: LogLimits
    _log: Logger
    _now: Callable[[], datetime] = field(default=local_now)

    async def rollover(self) -> Path:
        unit = await self._instances.klipper_unit()
        if unit is None:
            raise Unavailable("Unable to detect Klipper Service, cannot perform manual rollover")
        path = self._path()
        await self._refuse_while_printing(unit)
        if not path.is_file():
            raise RolloverFailed(f"No file at {path} exists, cannot perform rollover")
        return await self._without_klipper(unit, path)

    def where(self) -> Path | None:
        """Return where the file is, None when Klippy hasn't said."""
        host = self._klippy.host
        return Path(host.log_file) if host is not None and host.log_file is not None else None

    def _path(self) -> Path:
        path = self.where()
        if path is None:
            raise Unavailable("Unable to detect path to Klipper log file")
        return path

    async def _refuse_while_printing(self, unit: str) -> None:
        """Raise RolloverFailed while there is a print, or may be one for all we can find out."""
        is_printing: bool | None = None
        try:
            is_printing = await self._printing.ask()
        except (KlippyNotConnected, KlippyDisconnected):
            state = await self._system.state(unit)
            is_running = state is not None and state.active_state not in ("inactive", "failed")
            is_printing = None if is_running else False
        except ApiError:
            pass  # it may be
        if is_printing is None:
            raise Unavailable("Klippy doesn't say whether it is printing")
        if is_printing:
            raise RolloverFailed("Cannot rollover log while printing")

    async def _without_klipper(self, unit: str, path: Path) -> Path:
        """Stop Klipper, put its log aside, and start it again whatever came of that.

        One that somebody had stopped stays so.
        """
        self._log.info("Stopping {unit} to roll over {path}", unit=unit, path=path)
        failure: Exception | None = None
        target = path
        before = await self._system.state(unit)
        try:
            target = await self._stop_and_put_aside(unit, path)
        except (NotPermitted, NoSuchService, NotSupported):
            raise  # it was not stopped
        except Exception as problem:  # told when Klipper has been started
            failure = problem
        reasons = [] if failure is None else [str(failure)]
        try:
            if before is None or before.active_state != "inactive":
                await self._start(unit)
        except ApiError as problem:
            reasons.append(str(problem))
        if failure is not None and not isinstance(failure, ApiError):
            raise failure
        if reasons:
            self._log.error("The rollover of {path} failed: {reasons}", path=path, reasons=reasons)
            raise RolloverFailed("; ".join(reasons))
        await self._off_thread(lambda: prune(target, self._limits))
        return target

    async def _stop_and_put_aside(self, unit: str, path: Path) -> Path:
        await self._system.stop_unit(unit)
        deadline = self._clock.seconds() + GONE_WITHIN
        while self._klippy.connected:
            if self._clock.seconds() >= deadline:
                raise RolloverFailed("Klipper still runs, though its service has stopped")
            await deferLater(self._clock, _LOOK_EVERY)
        renaming = self._off_thread(lambda: put_aside(path, self._now()))
        try:
            return await renaming.addTimeout(RENAME_WITHIN, self._clock)
        except DeferredTimeout:
            raise RolloverFailed(f"Can't rename {path.name}: the disk doesn't answer") from None

    async def _start(self, unit: str) -> None:
        """Start Klipper, again and again for a while if need be. Raises what the last attempt does."""
        for number, pause in enumerate((*START_PAUSES, None)):
            try:
                await self._system.start_unit(unit)
            except (SystemUnavailable, JobFailed) as problem:
                if pause is None or (number == FAILURES and isinstance(problem, JobFailed)):
                    raise
                self._log.warn("{unit} is not started yet: {problem}", unit=unit, problem=str(problem))
            else:
                return
            await deferLater(self._clock, pause)
