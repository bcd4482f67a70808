"""The websocket: JSON-RPC in text frames, notifications the other way.

The upgrade is a resource of the web tree; after it the connection belongs to Autobahn's protocol.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker import __version__
from txraker.api.caller import Caller, Transport
from txraker.api.dispatch import Dispatcher
from txraker.clients import ClientIdentity, Clients
from txraker.errors import BadRequest, Forbidden, MethodNotAllowed, Unauthorized, Unavailable
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IConnection, IStatusFeed, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery
from txraker.transports.web.cors import is_foreign
from txraker.transports.web.request import TrackedChannel
from txraker.transports.web.resources import Door, Leaf

LONGEST_MESSAGE = 5 * 1024 * 1024
"""Bytes of one message from a client; a longer one ends the connection with code 1009."""

PING_INTERVAL = 10.0
PONG_WITHIN = 20.0
CLOSE_WITHIN = 1.0
"""Seconds a client has to answer a close frame before the connection is cut."""

GOING_AWAY = 1001


@implementer(IConnection, IStatusSubscriber)
class ApiWebSocket(WebSocketServerProtocol):
    """One client."""

    identity: ClientIdentity | None = None

    def __init__(self, server: ApiWebSocketFactory, address: str) -> None:
        super().__init__()
        self._server = server
        self.connection_id = server.clients.new_id()
        self._caller = Caller(Transport.WEBSOCKET, address, trusted=True, connection=self)

    def onOpen(self) -> None:
        """Count the client."""
        self._server.clients.add(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a message; requests run side by side and are answered as they finish."""
        run_aside(self._answer(payload), "a websocket message", self._server.report_fault)

    async def _answer(self, payload: bytes) -> None:
        answer = await self._server.dispatcher.answer(payload, self._caller)
        if answer is not None:
            self.send(answer)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Forget the client and what it subscribed to."""
        self._server.clients.remove(self)
        self._server.status.unsubscribe(self)

    def send(self, text: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(text)

    def status_changed(self, delivery: Delivery) -> None:
        self.send(delivery.text)

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode())
        else:
            self.dropConnection(abort=True)


class ApiWebSocketFactory(WebSocketServerFactory):
    """What the clients of one printer share."""

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        dispatcher: Dispatcher,
        clients: Clients,
        status: IStatusFeed,
        report_fault: FaultReport,
    ) -> None:
        super().__init__(server=f"txraker/{__version__}", reactor=reactor)
        self.dispatcher = dispatcher
        self.clients = clients
        self.status = status
        self.report_fault = report_fault
        self.setProtocolOptions(
            maxMessagePayloadSize=LONGEST_MESSAGE,
            failByDrop=False,
            closeHandshakeTimeout=CLOSE_WITHIN,
            openHandshakeTimeout=5,
            autoPingInterval=PING_INTERVAL,
            autoPingTimeout=PONG_WITHIN,
            tcpNoDelay=True,
        )

    def connect(self, address: str) -> ApiWebSocket:
        """Return the protocol of a new client."""
        protocol = ApiWebSocket(self, address)
        protocol.factory = self
        return protocol


@implementer(IResource)
class WebSocketGate(Leaf):
    """``/websocket``: lets trusted clients through the upgrade while there is room."""

    def __init__(self, door: Door, factory: ApiWebSocketFactory) -> None:
        super().__init__(door)
        self._factory = factory

    def respond(self, request: Request) -> None:
        """Upgrade the connection, or say why not."""
        if request.method != b"GET":
            raise MethodNotAllowed("A websocket is opened by GET", ("GET",))
        caller = self.door.caller(request, Transport.WEBSOCKET)
        if not caller.trusted:
            raise Unauthorized
        if is_foreign(request, self.door.access):
            raise Forbidden("Cross origin websockets not allowed")
        if (request.getHeader("Upgrade") or "").lower() != "websocket":
            raise BadRequest('Can "Upgrade" only to "WebSocket".')
        if self._factory.clients.is_full:
            raise Unavailable("The maximum number of websocket connections is reached")
        channel: TrackedChannel = request.channel  # type: ignore[assignment]  # our site makes no others
        channel.release()
        WebSocketResource(_OneProtocol(self._factory.connect(caller.address))).render(request)


class _OneProtocol:
    """The factory Autobahn's resource asks for a protocol: it was made already, for a caller we know."""

    def __init__(self, protocol: ApiWebSocket) -> None:
        self._protocol = protocol

    def buildProtocol(self, _address: Any) -> ApiWebSocket:
        """Return the protocol."""
        return self._protocol
