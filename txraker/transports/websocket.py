"""The websocket: JSON-RPC in text frames, notifications the other way.

The upgrade is a resource of the web tree; after it the connection belongs to Autobahn's protocol.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker import __version__
from txraker.access import is_loopback
from txraker.api.caller import Caller, Transport
from txraker.clients import POLICY_VIOLATION
from txraker.errors import BadRequest, MethodNotAllowed, Unavailable
from txraker.transports.frames import text_frame
from txraker.transports.link import Link, LinkService
from txraker.transports.stream import Reading, StreamWriter
from txraker.transports.web.channel import TrackedChannel
from txraker.transports.web.cors import header
from txraker.transports.web.request import LONGEST_UNTRUSTED_BODY
from txraker.transports.web.resources import Door, Leaf
from txraker.transports.websocket_protocol import WebSocketProtocol, WebSocketProtocolFactory, take_over

LONGEST_MESSAGE = 5 * 1024 * 1024
"""Bytes of one message from a client; a longer one ends the connection with code 1009."""

MOST_FRAGMENTS = 1000
"""Frames that a message may come in; one that is chopped finer ends the connection with code 1008."""

FRAGMENT_COST = 0.25
"""What a frame costs a client of its allowance of requests."""

PING_INTERVAL = 10.0
PONG_WITHIN = 20.0
CLOSE_WITHIN = 2.0
"""Seconds a client has to answer a close frame before the connection is cut."""

GOING_AWAY = 1001
TOO_BIG = 1009


class ServerWebSocket(WebSocketProtocol):
    """What every websocket of ours does: it counts frames, leaves in good order, and can wait."""

    framing = staticmethod(text_frame)

    def __init__(self, drained: Callable[[], None]) -> None:
        super().__init__()
        self._fragments = 0
        self._pinged_at = 0
        self._unanswered_ping: bytes | None = None
        self._drained = drained
        self._writer: StreamWriter | None = None
        self._reading: Reading
        self._cut: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Take the connection over."""
        super().connectionMade()
        self._reading = Reading(self.transport)
        self._writer = StreamWriter(self.transport, self._all_sent)
        self._writer.start()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes, and send together what they are answered by at once."""
        writer = self._writer
        if writer is None:
            super().dataReceived(data)
            return
        writer.hold()
        try:
            super().dataReceived(data)
        finally:
            writer.let_go()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Send what Autobahn has to say by the way that everything goes."""
        if self._writer is not None:
            self._writer.write(data)

    def unregisterProducer(self) -> None:
        """Let the connection close once everything is sent, as Autobahn asks before it closes it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()

    @property
    def progress(self) -> int:
        """A number that changes when the client is seen to read."""
        return self._writer.progress if self._writer is not None else 0

    @property
    def is_idle(self) -> bool:
        """Whether everything written so far has been sent, and more may be."""
        return self._writer is not None and self._writer.is_idle and self.state == self.STATE_OPEN

    def charge(self, requests: float) -> None:
        """Count work that the client causes."""

    def onMessageBegin(self, isBinary: bool) -> None:
        """Begin to count the frames of a message."""
        self._fragments = 0
        super().onMessageBegin(isBinary)

    def onMessageFrameBegin(self, length: int) -> None:
        """Count a frame."""
        self._fragments += 1
        self.charge(FRAGMENT_COST)
        if self._fragments == MOST_FRAGMENTS:
            self.take_leave(POLICY_VIOLATION, "Too many fragments")
        super().onMessageFrameBegin(length)

    def onMessageFrameData(self, payload: bytes) -> None:
        """Take bytes of a message, unless the connection is being closed: nobody will read them."""
        if self.state == self.STATE_OPEN:
            super().onMessageFrameData(payload)

    def onPing(self, payload: bytes) -> None:
        """Count a ping and answer it, when the client has read what it has got already, the newest first."""
        self.charge(FRAGMENT_COST)
        self._unanswered_ping = payload
        if self.is_idle:
            self._answer_ping()

    def _answer_ping(self) -> None:
        payload, self._unanswered_ping = self._unanswered_ping, None
        if payload is not None:
            super().onPing(payload)

    def _all_sent(self) -> None:
        if self.is_idle:
            self._answer_ping()
        self._drained()

    def onAutoPingTimeout(self) -> None:
        """Give a client more time whose pong is late because it still reads what was sent before the ping."""
        if self.progress == self._pinged_at:
            super().onAutoPingTimeout()
            return
        self._pinged_at = self.progress
        timer = self.factory._batched_timer
        self.autoPingTimeoutCall = timer.call_later(PONG_WITHIN, self.onAutoPingTimeout)

    def onPong(self, payload: bytes) -> None:
        """Count a pong."""
        self.charge(FRAGMENT_COST)
        super().onPong(payload)

    def write(self, data: bytes) -> None:
        """Send a frame."""
        if self._writer is not None and self.state == self.STATE_OPEN:
            self._writer.write(data)

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Send a close frame; a client that has to answer it and doesn't is cut off."""
        was_open = self.state == self.STATE_OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if was_open and not isReply:
            self._cut = self.factory.reactor.callLater(CLOSE_WITHIN, self.abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        super().connectionLost(reason)

    def take_leave(self, code: int, reason: str) -> None:
        """Send a close frame; the connection is cut if it isn't answered in time."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode())
        if self._writer is not None:
            self._writer.give_all()

    def abort(self) -> None:
        """Cut the connection; who decided to has said why, so Autobahn needn't."""
        self.transport.abortConnection()

    def pause_reading(self, reason: str) -> None:
        """Take no more from the client as long as there is a reason."""
        self._reading.pause(reason)

    def resume_reading(self, reason: str) -> None:
        """Go on taking from the client, if this was the last reason not to; first what was read already."""
        self._reading.resume(reason)
        self.dataReceived(b"")

    @property
    def is_paused(self) -> bool:
        """Whether there is a reason to take no more from the client."""
        return self._reading.is_paused


class ApiWebSocket(ServerWebSocket):
    """A client of the API."""

    def __init__(self, service: LinkService, caller: Caller) -> None:
        super().__init__(self._link_drained)
        self.link = Link(service, self, caller)
        self._length = 0

    def _link_drained(self) -> None:
        self.link.drained()

    def charge(self, requests: float) -> None:
        """Count work that the client causes."""
        self.link.charge(requests)

    def onMessageFrameBegin(self, length: int) -> None:
        """Count a frame; who isn't known yet has nothing long to say."""
        self._length += length
        if self._length > LONGEST_UNTRUSTED_BODY and not self.link.is_known:
            self.take_leave(TOO_BIG, "Unauthorized")
        super().onMessageFrameBegin(length)

    def onMessageBegin(self, isBinary: bool) -> None:
        """Begin to count what a message holds."""
        self._length = 0
        super().onMessageBegin(isBinary)

    def onOpen(self) -> None:
        """Begin."""
        self.link.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take a message, be it in text or binary frames, unless the connection is being closed."""
        if self.state == self.STATE_OPEN:
            self.link.received(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """End."""
        self.link.closed()


class WebSocketFactory(WebSocketProtocolFactory):
    """What all websockets of one printer's server have in common for Autobahn."""

    noisy = False

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor, f"txraker/{__version__}")
        self.setProtocolOptions(
            maxMessagePayloadSize=LONGEST_MESSAGE,
            failByDrop=False,
            closeHandshakeTimeout=0,
            openHandshakeTimeout=5,
            autoPingInterval=PING_INTERVAL,
            autoPingTimeout=PONG_WITHIN,
        )


class Upgrade(Leaf):
    """A resource that turns a request of a trusted client into a websocket while there is room."""

    def __init__(self, door: Door, factory: WebSocketFactory, service: LinkService) -> None:
        super().__init__(door)
        self._factory = factory
        self.service = service

    def admit(self, request: Request) -> Caller:
        """Return who asks, or raise why there will be no websocket."""
        if request.method != b"GET":
            raise MethodNotAllowed("A websocket is opened by GET", ("GET",))
        if request.content is not None and request.content.read(1):
            raise BadRequest("A request for a websocket has no body")
        caller = self.door.caller(request, Transport.WEBSOCKET)
        self.check_who(caller)
        self.refuse_foreign(request)
        if (header(request, "Upgrade") or "").lower() != "websocket":
            raise BadRequest('Can "Upgrade" only to "WebSocket".')
        self.check_room(caller)
        return caller

    def check_who(self, caller: Caller) -> None:
        """Raise Unauthorized or Forbidden for a caller who may have no such websocket."""

    def check_room(self, caller: Caller) -> None:
        """Raise Unavailable when the connection would be one too many."""
        room = self.service.clients.has_room(
            caller.address, is_local=is_loopback(caller.address), is_known=caller.is_known
        )
        if not room:
            raise Unavailable("The maximum number of websocket connections is reached")

    def upgrade(self, request: Request, protocol: ServerWebSocket) -> None:
        """Hand the connection of a request over to a websocket."""
        channel: TrackedChannel = request.channel  # type: ignore[assignment]  # our site makes no others
        channel.release()
        protocol.factory = self._factory
        take_over(request, protocol)


@implementer(IResource)
class ApiUpgrade(Upgrade):
    """``/websocket``."""

    def respond(self, request: Request) -> None:
        caller = self.admit(request)
        self.upgrade(request, ApiWebSocket(self.service, caller))
