"""Autobahn's websocket protocol over Twisted's transports, without Autobahn's own package for Twisted.

That package brings WAMP, its serializers and cryptography, which a JSON-RPC server never uses: they are most
of what importing Autobahn costs in memory. It words a message for its log for each piece that is read, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txaio

txaio.use_twisted()  # before Autobahn's protocol is imported, which asks for it

from autobahn.websocket import protocol  # noqa: E402  # as above
from twisted.internet.interfaces import IReactorTime  # noqa: E402  # as above
from twisted.internet.protocol import Protocol, connectionDone  # noqa: E402  # as above
from twisted.protocols.policies import ProtocolWrapper  # noqa: E402  # as above
from twisted.python.failure import Failure  # noqa: E402  # as above
from twisted.web.server import Request  # noqa: E402  # as above

from txraker.reactor import Stream  # noqa: E402  # as above

_EVENTS = (
    "onOpen",
    "onMessageBegin",
    "onMessageFrameBegin",
    "onMessageFrameData",
    "onMessageFrameEnd",
    "onMessageFrame",
    "onMessageEnd",
    "onMessage",
    "onPing",
    "onPong",
    "onClose",
)
"""What Autobahn tells an application; it calls them by names with an underscore before."""


class WebSocketProtocol(Protocol, protocol.WebSocketServerProtocol):
    """The server's end of a websocket; what happens is told by the ``on...`` methods, as Autobahn has it."""

    log = txaio.make_logger()  # type: ignore[attr-defined]  # there since use_twisted()
    transport: Stream  # type: ignore[assignment]  # connected as long as it is used

    def connectionMade(self) -> None:
        """Begin."""
        self.peer = str(self.transport.getPeer())
        self.transport.setTcpNoDelay(True)
        self._connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        self._connectionLost(reason)  # type: ignore[arg-type]  # Autobahn just logs it

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        self._dataReceived(data)

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: N802  # Autobahn's name
        if abort:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def unregisterProducer(self) -> None:
        """Have the transport ask nobody for more, as Autobahn wishes before it closes."""
        self.transport.unregisterProducer()


def _calls(name: str) -> Callable[..., None]:
    """Return what Autobahn calls for something that happens: a method that calls the one for applications."""

    def call(self: WebSocketProtocol, *arguments: object) -> None:
        getattr(self, name)(*arguments)

    return call


for _event in _EVENTS:
    setattr(WebSocketProtocol, f"_{_event}", _calls(_event))


class WebSocketProtocolFactory(protocol.WebSocketServerFactory):
    """What protocols have in common; they are made elsewhere."""

    def __init__(self, reactor: IReactorTime, server: str) -> None:
        self.reactor = reactor
        super().__init__(server=server)


def take_over(request: Request, successor: WebSocketProtocol) -> None:
    """Give the connection of an upgrade's request to a protocol, which reads that request and answers it."""
    channel: Any = request.channel
    transport, channel.transport = channel.transport, None
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = successor
    else:
        transport.protocol = successor
    successor.makeConnection(transport)
    transport.resumeProducing()
    lines = [request.method + b" " + request.uri + b" HTTP/1.1"]
    lines += [name + b": " + b",".join(values) for name, values in request.requestHeaders.getAllRawHeaders()]
    successor.dataReceived(b"\r\n".join([*lines, b"", b""]))
