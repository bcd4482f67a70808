"""Ends what connections may do whose owners wouldn't be let in any more."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from txraker.api.caller import NOBODY, TRUSTED, Caller, Transport
from txraker.authorization.gate import Gate
from txraker.clients import POLICY_VIOLATION, Bridge, Clients
from txraker.errors import Unauthorized
from txraker.interfaces import IConnection


@define(eq=False, repr=False)
class Sweep:
    """Goes through the connections. Who may open the unix socket is trusted on it."""

    _gate: Gate
    _clients: Clients

    def dismiss(self) -> None:
        """Let connections belong to who they are by their address alone, or to nobody, and end bridges."""
        for connection in self._clients:
            if connection.transport is Transport.UNIX:
                if connection.who is not TRUSTED and not self._gate.is_current(connection.who):
                    connection.authorize(TRUSTED)
            elif not self._may_stay(connection):
                may_be = connection.otherwise is TRUSTED and self._trusts(connection.address)
                connection.authorize(TRUSTED if may_be else NOBODY)
        for bridge in list(self._clients.bridges):
            if not self._may_stay(bridge):
                bridge.close(POLICY_VIOLATION, "Unauthorized")

    def _may_stay(self, client: IConnection | Bridge) -> bool:
        if client.who is TRUSTED:
            return self._trusts(client.address)
        return self._gate.is_current(client.who)

    def _trusts(self, address: str) -> bool:
        return self._gate.who_comes_from((address,)) is TRUSTED

    def still(self, caller: Caller) -> Callable[[], None]:
        """Return what raises Unauthorized once a caller wouldn't be let in any more."""

        def check() -> None:
            if caller.transport is not Transport.UNIX and not self._gate.is_current(caller.who):
                raise Unauthorized

        return check
