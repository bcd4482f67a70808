"""What is fetched from other web servers, over connections in memory, with Twisted's own HTTP client."""

from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from tests.tools import Outcome, start
from txraker.fetching import LARGEST, MOST_AHEAD, MOST_REDIRECTS, TIME_LIMIT, CannotFetch, WebClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@implementer(IStreamClientEndpoint)
@define(eq=False)
class Line:
    """Leads to a server in memory, of which there is none where there is a ``problem``."""

    problem: Exception | None
    protocol: IProtocol | None = field(default=None, init=False)
    transport: StringTransport = field(factory=StringTransport, init=False)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.problem is not None:
            return fail(self.problem)
        self.protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 80))
        assert self.protocol is not None
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)

    def say(self, data: bytes) -> None:
        """Let the server send something."""
        assert self.protocol is not None
        self.protocol.dataReceived(data)

    def go_on(self, data: bytes, most: int) -> int:
        """Let the server send something again and again, until we hang up; return how many bytes came."""
        sent = 0
        while not self.transport.disconnecting and sent < most:
            self.say(data)
            sent += len(data)
        return sent

    def close(self) -> None:
        """Let the connection end."""
        assert self.protocol is not None
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def asked(self) -> list[str]:
        """The lines of the request."""
        sent: bytes = self.transport.value()
        return sent.decode().split("\r\n")


@implementer(IAgentEndpointFactory)
@define(eq=False)
class Web:
    """Servers in memory, and somebody who asks them."""

    problem: Exception | None = None
    clock: Clock = field(factory=Clock)
    places: list[tuple[bytes, bytes, int]] = field(factory=list)
    lines: list[Line] = field(factory=list)
    client: WebClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = WebClient(self.clock, self)  # type: ignore[arg-type]  # no more of a reactor is needed

    def endpointForURI(self, uri: URI) -> Line:  # noqa: N802  # as Twisted calls it
        self.places.append((uri.scheme, uri.host, uri.port))
        self.lines.append(Line(self.problem))
        return self.lines[-1]

    def read(self, url: str = "http://cam/x") -> Outcome[bytes]:
        """Begin to read."""
        return start(self.client.read(url))


def redirect(location: str, code: int = 302) -> bytes:
    """Return an answer that leads to another place."""
    return f"HTTP/1.1 {code} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def web() -> Web:
    """Make a web in which every server can be connected to."""
    return Web()


def test_read(web: Web) -> None:
    """What a server answers is read, in one request that says who we are."""
    reading = web.read("http://cam:8080/a b?action=snapshot#part")
    assert web.places == [(b"http", b"cam", 8080)]
    assert web.lines[0].asked[0] == "GET /a%20b?action=snapshot HTTP/1.1"
    assert {"Host: cam:8080", "User-Agent: txraker"} <= set(web.lines[0].asked)
    web.lines[0].say(OK)
    assert reading.result() == b"hello"
    assert web.clock.getDelayedCalls() == []


def test_until_the_connection_ends(web: Web) -> None:
    """An answer of unknown length is complete when its connection ends."""
    reading = web.read()
    web.lines[0].say(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert not reading.done
    web.lines[0].close()
    assert reading.result() == b"abc"


def test_cut_off(web: Web) -> None:
    """An answer that is cut off is none."""
    reading = web.read()
    web.lines[0].say(OK[:-1])
    web.lines[0].close()
    assert isinstance(reading.error, CannotFetch)


def test_login(web: Web) -> None:
    """A name and password in a URL are shown to the server as such."""
    web.read("http://me:p%40ss@cam/x")
    assert web.places == [(b"http", b"cam", 80)]
    assert "Authorization: Basic bWU6cEBzcw==" in web.lines[0].asked


def test_reaches_without_waiting(web: Web) -> None:
    """A stream that never ends is there as soon as its headers are, and is closed."""
    reaching = start(web.client.reaches("http://cam/stream"))
    web.lines[0].say(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n--x")
    assert reaching.result() is True
    assert web.lines[0].transport.disconnecting


@pytest.mark.parametrize("code", [401, 404, 500])
def test_no_success(web: Web, code: int) -> None:
    """An answer that isn't success is told with its number, and its body isn't waited for."""
    reading = web.read()
    web.lines[0].say(f"HTTP/1.1 {code} No\r\nContent-Length: 999999\r\n\r\n".encode())
    with pytest.raises(CannotFetch, match=f"answered with {code}"):
        reading.result()
    assert web.lines[0].transport.disconnecting
    reaching = start(web.client.reaches("http://cam/x"))
    web.lines[1].say(f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n".encode())
    assert reaching.result() is False


def test_refused() -> None:
    """A server that can't be connected to is not reached."""
    web = Web(ConnectionRefusedError())
    assert start(web.client.reaches("http://cam/x")).result() is False
    with pytest.raises(CannotFetch, match="refused"):
        web.read().result()


def test_gone_without_an_answer(web: Web) -> None:
    """A server that hangs up is told of in the words of what went wrong."""
    reading = web.read()
    web.lines[0].close()
    with pytest.raises(CannotFetch, match="Connection was closed cleanly"):
        reading.result()


def test_silence(web: Web) -> None:
    """A server that doesn't answer in time is given up, whether nothing or half of it has come."""
    for sent in (b"", OK[:-2]):
        reading = web.read()
        web.lines[-1].say(sent)
        web.clock.advance(TIME_LIMIT - 0.1)
        assert not reading.done
        web.clock.advance(0.1)
        with pytest.raises(CannotFetch, match="no answer within 10 seconds"):
            reading.result()
        assert web.lines[-1].transport.disconnecting or web.lines[-1].transport.disconnected


def test_cancelled(web: Web) -> None:
    """Who no longer wants to know lets go of the connection, and of the time limit."""
    reading = web.read()
    reading.deferred.cancel()
    assert isinstance(reading.error, CancelledError)
    assert web.clock.getDelayedCalls() == []


def test_too_large(web: Web) -> None:
    """An answer that is too large is not read to its end."""
    reading = web.read()
    web.lines[0].say(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * LARGEST)
    assert not reading.done
    web.lines[0].say(b"x")
    with pytest.raises(CannotFetch, match="more than"):
        reading.result()
    assert web.lines[0].transport.disconnecting


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: a\r\n", b" b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 99),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["lines", "folded", "one line", "interim answers"],
)
def test_endless_headers(web: Web, first: bytes, then: bytes) -> None:
    """A server that never comes to its answer's body is hung up on before that takes much memory."""
    reading = web.read()
    web.lines[0].say(first)
    assert web.lines[0].go_on(then, 2 * MOST_AHEAD) <= MOST_AHEAD + len(then)
    web.lines[0].close()
    with pytest.raises(CannotFetch, match="headers are too large"):
        reading.result()


@pytest.mark.parametrize(
    ("first", "then"), [(b"", b"5;" + b"x" * 99), (b"0\r\n", b"X-A: a\r\n")], ids=["extension", "trailer"]
)
def test_endless_chunks(web: Web, first: bytes, then: bytes) -> None:
    """A server that says ever more of a chunk, or after the last one, is hung up on as well."""
    reading = web.read()
    web.lines[0].say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + first)
    assert web.lines[0].go_on(then, 2 * MOST_AHEAD) <= MOST_AHEAD + len(then)
    assert isinstance(reading.error, CannotFetch)


def test_headers_with_a_body(web: Web) -> None:
    """What comes ahead of a body doesn't count what comes with it."""
    reading = web.read()
    web.lines[0].say(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000 + b"\r\n\r\n" + b"x" * MOST_AHEAD)
    web.lines[0].close()
    assert reading.result() == b"x" * MOST_AHEAD


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST + 1), OK])
def test_hanging_up(web: Web, answer: bytes) -> None:
    """A connection that isn't needed any more ends at once, and not when the server agrees."""
    web.read()
    web.lines[0].say(answer)
    assert web.lines[0].transport.disconnected


def test_redirect(web: Web) -> None:
    """A redirect on the same host is followed, with the login that was there."""
    reading = web.read("http://me:pw@cam/x")
    web.lines[0].say(redirect("/y"))
    assert web.lines[1].asked[0] == "GET /y HTTP/1.1"
    assert any(line.startswith("Authorization: Basic") for line in web.lines[1].asked)
    web.lines[1].say(redirect("https://CAM/z", 308))
    assert web.places[2] == (b"https", b"CAM", 443)
    web.lines[2].say(OK)
    assert reading.result() == b"hello"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://router/reboot", "another host"),
        ("//router/reboot", "another host"),
        ("http://cam:7125/printer/emergency_stop", "another port"),
        ("ftp://cam/x", "no http"),
        ("http://[::1/", "Invalid IPv6"),
    ],
)
def test_redirect_elsewhere(web: Web, location: str, reason: str) -> None:
    """A redirect to another host or port is not followed."""
    reading = web.read()
    web.lines[0].say(redirect(location))
    with pytest.raises(CannotFetch, match=reason):
        reading.result()
    assert len(web.lines) == 1


def test_downgrade(web: Web) -> None:
    """What was asked for over https isn't asked for without."""
    reading = web.read("https://cam/x")
    web.lines[0].say(redirect("http://cam/x"))
    with pytest.raises(CannotFetch, match="another host"):
        reading.result()


def test_redirects_in_a_circle(web: Web) -> None:
    """Redirects come to an end."""
    reading = web.read()
    for number in range(MOST_REDIRECTS + 1):
        web.lines[number].say(redirect("/x"))
    with pytest.raises(CannotFetch, match="more than 3 redirects"):
        reading.result()
    assert len(web.lines) == MOST_REDIRECTS + 1


@pytest.mark.parametrize(
    "url", ["", "cam/x", "ftp://cam/x", "file:///etc/passwd", "http://", "http://[::1", "http://c:99999/"]
)
def test_no_url(web: Web, url: str) -> None:
    """What is no URL of a web server is not asked for."""
    assert start(web.client.reaches(url)).result() is False
    assert web.lines == []


def test_without_tls() -> None:
    """Without what https needs, that is what one is told."""
    with pytest.raises(CannotFetch, match="'tls' extra"):
        Web(NotImplementedError("SSL support unavailable")).read("https://cam/x").result()
