"""``server.connection.*`` and ``server.websocket.*``: what a persistent connection says and hears of itself.

Contract: "Identify Connection" and "Get Websocket ID" of the server administration document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from attrs import define
from msgspec import Meta

from txraker.api.audit import AuditEntry, audit_entry
from txraker.api.caller import Caller, Role, Transport
from txraker.api.endpoint import endpoint
from txraker.authorization.gate import Gate
from txraker.clients import ClientIdentity, Clients, ClientType
from txraker.errors import BadRequest, Forbidden, Unauthorized
from txraker.interfaces import IConnection


class ConnectionId(msgspec.Struct, frozen=True):
    """The answer to an identification."""

    connection_id: int


class WebsocketId(msgspec.Struct, frozen=True):
    """The answer to the deprecated question for the id."""

    websocket_id: int


@define(eq=False, repr=False)
class ConnectionEndpoints:
    """Lets clients say who they are, and show that they may."""

    _clients: Clients
    _gate: Gate
    _audit: Callable[[AuditEntry], None]

    @endpoint(
        "server.connection.identify",
        reads_only=False,
        role=Role.NOBODY,
        audit=("client_name", "version", "type"),
    )
    async def identify(
        self,
        caller: Caller,
        *,
        client_name: Annotated[
            str, Meta(min_length=1, max_length=256, description="The application, e.g. `Mainsail`.")
        ],
        version: Annotated[str, Meta(max_length=256, description="The application's version.")],
        type: Annotated[ClientType, Meta(description="What kind of application it is.")],
        url: Annotated[str, Meta(max_length=2048, description="The application's home page.")],
        access_token: Annotated[
            str | None, Meta(description="A user's token or an API token; not needed by one that is known.")
        ] = None,
        api_key: Annotated[
            str | None, Meta(description="The API key or an API token; not needed by a trusted client.")
        ] = None,
    ) -> ConnectionId:
        """Identify the application at the other end of this connection.

        It succeeds once for a connection. An agent's name is taken for as long as the agent is connected. A
        client that isn't known yet must show a token or the API key, and is known from then on.
        An agent needs the role operator.
        """
        connection = _connection(caller)
        who = caller.who
        if access_token:
            who = self._gate.who_has_token(access_token)
        elif api_key:
            who = self._gate.who_has_key(api_key)
        if who.role is Role.NOBODY:
            raise Unauthorized
        if type == "agent" and who.role < Role.OPERATOR:
            raise Forbidden("An agent needs the role operator")
        self._clients.identify(connection, ClientIdentity(client_name, version, type, url))
        connection.authorize(who)
        if access_token or api_key:
            self._audit(
                audit_entry("let in", "server.connection.identify", msgspec.structs.replace(caller, who=who))
            )
        return ConnectionId(connection.connection_id)

    @endpoint("server.websocket.id", transports=Transport.PERSISTENT, reads_only=True, role=Role.NOBODY)
    async def websocket_id(self, caller: Caller) -> WebsocketId:
        """Return the id of this connection. Deprecated: `server.connection.identify` tells it, too."""
        return WebsocketId(_connection(caller).connection_id)


def _connection(caller: Caller) -> IConnection:
    if caller.connection is None:
        raise BadRequest("Only a persistent connection has an identity")
    return caller.connection
