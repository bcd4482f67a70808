"""Who calls, from where and over what: the first argument of every endpoint."""

from __future__ import annotations

import enum

from attrs import frozen

from txraker.interfaces import IConnection


class Transport(enum.Flag):
    """The ways a request can reach us."""

    HTTP = enum.auto()
    JSONRPC_HTTP = enum.auto()
    WEBSOCKET = enum.auto()
    UNIX = enum.auto()

    PERSISTENT = WEBSOCKET | UNIX
    """Transports that keep a connection, to which notifications can be sent."""

    ALL = HTTP | JSONRPC_HTTP | PERSISTENT


@frozen
class Caller:
    """The origin of one request.

    ``address`` is the peer's IP address as text, or the peer's identity on a unix socket; ``trusted``
    says that ``[authorization]`` lets it use the API; ``connection`` is there on persistent transports.
    """

    transport: Transport
    address: str
    trusted: bool
    connection: IConnection | None = None
