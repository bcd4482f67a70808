"""Asking other web servers, for what is small: little time, few redirects, and none to other hosts."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from txraker.reactor import Reactor

if TYPE_CHECKING:
    from twisted.web.client import URI

TIME_LIMIT = 10.0
"""Seconds until an answer must be here, redirects included."""

MOST_REDIRECTS = 3

MOST_AHEAD = 64 * 1024
"""Bytes ahead of an answer's body: its headers, and interim answers before it."""

LARGEST = 256 * 1024
"""Bytes of an answer's body."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEPT = "%!$&'()*+,;=:@/?"

_T = TypeVar("_T")


class CannotFetch(Exception):
    """Nothing of use came from a URL; ``str()`` says why, for users."""


@define(eq=False, repr=False)
class WebClient:
    """Asks web servers by GET, each time over a new connection; ``servers`` leads to them."""

    _reactor: Reactor
    _servers: IAgentEndpointFactory = field(
        default=Factory(lambda self: _Servers(self._reactor), takes_self=True)
    )

    async def reaches(self, url: str) -> bool:
        """Return whether a server answers with success at a URL; its answer isn't waited for."""
        try:
            await self._in_time(lambda: self._glance(url))
        except CannotFetch:
            return False
        return True

    async def read(self, url: str) -> bytes:
        """Return what is at a URL. Raises CannotFetch, also when that is too large."""
        return await self._in_time(lambda: self._read(url))

    async def _in_time(self, work: Callable[[], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            return await work()

        running = Deferred.fromCoroutine(run())
        limit = self._reactor.callLater(TIME_LIMIT, running.cancel)
        try:
            return await running
        except CannotFetch:
            raise
        except NotImplementedError:
            raise CannotFetch("https needs the 'tls' extra of txraker") from None
        except Exception as problem:  # whatever is wrong with a URL, its name, the connection or the answer
            if not limit.active():
                raise CannotFetch(f"no answer within {TIME_LIMIT:.0f} seconds") from None
            if _was_cancelled(problem):
                raise CancelledError from problem
            raise CannotFetch(_words(problem)) from problem
        finally:
            if limit.active():
                limit.cancel()

    async def _glance(self, url: str) -> None:
        _hang_up(await self._success(url))

    async def _read(self, url: str) -> bytes:
        body = _Body()
        (await self._success(url)).deliverBody(body)
        return await body.done

    async def _success(self, url: str) -> IResponse:
        """Return an answer that is what was asked for, after redirects."""
        place = _split(url)
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._request(place)
            if 200 <= response.code < 300:
                return response
            _hang_up(response)
            if response.code not in _REDIRECTS:
                raise CannotFetch(f"it is answered with {response.code}")
            place = _redirected(place, response)
        raise CannotFetch(f"there are more than {MOST_REDIRECTS} redirects")

    def _request(self, place: SplitResult) -> Deferred[IResponse]:
        from twisted.web.client import Agent  # noqa: PLC0415  # a megabyte that most never need

        headers = Headers({b"User-Agent": [b"txraker"]})
        if place.username is not None:
            person = f"{unquote(place.username)}:{unquote(place.password or '')}"
            headers.addRawHeader(b"Authorization", b"Basic " + base64.b64encode(person.encode()))
        server = place.netloc.rpartition("@")[2]
        path, query = quote(place.path or "/", safe=_KEPT), quote(place.query, safe=_KEPT)
        url = urlunsplit((place.scheme, server, path, query, ""))
        way = _Way(self._servers)
        agent = Agent.usingEndpointFactory(self._reactor, way)
        answering: Deferred[IResponse] = agent.request(b"GET", url.encode("ascii"), headers)
        return answering.addCallback(way.answered)


@implementer(IAgentEndpointFactory)
@define(eq=False, repr=False)
class _Servers:
    """Web servers, wherever they are."""

    _reactor: Reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802  # Twisted's name
        from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS  # noqa: PLC0415  # as above
        from twisted.web.client import BrowserLikePolicyForHTTPS  # noqa: PLC0415  # as above

        endpoint = HostnameEndpoint(self._reactor, uri.host.decode("ascii"), uri.port)
        if uri.scheme == b"http":
            return endpoint
        return wrapClientTLS(BrowserLikePolicyForHTTPS().creatorForNetloc(uri.host, uri.port), endpoint)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
@define(eq=False, repr=False)
class _Way:
    """The way to a server, for one request."""

    _servers: IAgentEndpointFactory
    is_answered: bool = field(default=False, init=False)
    _endpoint: IStreamClientEndpoint = field(init=False)

    def endpointForURI(self, uri: URI) -> _Way:  # noqa: N802  # Twisted's name
        self._endpoint = self._servers.endpointForURI(uri)
        return self

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        lines: WrappingFactory[_Line] = WrappingFactory(factory)
        lines.protocol = partial(_Line, self)
        connecting: Deferred[Any] = self._endpoint.connect(lines)
        return connecting.addCallback(lambda line: line.wrappedProtocol)

    def answered(self, response: IResponse) -> IResponse:
        """Note that the headers are here: what comes now is the body."""
        self.is_answered = True
        return response


class _Line(ProtocolWrapper):
    """A connection to a server, which is given up when too much comes ahead of the answer's body.

    Closing it ends it at once, as a server that goes on talking isn't listened to.
    """

    transport: ITCPTransport

    def __init__(self, way: _Way, factory: WrappingFactory[_Line], protocol: IProtocol) -> None:
        super().__init__(factory, protocol)
        self._way = way
        self._received = 0

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self._received > MOST_AHEAD and not self._way.is_answered:
            self.loseConnection()

    def loseConnection(self) -> None:
        self.disconnecting = True
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.disconnecting and not self._way.is_answered:
            reason = Failure(CannotFetch("its headers are too large"))
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's is untyped


class _Body(Protocol):
    """Collects an answer; ``done`` is fired with it, and fails when it is cut off or too large."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _done: _close(self))
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > LARGEST and not self.done.called:
            self.done.errback(CannotFetch(f"there are more than {LARGEST} bytes"))
            _close(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        from twisted.web.client import ResponseDone  # noqa: PLC0415  # as above

        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(self._received)
        else:
            self.done.errback(reason)


def _close(protocol: Protocol) -> None:
    if protocol.transport is not None:
        protocol.transport.loseConnection()


def _hang_up(response: IResponse) -> None:
    """Close the connection of an answer whose body nobody wants."""
    nobody = Protocol()
    response.deliverBody(nobody)
    _close(nobody)


def _reasons(problem: BaseException) -> list[BaseException]:
    """Return what went wrong: Twisted's HTTP client raises one exception that holds others."""
    return [reason.value for reason in getattr(problem, "reasons", ())] or [problem]


def _was_cancelled(problem: Exception) -> bool:
    return any(isinstance(it, CancelledError | ConnectingCancelledError) for it in _reasons(problem))


def _words(problem: Exception) -> str:
    return ", ".join(str(reason) or type(reason).__name__ for reason in _reasons(problem))


def _split(url: str) -> SplitResult:
    place = urlsplit(url)
    if place.scheme not in {"http", "https"} or not place.hostname or place.port == 0:
        raise CannotFetch("it is no http or https URL")
    return place


def _redirected(place: SplitResult, response: IResponse) -> SplitResult:
    """Return where an answer sends us on the same host. Raises CannotFetch when that is elsewhere."""
    locations = response.headers.getRawHeaders(b"location", [b""])
    target = _split(urljoin(place.geturl(), locations[0].decode("utf-8", "replace")))
    if target.hostname != place.hostname or target.scheme not in {place.scheme, "https"}:
        raise CannotFetch("it leads to another host")
    if target.port != place.port and target.scheme == place.scheme:
        raise CannotFetch("it leads to another port")
    login, at, _ = place.netloc.rpartition("@")
    return target._replace(netloc=login + at + target.netloc.rpartition("@")[2])
