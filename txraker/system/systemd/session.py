"""systemd for as long as one connection to the bus lasts: calls, jobs, and units that are watched.

Contract: org.freedesktop.systemd1(5). A signal counts only when it comes from systemd itself: anybody on the
bus can send us one that looks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txdbus.error import RemoteError

from txraker.system.errors import SystemUnavailable
from txraker.system.services import UnitState
from txraker.system.systemd.bus import BusConnection, within

SYSTEMD = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
UNIT = f"{SYSTEMD}.Unit"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
LOGIN = "org.freedesktop.login1"
LOGIN_PATH = "/org/freedesktop/login1"
LOGIN_MANAGER = f"{LOGIN}.Manager"

CALL_WITHIN = 10.0
"""Seconds that a call may take."""

UnitChanged = Callable[[str, dict[str, Any]], None]
"""Takes a unit's object path and the properties of it that changed."""


@define(eq=False, repr=False)
class SystemdSession:
    """systemd as one connection to the bus reaches it.

    ``changed`` hears of changes of watched units, and ``ended`` fires when the session is over: the
    connection has ended or systemd has left the bus.
    """

    _clock: IReactorTime
    _connection: BusConnection
    _changed: UnitChanged
    ended: Deferred[None] = field(factory=Deferred, init=False)
    _owner: str = field(default="", init=False)
    _jobs: dict[str, list[Deferred[str]]] = field(factory=dict, init=False)
    _calling: int = field(default=0, init=False)
    _early: dict[str, str] = field(factory=dict, init=False)
    _doubting: bool = field(default=False, init=False)

    async def begin(self) -> None:
        """Listen to systemd. Raises SystemUnavailable when it isn't on the bus."""
        self._connection.notify_of_end(self._end)
        await self._listen(BUS, BUS_PATH, BUS, "NameOwnerChanged", self._owner_changed, SYSTEMD)
        try:
            self._owner = await self.call(BUS_PATH, BUS, "GetNameOwner", "s", [SYSTEMD], to=BUS)
        except RemoteError:
            raise SystemUnavailable("systemd is not on the bus") from None
        await self._listen(SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", self._job_removed)
        await self.call(MANAGER_PATH, MANAGER, "Subscribe")

    def close(self) -> None:
        """End the session."""
        self._connection.abort()

    def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        arguments: Sequence[object] = (),
        *,
        to: str = SYSTEMD,
    ) -> Deferred[Any]:
        """Call a method and return a Deferred of its result.

        Fails with RemoteError when it answers with an error, and with SystemUnavailable when it doesn't.
        """
        answer: Deferred[Any] = self._connection.callRemote(
            path,
            member,
            interface=interface,
            destination=to,
            signature=signature or None,
            body=list(arguments),
            autoStart=to == LOGIN,
        )
        return within(self._clock, CALL_WITHIN, f"{interface}.{member}", answer).addErrback(self._doubt)

    def _doubt(self, problem: Failure) -> Failure:
        """After a call without an answer, end the session of a bus that doesn't answer either."""
        if problem.check(SystemUnavailable) and not self._doubting and not self.ended.called:
            self._doubting = True
            asking = self._connection.callRemote(BUS_PATH, "GetId", interface=BUS, destination=BUS)
            within(self._clock, CALL_WITHIN, "the bus", asking).addCallbacks(
                lambda _: setattr(self, "_doubting", False), lambda _: self.close()
            )
        return problem

    async def state(self, unit: str) -> UnitState | None:
        """Return how a unit is doing at one moment; None when there is no such unit, or it is masked."""
        listed = await self.call(MANAGER_PATH, MANAGER, "ListUnitsByNames", "as", [[unit]])
        for _name, _words, loaded, active, sub, *_ in listed:
            if loaded == "loaded":
                return UnitState(active, sub)
        return None

    async def unit_property(self, path: str, name: str) -> Any:
        """Return a property of a unit."""
        return await self.call(path, PROPERTIES, "Get", "ss", [UNIT, name])

    async def watch(self, path: str) -> None:
        """Hear of a unit's changes from now on."""
        await self._listen(SYSTEMD, path, PROPERTIES, "PropertiesChanged", self._properties_changed, UNIT)

    async def job(self, method: str, unit: str, seconds: float) -> str:
        """Queue a job for a unit, wait for its end and return its result, ``done`` for one that succeeded.

        A job that somebody else replaces ends as ``canceled``. Raises RemoteError when systemd refuses the
        job, and SystemUnavailable when the end isn't heard of in time.
        """
        path = await self._queue(method, unit)
        ended: Deferred[str] = Deferred()
        waiting = self._jobs.setdefault(path, [])
        waiting.append(ended)  # one job may have been asked for under several names of a unit
        if path in self._early:
            ended.callback(self._early[path])
        try:
            return await within(self._clock, seconds, f"{method} {unit}", ended)
        finally:
            waiting.remove(ended)
            if not waiting:
                self._jobs.pop(path, None)
            self._forget_early()

    async def _queue(self, method: str, unit: str) -> str:
        self._calling += 1
        try:
            path: str = await self.call(MANAGER_PATH, MANAGER, method, "ss", [unit, "replace"])
        except BaseException:
            self._calling -= 1
            self._forget_early()
            raise
        self._calling -= 1
        return path

    def _forget_early(self) -> None:
        if not self._calling:
            self._early.clear()

    async def _listen(
        self,
        sender: str,
        path: str,
        interface: str,
        member: str,
        heard: Callable[[list[Any], str], None],
        first: str | None = None,
    ) -> None:
        """Hear a signal of ``sender``'s; with ``first`` only when that is its first argument."""

        def hear(message: Any) -> None:
            if message.sender == (BUS if sender == BUS else self._owner):
                heard(message.body, message.path)

        matching = self._connection.addMatch(
            hear,
            mtype="signal",
            sender=sender,
            path=path,
            interface=interface,
            member=member,
            arg=[(0, first)] if first else None,
        )
        await within(self._clock, CALL_WITHIN, f"listening to {member}", matching)

    def _job_removed(self, body: list[Any], _path: str) -> None:
        _number, job, _unit, result = body
        if self._calling:
            self._early[job] = result
        for ended in list(self._jobs.get(job, ())):
            if not ended.called:
                ended.callback(result)

    def _properties_changed(self, body: list[Any], path: str) -> None:
        _interface, changed, _invalidated = body
        self._changed(path, changed)

    def _owner_changed(self, body: list[Any], _path: str) -> None:
        _name, _before, owner = body
        if owner:
            self._owner = owner
        else:
            self._end("systemd has left the bus")
            self.close()

    def _end(self, reason: str = "The connection to the bus has ended") -> None:
        jobs, self._jobs = self._jobs, {}
        for ended in [ended for waiting in jobs.values() for ended in waiting]:
            if not ended.called:
                ended.errback(Failure(SystemUnavailable(reason)))
        if not self.ended.called:
            self.ended.callback(None)
