"""``/klippysocket``: a websocket that passes messages to and from Klippy as they are.

Each bridge has a connection to Klippy of its own, so what streams over it concerns nobody else. Contract:
"Bridge websocket" of Moonraker's documentation.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker.api.audit import audit_entry
from txraker.api.caller import Caller, Role
from txraker.api.dispatch import permit
from txraker.clients import Clients
from txraker.errors import KlippyNotConnected, Unauthorized
from txraker.klippy.framing import TERMINATOR, FrameSplitter, FrameTooLong
from txraker.reactor import Stream
from txraker.transports.link import LinkService
from txraker.transports.web.resources import Door
from txraker.transports.websocket import GOING_AWAY, ServerWebSocket, Upgrade, WebSocketFactory

KLIPPY_IS_SLOW = "Klippy is slow"
"""A reason not to read from a bridge's client."""


class BridgeWebSocket(ServerWebSocket):
    """The client's side of a bridge."""

    def __init__(self, clients: Clients, klippy: KlippySide, caller: Caller) -> None:
        super().__init__(klippy.go_on)
        self.address, self.who = caller.address, caller.who
        self._clients = clients
        self._klippy = klippy
        klippy.client = self

    def onOpen(self) -> None:
        """Begin to pass messages on."""
        self._clients.bridges.add(self)
        self._klippy.begin()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Pass a message on to Klippy, unless the connection is being closed."""
        if self.state == self.STATE_OPEN:
            self._klippy.pass_on(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """End Klippy's side, too."""
        self._clients.bridges.discard(self)
        self._klippy.end()

    def close(self, code: int, reason: str) -> None:
        """End the bridge."""
        self.take_leave(code, reason)


@implementer(IPushProducer)
class KlippySide(Protocol):
    """Klippy's side of a bridge. ``touched`` is called when a message may change what Klippy's state is."""

    transport: Stream  # type: ignore[assignment]  # connected as long as it is used
    client: BridgeWebSocket | None = None

    def __init__(self, touched: Callable[[], None]) -> None:
        self._touched = touched
        self._has_begun = False
        self._splitter = FrameSplitter()

    def begin(self) -> None:
        """The client is there."""
        self._has_begun = True
        self.transport.registerProducer(self, True)
        self.go_on()

    def connectionMade(self) -> None:
        """Wait for the client."""
        self.wait()

    def pass_on(self, message: bytes) -> None:
        """Send Klippy a client's message."""
        self._touched()
        self.transport.write(message + TERMINATOR)

    def dataReceived(self, data: bytes) -> None:
        """Send the client Klippy's messages; an answer among them may end a command."""
        try:
            frames = self._splitter.feed(data)
        except FrameTooLong:
            self.end()
            return
        if any(b'"id"' in frame for frame in frames):
            self._touched()
        if self.client is not None:
            for frame in frames:
                self.client.write(self.client.framing(frame))
            if not self.client.is_idle:
                self.wait()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the client's side, too."""
        if self.client is not None:
            self.client.take_leave(GOING_AWAY, "Klippy Disconnected")

    def end(self) -> None:
        """Close the connection to Klippy."""
        self.transport.abortConnection()

    def wait(self) -> None:
        """Take nothing from Klippy for a while."""
        self.transport.pauseProducing()

    def go_on(self) -> None:
        """Take from Klippy again."""
        if self._has_begun:
            self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """Klippy doesn't take what was written: take no more from the client."""
        if self.client is not None:
            self.client.pause_reading(KLIPPY_IS_SLOW)

    def resumeProducing(self) -> None:
        """Go on taking from the client."""
        if self.client is not None:
            self.client.resume_reading(KLIPPY_IS_SLOW)

    def stopProducing(self) -> None:
        """The connection to Klippy is gone."""


@implementer(IResource)
class BridgeUpgrade(Upgrade):
    """``/klippysocket``: there is no bridge without a Klippy at its other end."""

    def __init__(
        self,
        door: Door,
        factory: WebSocketFactory,
        service: LinkService,
        endpoint: IStreamClientEndpoint,
        touched: Callable[[], None],
    ) -> None:
        super().__init__(door, factory, service)
        self._endpoint = endpoint
        self._touched = touched

    def check_who(self, caller: Caller) -> None:
        if not self.door.gate.is_current(caller.who):
            raise Unauthorized
        permit(Role.ADMIN, caller, "/klippysocket")

    def respond(self, request: Request) -> None:
        caller = self.admit(request)
        self.write_outcome(request, self._connect(), self._bridge(caller), cancel=True)

    async def _connect(self) -> KlippySide:
        connecting: Deferred[KlippySide] = self._endpoint.connect(_KlippySides(self._touched))  # type: ignore[assignment]  # what its factory builds
        try:
            return await connecting
        except (ConnectError, OSError):
            raise KlippyNotConnected from None

    def _bridge(self, caller: Caller) -> Callable[[Request, KlippySide], None]:
        def build(request: Request, klippy: KlippySide) -> None:
            try:
                self.check_who(caller)
                self.check_room(caller)
            except Exception:
                klippy.end()
                raise
            self.door.dispatcher.audit(audit_entry("asked", "/klippysocket", caller))
            self.upgrade(request, BridgeWebSocket(self.service.clients, klippy, caller))

        return build


class _KlippySides(Factory):
    noisy = False

    def __init__(self, touched: Callable[[], None]) -> None:
        self._touched = touched

    def buildProtocol(self, addr: object) -> KlippySide:
        """Return the protocol of a new connection to Klippy."""
        return KlippySide(self._touched)
