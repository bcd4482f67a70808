"""HTTP connections and the site that knows them: how many there may be, for how long, and when they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

from txraker.access import origin
from txraker.errors import HeadersTooLarge
from txraker.reactor import Stream
from txraker.transports.web.request import JSON, BodySink, LimitedRequest, error_body

WHOLE_WITHIN = 60.0
"""Seconds in which a request must have come as a whole, however its bytes dribble in."""

PROGRESS_IN_TIME = 64 * 1024
"""Bytes of a body that goes to a sink of which at least so many must come in that time instead."""

MOST_CONNECTIONS = 400
"""HTTP connections that may be open at once; websockets are counted elsewhere."""

MOST_OF_ONE = 64
"""HTTP connections that one address may have."""


class TrackedChannel(HTTPChannel):
    """An HTTP connection that its site knows, so that it can be closed with the site."""

    site: LimitedSite
    _deadline: IDelayedCall | None = None
    _host: IAddress | None = None
    _is_paused = False
    _is_held = False
    _was_held = False
    _seen = 0
    has_served = False
    is_last_request = False
    _came_whole = False
    transport: Stream  # type: ignore[assignment]  # connected as long as it is used

    def connectionMade(self) -> None:
        """Be known, if there is room, and expect a request."""
        if not self.site.has_room(self):
            self.transport.abortConnection()
            return
        self.site.channels.add(self)
        super().connectionMade()
        self._expect_request()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be forgotten."""
        self.site.channels.discard(self)
        self._stop_expecting()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; where they end amid a request, the time begins in which it must be whole."""
        self._came_whole = False
        super().dataReceived(data)
        is_amid = not self._handlingRequest and (bool(self.requests) or not self._came_whole)
        if is_amid and self._deadline is None and self in self.site.channels:
            self._expect_request()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Say whether the connection lasts after this request, and tell the client."""
        lasts: bool = super().checkPersistence(request, version)
        if lasts and self.is_last_request:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return lasts

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802  # Twisted's name
        """Take a header, and refuse a length of more digits than Python makes a number of."""
        try:
            is_well: bool = super().headerReceived(line)
        except ValueError:
            self._respondToBadRequestAndDisconnect()
            return False
        return is_well

    def allContentReceived(self) -> None:
        """Take a request that is there as a whole."""
        self._came_whole = True
        self._stop_expecting()
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """Go on to the next request, if there is one to be expected; one that is there waits its turn."""
        self.has_served = True
        rest = self.clearLineBuffer()
        if rest:
            self._dataBuffer.append(rest)
        if any(self._dataBuffer):
            self.transport.pauseProducing()
            self.site.reactor.callLater(0, self._go_on_after, request)
        else:
            self._go_on_after(request)

    def _go_on_after(self, request: Request) -> None:
        if self.is_last_request:
            self.persistent = False
        if self in self.site.channels:
            super().requestDone(request)

    def pauseProducing(self) -> None:
        """Read no more, not even requests to come, while answers wait for a client that doesn't read them."""
        super().pauseProducing()
        self._is_paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again, beginning with what has been read already."""
        super().resumeProducing()
        if self._is_paused:
            self._is_paused = False
            if not self._handlingRequest:
                super().dataReceived(b"")
        if self._is_held:
            self.transport.pauseProducing()

    def hold(self) -> None:
        """Read no more of a body for a while, for which the client isn't to blame."""
        self._is_held = self._was_held = True
        self.transport.pauseProducing()

    def go_on(self) -> None:
        """Read again what was held."""
        if self._is_held:
            self._is_held = False
            if not self._is_paused:
                self.transport.resumeProducing()

    def timeoutConnection(self) -> None:  # noqa: N802  # Twisted's name
        """Close a connection by which nothing came for long, unless that is our doing."""
        if self._is_held:
            self.setTimeout(self.timeOut)
        else:
            super().timeoutConnection()

    def expect_progress(self) -> None:
        """Let a body take its time as long as it comes, in place of the time for a whole request."""
        self._stop_expecting()
        self._seen, self._was_held = 0, self._is_held
        self._deadline = self.site.reactor.callLater(WHOLE_WITHIN, self._look_for_progress)

    def _look_for_progress(self) -> None:
        self._deadline = None
        received = self.requests[-1].received
        if received - self._seen < PROGRESS_IN_TIME and not self._was_held:
            self._give_up()
        else:
            self._seen, self._was_held = received, self._is_held
            self._deadline = self.site.reactor.callLater(WHOLE_WITHIN, self._look_for_progress)

    def _expect_request(self) -> None:
        self._deadline = self.site.reactor.callLater(WHOLE_WITHIN, self._give_up)

    def _stop_expecting(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a request line or a header that is too long, saying so."""
        body = error_body(HeadersTooLarge("A header or the request line is too long"))
        head = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
        head += b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (JSON, len(body))
        self.transport.writeSequence([head, body])
        self.loseConnection()

    def getHost(self) -> IAddress:  # noqa: N802  # Twisted's name
        """Return the address at this end: it stays the same, and to ask the kernel each time isn't free."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def peer_address(self) -> str:
        """Return the address at the other end of the connection."""
        return str(getattr(self.getPeer(), "host", ""))

    def release(self) -> None:
        """Let another protocol have the connection: no timeout, no producer, and not ours to close."""
        self.site.channels.discard(self)
        self._stop_expecting()
        self.setTimeout(None)
        self.transport.unregisterProducer()


OpenSink = Callable[[LimitedRequest, int | None], BodySink | None]
"""Returns what takes the body of a request, of a length if that is known; raises ApiError to refuse it."""


def keep_bodies(_request: LimitedRequest, _length: int | None) -> BodySink | None:
    """Keep every body in memory."""
    return None


class LimitedSite(Site):
    """A site whose requests are limited.

    ``reactor`` times the end of refused connections; ``trusts`` says whether a request's sender is trusted,
    and ``is_proxy`` whether many may be behind an address. ``open_sink`` finds what takes a body as it comes.
    """

    protocol = TrackedChannel  # type: ignore[assignment]  # HTTP/1.1 only, so no negotiating wrapper
    requestFactory = LimitedRequest
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        resource: Any,
        reactor: IReactorTime,
        trusts: Callable[[Request], bool],
        is_proxy: Callable[[str], bool],
        open_sink: OpenSink = keep_bodies,
    ) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor, timeout=60)
        self.reactor = reactor
        self.trusts = trusts
        self._is_proxy = is_proxy
        self.open_sink = open_sink
        self.channels: set[TrackedChannel] = set()

    def acceptableProtocols(self) -> list[bytes]:
        """Agree on HTTP/1.1 with clients that ask under TLS, also where a library for HTTP/2 is installed."""
        return [b"http/1.1"]

    def has_room(self, channel: TrackedChannel) -> bool:
        """Say whether a new connection may stay; a tenth of the room is kept for this machine and proxies."""
        address = channel.peer_address()
        if self._is_proxy(address):
            return len(self.channels) < MOST_CONNECTIONS
        place = origin(address)
        of_address = sum(origin(known.peer_address()) == place for known in self.channels)
        return of_address < MOST_OF_ONE and len(self.channels) < MOST_CONNECTIONS * 9 // 10

    def finish_connections(self) -> None:
        """Close idle connections now, and those that are busy or new when they have their answers."""
        for channel in list(self.channels):
            channel.is_last_request = True
            if not channel.requests and channel.has_served:
                channel.loseConnection()

    def cut_connections(self) -> None:
        """Close what is still open."""
        for channel in list(self.channels):
            channel.transport.abortConnection()

    def log(self, request: Any) -> None:
        """Write no access log: a printer's front-ends ask several times a second, for months."""
