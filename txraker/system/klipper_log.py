"""Klipper's log file. Klipper has it open, so its service is stopped while the file is put aside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from txraker.errors import ApiError, KlippyDisconnected, KlippyNotConnected, Unavailable
from txraker.events import StatusUpdate
from txraker.interfaces import IKlippy, ILogFile, IStatusFeed, ISystem
from txraker.reactor import OffThread
from txraker.system.errors import NoSuchService, NotPermitted, NotSupported, RolloverFailed, SystemUnavailable
from txraker.system.instances import Instances
from txraker.system.logfile import local_now
from txraker.system.rolled import LogLimits, prune, put_aside

ANSWER_WITHIN = 5.0
"""Seconds that Klippy may take to say whether it is printing."""

START_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between attempts to start Klipper again while nobody can be asked to."""

_BUSY = {"print_stats": ("printing", "paused"), "idle_timeout": ("Printing",)}
"""The printer objects whose ``state`` tells of a print, be it from the virtual SD card or from elsewhere."""


@implementer(ILogFile)
@define(eq=False)
class KlipperLog:
    """Provides ILogFile. Whatever goes wrong once Klipper was told to stop, it is started again."""

    _clock: IReactorTime
    _klippy: IKlippy
    _status: IStatusFeed
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
        await self._refuse_while_printing()
        if not path.is_file():
            raise RolloverFailed(f"No file at {path} exists, cannot perform rollover")
        return await self._without_klipper(unit, path)

    def _path(self) -> Path:
        host = self._klippy.host
        if host is None or host.log_file is None:
            raise Unavailable("Unable to detect path to Klipper log file")
        return Path(host.log_file)

    async def _refuse_while_printing(self) -> None:
        if self._klippy.state != "ready":
            return
        asking = self._status.query({name: ["state"] for name in _BUSY})
        answer: Deferred[StatusUpdate] = Deferred.fromCoroutine(_awaited(asking))
        try:
            update = await answer.addTimeout(ANSWER_WITHIN, self._clock)
        except (KlippyNotConnected, KlippyDisconnected):
            return
        except (DeferredTimeout, ApiError):
            raise Unavailable("Klippy doesn't say whether it is printing") from None
        if any(update.status.get(name, {}).get("state") in busy for name, busy in _BUSY.items()):
            raise RolloverFailed("Cannot rollover log while printing")

    async def _without_klipper(self, unit: str, path: Path) -> Path:
        """Stop Klipper, put its log aside, and start it again whatever came of that."""
        self._log.info("Stopping {unit} to roll over {path}", unit=unit, path=path)
        problems = []
        target = path
        try:
            await self._system.stop_unit(unit)
            target = await self._off_thread(lambda: put_aside(path, self._now()))
        except (NotPermitted, NoSuchService, NotSupported):
            raise  # it was not stopped
        except ApiError as problem:
            problems.append(str(problem))
        try:
            await self._start(unit)
        except ApiError as problem:
            problems.append(str(problem))
        if problems:
            self._log.error("The rollover of {path} failed: {problems}", path=path, problems=problems)
            raise RolloverFailed("; ".join(problems))
        await self._off_thread(lambda: prune(path, self._limits))
        return target

    async def _start(self, unit: str) -> None:
        for pause in START_PAUSES:
            try:
                await self._system.start_unit(unit)
            except SystemUnavailable as problem:
                self._log.warn("{unit} is not started yet: {problem}", unit=unit, problem=str(problem))
                await deferLater(self._clock, pause)
            else:
                return
        await self._system.start_unit(unit)


async def _awaited(asking: object) -> StatusUpdate:
    update: StatusUpdate = await asking  # type: ignore[misc]  # any awaitable
    return update
