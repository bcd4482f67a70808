"""Who is connected: the registry of persistent connections of one printer's server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Literal

import msgspec
from attrs import define, field

from txraker.errors import BadRequest
from txraker.events import Notification
from txraker.interfaces import IConnection

ClientType = Literal["web", "mobile", "desktop", "display", "bot", "agent", "other"]


class ClientIdentity(msgspec.Struct, frozen=True):
    """What a client says of itself. Contract: ``server.connection.identify``."""

    client_name: str
    version: str
    type: ClientType
    url: str


@define(eq=False)
class Clients:
    """The connections there are. ``limit`` is how many may be open at once."""

    limit: int
    _connections: dict[int, IConnection] = field(factory=dict, init=False)
    _agents: dict[str, IConnection] = field(factory=dict, init=False)
    _ids: count[int] = field(factory=lambda: count(secrets.randbits(32) << 16), init=False)

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be over the limit."""
        return len(self._connections) >= self.limit

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

    def remove(self, connection: IConnection) -> None:
        """Forget a connection, known or not; an agent's name becomes free."""
        self._connections.pop(connection.connection_id, None)
        identity = connection.identity
        if identity is not None and self._agents.get(identity.client_name) is connection:
            del self._agents[identity.client_name]

    def identify(self, connection: IConnection, identity: ClientIdentity) -> None:
        """Note who a connection is.

        Raises BadRequest when it is known already, or when it is an agent whose name is taken.
        """
        if connection.identity is not None:
            raise BadRequest("Connection already identified")
        if identity.type == "agent":
            if identity.client_name in self._agents:
                raise BadRequest(f"Agent '{identity.client_name}' is already connected")
            self._agents[identity.client_name] = connection
        connection.identity = identity

    def broadcast(self, notification: Notification) -> None:
        """Tell every connection of an event."""
        text = notification.encode()
        for connection in self:
            connection.send(text)
