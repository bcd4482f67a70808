"""ISystem on systemd, over the system bus, for as long as the process lives: the bus may come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txdbus.error import RemoteError
from zope.interface import implementer

from txraker.errors import ApiError
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import ISystem
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system.errors import (
    PERMISSION_WARNING,
    JobFailed,
    NoSuchService,
    NotPermitted,
    SystemUnavailable,
)
from txraker.system.services import PowerAction, UnitState, is_service
from txraker.system.systemd.bus import connect
from txraker.system.systemd.session import (
    LOGIN,
    LOGIN_MANAGER,
    LOGIN_PATH,
    MANAGER,
    MANAGER_PATH,
    SystemdSession,
)

JOB_WITHIN = 30.0
"""Seconds that starting or stopping a service may take."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to reach the bus; each pause is twice as long as the one before."""

SUCCEEDED = ("done", "skipped")

_STOPPED: Final = "The server stops"
_WARNING: Final = "system bus"
_REFUSALS: Final = (
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.AuthFailed",
    "org.freedesktop.PolicyKit1.Error.NotAuthorized",
)
_UNKNOWN_UNIT: Final = (
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.systemd1.LoadFailed",
    "org.freedesktop.DBus.Error.InvalidArgs",
)
_GONE: Final = tuple(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("NoReply", "Disconnected", "Timeout", "TimedOut", "NameHasNoOwner", "ServiceUnknown")
)
_NO_UNIT: Final = "org.freedesktop.systemd1.NoUnitForPID"
_NO_LOGIND: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.systemd1.UnitMasked",
)
_POWER_METHODS: Final[dict[PowerAction, str]] = {"poweroff": "PowerOff", "halt": "Halt", "reboot": "Reboot"}


@implementer(ISystem)
@define(eq=False, repr=False)
class SystemdOverBus:
    """Provides ISystem. It connects when it starts, and again whenever the bus is back or somebody asks."""

    _reactor: Reactor
    _address: str
    _user: str
    _warnings: ServerWarnings
    _report_fault: FaultReport
    _log: Logger
    _power_without_logind: Callable[[PowerAction], Awaitable[None]]

    provider: str = field(default="systemd_dbus", init=False)
    _session: SystemdSession | None = field(default=None, init=False)
    _life: Deferred[None] | None = field(default=None, init=False)
    _is_stopped: bool = field(default=False, init=False)
    _waiting: list[Deferred[SystemdSession]] = field(factory=list, init=False)
    _wake_up: Callable[[], None] | None = field(default=None, init=False)
    _locks: dict[str, DeferredLock] = field(factory=dict, init=False)
    _watchers: dict[str, Callable[[UnitState], None]] = field(factory=dict, init=False)
    _watched: dict[str, set[str]] = field(factory=dict, init=False)
    _states: dict[str, UnitState] = field(factory=dict, init=False)

    def start(self) -> None:
        self._life = run_aside(self._stay_connected(), "talking to systemd", self._report_fault)

    def stop(self) -> None:
        session = self._session
        self._is_stopped = True
        if self._life is not None:
            self._life.cancel()
        self._disappoint(SystemUnavailable(_STOPPED))
        if session is not None:
            session.close()

    async def start_unit(self, unit: str) -> None:
        await self._job("StartUnit", unit, "start", "active", "activating")

    async def stop_unit(self, unit: str) -> None:
        await self._job("StopUnit", unit, "stop", "inactive", "failed")

    async def restart_unit(self, unit: str) -> None:
        await self._job("RestartUnit", unit, "restart", "active", "activating")

    async def state(self, unit: str) -> UnitState | None:
        session = await self._connected()
        with self._translated(f"look at {unit}"):
            return await session.state(unit)

    async def installed(self, patterns: Iterable[str]) -> list[str]:
        session = await self._connected()
        wanted = list(patterns)
        with self._translated("list services"):
            files = await session.call(MANAGER_PATH, MANAGER, "ListUnitFilesByPatterns", "asas", [[], wanted])
            loaded = await session.call(MANAGER_PATH, MANAGER, "ListUnitsByPatterns", "asas", [[], wanted])
        names = [path.rpartition("/")[2] for path, _enabled in files] + [unit[0] for unit in loaded]
        return sorted({name for name in names if "@." not in name})

    async def unit_of_process(self, process_id: int) -> str | None:
        session = await self._connected()
        try:
            path = await session.call(MANAGER_PATH, MANAGER, "GetUnitByPID", "u", [process_id])
            unit: str = await session.unit_property(path, "Id")
        except RemoteError as error:
            if error.errName == _NO_UNIT:
                return None
            raise self._translation("find a process's service", error) from None
        return unit if is_service(unit) else None

    async def watch(self, unit: str, changed: Callable[[UnitState], None]) -> None:
        self._watchers[unit] = changed
        self._states.pop(unit, None)
        if self._session is not None:
            await self._watch(self._session, unit)

    async def power(self, action: PowerAction) -> None:
        session = await self._connected()
        try:
            await session.call(LOGIN_PATH, LOGIN_MANAGER, _POWER_METHODS[action], "b", [False], to=LOGIN)
        except RemoteError as error:
            if error.errName not in _NO_LOGIND:
                raise self._translation(f"{action} the machine", error) from None
            await self._power_without_logind(action)

    async def _job(self, method: str, unit: str, verb: str, *satisfied: str) -> None:
        """Run a job after those that the unit has already; ``satisfied`` are the states that were wanted."""
        lock = self._locks.setdefault(unit, DeferredLock())
        await lock.acquire()
        try:
            session = await self._connected()
            with self._translated(f"{verb} {unit}"):
                result = await session.job(method, unit, JOB_WITHIN)
            if result not in SUCCEEDED:
                await self._judge(unit, verb, result, satisfied)
            self._warnings.drop(PERMISSION_WARNING)
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(unit, None)

    async def _judge(self, unit: str, verb: str, result: str, satisfied: tuple[str, ...]) -> None:
        """Raise JobFailed, unless what was wanted came true by somebody else's doing."""
        state = await self.state(unit)
        now = f"{state.active_state} ({state.sub_state})" if state is not None else "gone"
        if result != "canceled" or state is None or state.active_state not in satisfied:
            how = "was replaced by another job" if result == "canceled" else f"ended as {result}"
            raise JobFailed(f"Can't {verb} {unit}: the job {how}, the unit is {now}")

    async def _connected(self) -> SystemdSession:
        """Return the session there is, or the one that an attempt right now makes."""
        if self._session is not None:
            return self._session
        if self._is_stopped:
            raise SystemUnavailable(_STOPPED)
        waiting: Deferred[SystemdSession] = Deferred()
        self._waiting.append(waiting)
        if self._wake_up is not None:
            self._wake_up()
        return await waiting

    async def _stay_connected(self) -> None:
        pause = FIRST_PAUSE
        while not self._is_stopped:
            try:
                session = await self._log_in()
            except SystemUnavailable as problem:
                self._warnings.put(_WARNING, f"Services can't be managed: {problem}")
                self._disappoint(problem)
                if not self._waiting:  # whoever was disappointed may ask again at once
                    await self._sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                pause = FIRST_PAUSE
                self._warnings.drop(_WARNING)
                await self._live(session)

    async def _log_in(self) -> SystemdSession:
        connection = await connect(self._reactor, self._address)
        session = SystemdSession(self._reactor, connection, self._unit_changed)
        try:
            await session.begin()
        except RemoteError as error:
            session.close()
            raise SystemUnavailable(f"systemd can't be talked to: {_words(error)}") from None
        except (SystemUnavailable, CancelledError):
            session.close()
            raise
        return session

    async def _live(self, session: SystemdSession) -> None:
        """Be connected, as long as that lasts."""
        self._session = session
        self._log.info("Connected to systemd over {address}", address=self._address)
        waiting, self._waiting = self._waiting, []
        for asking in waiting:
            asking.callback(session)
        run_aside(self._watch_all(session), "watching services", self._report_fault, ApiError)
        try:
            await session.ended
        finally:
            self._session = None
            self._watched.clear()
        self._log.info("Disconnected from systemd")

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody asks for a connection."""
        woken: Deferred[None] = Deferred()
        alarm: IDelayedCall = self._reactor.callLater(seconds, woken.callback, None)

        def wake_up() -> None:
            if alarm.active():
                alarm.cancel()
                woken.callback(None)

        self._wake_up = wake_up
        try:
            await woken
        finally:
            self._wake_up = None
            if alarm.active():
                alarm.cancel()

    def _disappoint(self, problem: SystemUnavailable) -> None:
        waiting, self._waiting = self._waiting, []
        for asking in waiting:
            asking.errback(problem)

    async def _watch_all(self, session: SystemdSession) -> None:
        for unit in list(self._watchers):
            await self._watch(session, unit)

    async def _watch(self, session: SystemdSession, unit: str) -> None:
        """Begin to watch a unit; one that has several names is watched under each."""
        with self._translated(f"watch {unit}"):
            path = await session.call(MANAGER_PATH, MANAGER, "LoadUnit", "s", [unit])
            if path not in self._watched:
                self._watched[path] = set()
                await session.watch(path)
            self._watched[path].add(unit)
            state = await session.state(unit)
        if state is not None:
            self._tell(unit, state)

    def _unit_changed(self, path: str, properties: dict[str, Any]) -> None:
        if "ActiveState" in properties and "SubState" in properties:
            for unit in self._watched.get(path, ()):
                self._tell(unit, UnitState(properties["ActiveState"], properties["SubState"]))

    def _tell(self, unit: str, state: UnitState) -> None:
        if self._states.get(unit) != state and unit in self._watchers:
            self._states[unit] = state
            self._watchers[unit](state)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except RemoteError as error:
            raise self._translation(what, error) from None

    def _translation(self, what: str, error: RemoteError) -> ApiError:
        words = _words(error)
        if error.errName in _REFUSALS:
            refusal = f"The user {self._user} may not {what}: {words}"
            self._warnings.put(PERMISSION_WARNING, refusal)
            return NotPermitted(refusal)
        if error.errName in _UNKNOWN_UNIT:
            return NoSuchService(f"Can't {what}: {words}")
        if error.errName in _GONE:
            return SystemUnavailable(f"Can't {what}: {words}")
        return JobFailed(f"Can't {what}: {words}")


def _words(error: RemoteError) -> str:
    return str(error.message or error.errName)
