"""Ends what connections may do whose owners wouldn't be let in any more."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from txraker.api.caller import NOBODY, Caller, Transport
from txraker.authorization.gate import Gate
from txraker.clients import Clients
from txraker.errors import Unauthorized

POLICY_VIOLATION = 1008


@define(eq=False)
class Sweep:
    """Goes through the connections. The unix socket is for whoever may open it."""

    _gate: Gate
    _clients: Clients

    def dismiss(self) -> None:
        """Let connections belong to who they are by their address alone, or to nobody, and end bridges."""
        for connection in self._clients:
            if connection.transport is not Transport.UNIX and not self._gate.is_current(connection.who):
                otherwise = connection.otherwise
                connection.authorize(otherwise if self._gate.is_current(otherwise) else NOBODY)
        for bridge in list(self._clients.bridges):
            if not self._gate.is_current(bridge.who):
                bridge.close(POLICY_VIOLATION, "Unauthorized")

    def still(self, caller: Caller) -> Callable[[], None]:
        """Return what raises Unauthorized once a caller wouldn't be let in any more."""

        def check() -> None:
            if caller.transport is not Transport.UNIX and not self._gate.is_current(caller.who):
                raise Unauthorized

        return check
