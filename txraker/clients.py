"""Who is connected: the registry of persistent connections of one printer's server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Literal, Protocol

import msgspec
from attrs import define, field

from txraker.access import origin
from txraker.api.caller import Role, Transport, Who
from txraker.errors import BadRequest
from txraker.events import AgentConnected, AgentDisconnected, Events, Notification
from txraker.interfaces import IConnection
from txraker.outgoing import Outgoing

POLICY_VIOLATION = 1008
"""The close code (RFC 6455) for who may not be connected any more."""

ClientType = Literal["web", "mobile", "desktop", "display", "bot", "agent", "other"]


class ClientIdentity(msgspec.Struct, frozen=True):
    """What a client says of itself. Contract: ``server.connection.identify``."""

    client_name: str
    version: str
    type: ClientType
    url: str


class Bridge(Protocol):
    """A websocket that counts, but takes no part in the API."""

    address: str
    who: Who

    def close(self, code: int, reason: str) -> None:
        """End in an orderly way."""

    def abort(self) -> None:
        """End at once."""


@define(eq=False, repr=False)
class Clients:
    """The connections there are. ``limit`` is how many websockets may be open at once.

    ``bridges`` are among them.
    """

    limit: int
    _events: Events
    bridges: set[Bridge] = field(factory=set, init=False)
    _connections: dict[int, IConnection] = field(factory=dict, init=False)
    _websockets: dict[int, IConnection] = field(factory=dict, init=False)
    _agents: dict[str, IConnection] = field(factory=dict, init=False)
    _ids: count[int] = field(factory=lambda: count(secrets.randbits(32) << 16), init=False)

    @property
    def websocket_count(self) -> int:
        """How many websockets are open."""
        return len(self._websockets) + len(self.bridges)

    def has_room(self, address: str, *, is_local: bool, is_known: bool = True) -> bool:
        """Say whether one more websocket from an address is within the limit.

        A tenth of the connections is kept for this machine; no other address may have more than half. Those
        who haven't said who they are may have a third of all connections, and from one address a tenth.
        """
        place = origin(address)
        if not is_known:
            strangers = [other for other in self._websockets.values() if other.who.role is Role.NOBODY]
            from_there = sum(origin(other.address) == place for other in strangers)
            if len(strangers) >= max(1, self.limit // 3) or from_there >= max(1, self.limit // 10):
                return False
        if is_local:
            return self.websocket_count < self.limit
        others: list[IConnection | Bridge] = [*self._websockets.values(), *self.bridges]
        of_address = sum(origin(other.address) == place for other in others)
        return self.websocket_count < self.limit - self.limit // 10 and of_address < max(1, self.limit // 2)

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[IConnection]:
        return iter(list(self._connections.values()))

    def new_id(self) -> int:
        """Return a connection id that was never given before; it fits a JavaScript number (2**53)."""
        return next(self._ids)

    def add(self, connection: IConnection) -> None:
        """Count a connection that is open now."""
        self._connections[connection.connection_id] = connection
        if connection.transport is Transport.WEBSOCKET:
            self._websockets[connection.connection_id] = connection

    def remove(self, connection: IConnection) -> None:
        """Forget a connection, known or not; an agent's name becomes free."""
        self._connections.pop(connection.connection_id, None)
        self._websockets.pop(connection.connection_id, None)
        identity = connection.identity
        if identity is not None and self._agents.get(identity.client_name) is connection:
            del self._agents[identity.client_name]
            self._events.emit(AgentDisconnected(connection))

    def identify(self, connection: IConnection, identity: ClientIdentity) -> None:
        """Note who a connection is.

        Raises BadRequest when it is known already, or when it is an agent whose name is taken.
        """
        if connection.identity is not None:
            raise BadRequest("Connection already identified")
        if identity.type == "agent" and identity.client_name in self._agents:
            raise BadRequest(f"Agent '{identity.client_name}' is already connected")
        connection.identity = identity
        if identity.type == "agent":
            self._agents[identity.client_name] = connection
            self._events.emit(AgentConnected(connection))

    def agent(self, name: str) -> IConnection | None:
        """Return the connection of an agent, if it is connected."""
        return self._agents.get(name)

    def agents(self) -> list[ClientIdentity]:
        """Return who the connected agents are."""
        return [connection.identity for connection in self._agents.values()]

    def broadcast(self, notification: Notification, *, except_for: IConnection | None = None) -> None:
        """Tell every connection whose client is known of an event; it is encoded once."""
        outgoing = Outgoing(notification.encode())
        for connection in self:
            if connection is not except_for and connection.who.role is not Role.NOBODY:
                connection.tell(outgoing)
