"""A connection to a D-Bus, by txdbus, on which everything ends in bounded time.

txdbus alone waits for ever for a bus that is silent or ends the connection during login, for the answer to a
call over a connection that has ended, and for other calls when the end of one makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txdbus.client import DBusClientConnection, DBusClientFactory
from txdbus.endpoints import getDBusEndpoints

from txraker.reactor import Reactor
from txraker.system.errors import SystemUnavailable

DEFAULT_ADDRESS = "unix:path=/run/dbus/system_bus_socket"

LOGIN_WITHIN = 5.0
"""Seconds for connecting to a bus, and again for logging in."""

_T = TypeVar("_T")


def bus_address(configured: str | None, environment: Mapping[str, str]) -> str:
    """Return the address of the system bus. Contract: the D-Bus specification, "Well-known Message Bus"."""
    return configured or environment.get("DBUS_SYSTEM_BUS_ADDRESS") or DEFAULT_ADDRESS


def within(clock: IReactorTime, seconds: float, what: str, answer: Deferred[_T]) -> Deferred[_T]:
    """Let something take only so long. Fails with SystemUnavailable when it takes longer."""

    def expired(result: _T | Failure, _seconds: float) -> _T | Failure:
        if isinstance(result, Failure) and result.check(CancelledError):
            raise SystemUnavailable(f"{what}: no answer within {seconds:g} seconds")
        return result

    return answer.addTimeout(seconds, clock, onTimeoutCancel=expired)


class BusConnection(DBusClientConnection):
    """txdbus's connection, for which nobody waits in vain when it ends."""

    factory: _ConnectionFactory
    busName: str | None

    def connectionLost(self, reason: Failure) -> None:
        """Fail everything that waits, each once, whatever one of them does then."""
        pending = getattr(self, "_pendingCalls", {})
        self._pendingCalls: dict[int, tuple[Deferred[Any], None]] = {}
        if self.busName is not None:
            super().connectionLost(reason)
        problem = SystemUnavailable(f"The connection to the bus has ended: {reason.getErrorMessage()}")
        if not self.factory.d.called:
            self.factory.d.errback(Failure(problem))
        for answer, _timeout in pending.values():
            answer.errback(Failure(problem))

    def callRemoteMessage(self, mcall: Any, timeout: float | None = None) -> Deferred[Any]:
        """Send a call, if there still is somebody to send it to."""
        if not self.transport.connected:
            return fail(SystemUnavailable("The connection to the bus has ended"))
        answer: Deferred[Any] = super().callRemoteMessage(mcall, timeout)
        return answer

    def notify_of_end(self, ended: Callable[[], None]) -> None:
        """Call something when the connection has ended."""
        self.notifyOnDisconnect(lambda _connection, _reason: ended())

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()


class _ConnectionFactory(DBusClientFactory):
    protocol = BusConnection
    noisy = False
    d: Deferred[BusConnection]

    def _failed(self, problem: Failure) -> None:
        if not self.d.called:
            self.d.errback(problem)

    def _ok(self, connection: BusConnection) -> None:
        if not self.d.called:
            self.d.callback(connection)


async def connect(reactor: Reactor, address: str) -> BusConnection:
    """Log in at the first bus of an address that is there. Raises SystemUnavailable with the reason."""
    reason = "the address is not understood"
    for endpoint in _endpoints(reactor, address):
        factory = _ConnectionFactory()
        protocol: Any = None
        try:
            protocol = await within(reactor, LOGIN_WITHIN, "connecting", endpoint.connect(factory))
            return await within(reactor, LOGIN_WITHIN, "logging in", factory.getConnection())
        except (CancelledError, ConnectingCancelledError):
            if protocol is not None:
                protocol.transport.abortConnection()
            raise CancelledError from None
        except Exception as problem:  # whatever the address, the bus or txdbus make of it, there is no bus
            reason = str(problem) or type(problem).__name__
            if protocol is not None:
                factory.d.addErrback(lambda _: None)
                protocol.transport.abortConnection()
    raise SystemUnavailable(f"No D-Bus at {address}: {reason}")


def _endpoints(reactor: Reactor, address: str) -> list[Any]:
    try:
        return list(getDBusEndpoints(reactor, address))
    except Exception:  # txdbus raises all sorts of things for addresses it doesn't know
        return []
