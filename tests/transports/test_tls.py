"""Connections under TLS: nothing goes out in the clear, and they behave like TCP connections."""

from __future__ import annotations

import ssl
import warnings as python_warnings
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPullProducer, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import implementer

from tests.certificates import BEGINNING, make_pair
from tests.tools import Logged
from tests.transports.encrypted import MUCH, MemoryTcp, TlsClient, client_context, records
from txraker.reactor import Stream
from txraker.server_warnings import ServerWarnings
from txraker.transports.certificate import CertificateFiles, Credentials
from txraker.transports.stream import StreamWriter
from txraker.transports.tls import LOOK_EVERY, TlsConnection, TlsFactory
from txraker.transports.web.channel import WHOLE_WITHIN, LimitedSite
from txraker.transports.web.request import LINGER

PAIR = make_pair()
HANDSHAKE, DATA = 22, 23


class Server(Protocol):
    """Keeps what it is told."""

    transport: Stream  # type: ignore[assignment]  # connected as long as it is used

    def __init__(self) -> None:
        self.received = b""
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.lost.append(reason)


@define(eq=False)
class Bench:
    """A server behind TLS and a client that is connected to it."""

    folder: Path
    clock: Clock = field(factory=Clock)
    context: ssl.SSLContext = field(factory=client_context)
    server: Server = field(factory=Server)
    factory: TlsFactory = field(init=False)
    tcp: MemoryTcp = field(init=False)
    client: TlsClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.clock.seconds():
            self.clock.advance(BEGINNING.timestamp() + 86_400)
        PAIR.write(self.folder)
        files = CertificateFiles(self.folder / "moonraker.cert", self.folder / "moonraker.key")
        credentials = Credentials(files, self.clock, ServerWarnings(Logged().logger()))
        self.factory = TlsFactory(credentials, Factory.forProtocol(lambda: self.server), self.clock)
        self.connect()

    def connect(self, session: ssl.SSLSession | None = None) -> None:
        """Connect a client."""
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        self.tcp = MemoryTcp(protocol, self.clock)
        self.client = TlsClient(self.tcp, self.context, session)

    @property
    def transport(self) -> Stream:
        """The server's end, as its protocol has it."""
        assert isinstance(self.server.transport, TlsConnection)
        return self.server.transport


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a connection after its handshake."""
    bench = Bench(tmp_path)
    bench.client.shake_hands()
    return bench


@implementer(IPullProducer)
@define(eq=False)
class Pulled:
    """Counts how often it is asked for more."""

    asked: int = 0
    stopped: bool = False

    def resumeProducing(self) -> None:
        """Count."""
        self.asked += 1

    def stopProducing(self) -> None:
        """Note it."""
        self.stopped = True


@implementer(IPushProducer)
@define(eq=False)
class Pushing(Pulled):
    """Knows whether it is to wait."""

    waits: bool = False

    def pauseProducing(self) -> None:
        """Wait."""
        self.waits = True

    def resumeProducing(self) -> None:
        """Go on."""
        self.waits = False


def test_both_ways(bench: Bench) -> None:
    """What is written at one end is read at the other, and the wire has TLS records and nothing else."""
    bench.client.send(b"question")
    assert bench.server.received == b"question"
    bench.transport.write(b"a secret answer")
    bench.client.exchange()
    assert bench.client.received == b"a secret answer"
    assert set(records(bench.tcp.sent)) <= {20, HANDSHAKE, DATA}
    assert b"secret" not in bench.tcp.sent


def begun(bench: Bench) -> StreamWriter:
    """Make a writer that has written once."""
    writer = StreamWriter(bench.transport, lambda: None)
    writer.start()
    writer.write(b"secret;")
    bench.client.exchange()
    assert bench.client.received == b"secret;"
    return writer


def test_idle_writer_writes_at_once(bench: Bench) -> None:
    """While nothing waits a writer's bytes are on the wire at once, encrypted, and more may be written."""
    writer = begun(bench)
    for number in range(5):
        assert writer.is_idle
        before = len(bench.tcp.sent)
        writer.write(b"secret %d;" % number)
        assert records(bench.tcp.sent[before:]) == [DATA]
    bench.client.exchange()
    assert bench.client.received == b"secret;secret 0;secret 1;secret 2;secret 3;secret 4;"
    assert b"secret" not in bench.tcp.sent


def test_what_the_socket_does_not_take(bench: Bench) -> None:
    """What the socket doesn't take is sent later, in its place, and then the writer is idle again."""
    writer = begun(bench)
    bench.tcp.room = 7
    writer.write(b"one;")
    assert not writer.is_idle
    writer.write(b"two;")
    bench.client.exchange()
    assert not writer.is_idle
    bench.tcp.room = MUCH
    bench.client.exchange()
    assert writer.is_idle
    assert bench.client.received == b"secret;one;two;"


def test_long_messages_go_in_pieces(bench: Bench) -> None:
    """While a long message is taken it can be seen that the client reads."""
    writer = begun(bench)
    before = writer.progress
    writer.write(b"x" * 500_000)
    for _ in range(5):
        bench.client.exchange()
    assert bench.client.received == b"secret;" + b"x" * 500_000
    assert writer.progress > before + 3


def test_what_was_written_before(bench: Bench) -> None:
    """What waited when a pull producer came goes first; without one nothing is written at once."""
    bench.tcp.room = 0
    bench.transport.write(b"first;")
    pulled = Pulled()
    bench.transport.registerProducer(pulled, False)
    bench.tcp.room = MUCH
    assert isinstance(bench.transport, TlsConnection)
    assert not bench.transport.write_at_once(b"second;")
    bench.client.exchange()
    assert bench.transport.write_at_once(b"third;")
    bench.transport.unregisterProducer()
    assert not bench.transport.write_at_once(b"fourth;")
    bench.client.exchange()
    assert bench.client.received == b"first;second;third;fourth;"


def test_what_others_write(bench: Bench) -> None:
    """What TLS or somebody else has left to the transport goes first, or it couldn't be decrypted."""
    writer = begun(bench)
    bench.transport.write(b"other;")
    assert writer.is_idle
    writer.write(b"one;")
    assert not writer.is_idle
    bench.client.exchange()
    assert writer.is_idle
    assert bench.client.received == b"secret;other;one;"


@given(
    st.lists(st.tuples(st.sampled_from(["write", "other", "turn"]), st.integers(0, 9), st.integers(0, 99)))
)
def test_order(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]) -> None:
    """However much the socket takes and when, a writer's bytes arrive whole and in their order."""
    bench = Bench(tmp_path_factory.getbasetemp() / "order")
    bench.client.shake_hands()
    writer = begun(bench)
    written = b"secret;"
    bench.tcp.room = 0
    for number, (what, size, room) in enumerate(steps):
        bench.tcp.room += room
        if what == "write":
            written += bytes([number % 256]) * size
            writer.write(bytes([number % 256]) * size)
        elif what == "other" and writer.is_idle:
            written += b"other"
            bench.transport.write(b"other")
        else:
            bench.client.exchange()
    bench.tcp.room = MUCH
    for _ in steps:
        bench.client.exchange()
    bench.client.exchange()
    assert bench.client.received == written
    assert writer.is_idle


def test_writer_waits_for_the_client(bench: Bench) -> None:
    """A writer isn't idle while a client doesn't take what it was sent, and holds back what comes then."""
    drained: list[int] = []
    writer = StreamWriter(bench.transport, lambda: drained.append(writer.progress))
    writer.start()
    before = len(drained)
    bench.tcp.room = 1000
    writer.write(b"x" * 300_000)
    bench.client.exchange()
    assert not writer.is_idle
    assert len(drained) == before
    bench.tcp.room = MUCH
    bench.client.exchange()
    assert writer.is_idle
    assert len(bench.client.received) == 300_000


def test_pull_producers_are_asked_when_all_is_sent(bench: Bench) -> None:
    """A pull producer is asked once at the beginning, and then when what it wrote is sent; not in between."""
    pulled = Pulled()
    bench.transport.registerProducer(pulled, False)
    for _ in range(50):
        bench.tcp.turn()
    assert pulled.asked == 1
    bench.tcp.room = 10
    bench.transport.write(b"answer")
    bench.client.exchange()
    assert pulled.asked == 1
    bench.tcp.room = MUCH
    bench.client.exchange()
    bench.client.exchange()
    assert pulled.asked == 2


def test_push_producers_wait(bench: Bench) -> None:
    """A push producer waits while much is to be sent."""
    pushing = Pushing()
    bench.transport.registerProducer(pushing, True)
    bench.tcp.room = 0
    bench.transport.write(b"x" * 100_000)
    assert pushing.waits
    bench.tcp.room = MUCH
    bench.client.exchange()
    assert not pushing.waits


@pytest.mark.parametrize("producer", [Pulled(), Pushing()])
def test_producers_hear_of_the_end(bench: Bench, producer: Pulled) -> None:
    """A producer is told when the connection is gone, also one that comes too late."""
    streaming = isinstance(producer, Pushing)
    bench.transport.registerProducer(producer, streaming)
    bench.tcp.abortConnection()
    bench.tcp.turn()
    assert producer.stopped
    late = type(producer)()
    bench.transport.registerProducer(late, streaming)
    assert late.stopped


@pytest.mark.parametrize("producer", [Pulled(), Pushing()])
def test_producers_keep_nothing_open(bench: Bench, producer: Pulled) -> None:
    """A producer that comes between the client's goodbye and the end hears of that, and doesn't delay it."""
    bench.tcp.room = 0
    bench.transport.write(b"answer")
    bench.client.say_goodbye()
    assert bench.tcp.connected
    bench.transport.registerProducer(producer, isinstance(producer, Pushing))
    assert producer.stopped
    bench.tcp.room = MUCH
    bench.client.exchange()
    assert not bench.tcp.connected


def test_reading_pauses(bench: Bench) -> None:
    """A connection that isn't read from lets TCP hold the client back."""
    bench.transport.pauseProducing()
    assert not bench.tcp.is_reading
    bench.transport.resumeProducing()
    assert bench.tcp.is_reading


def test_closing_waits_for_what_is_to_be_sent(bench: Bench) -> None:
    """Closing sends everything first, then says goodbye, and ends although the client says nothing."""
    bench.tcp.room = 100
    bench.transport.write(b"x" * 200_000)
    bench.transport.loseConnection()
    bench.client.exchange()
    assert bench.tcp.connected
    bench.tcp.room = MUCH
    bench.client.exchange()
    assert len(bench.client.received) == 200_000
    assert bench.client.told_goodbye
    assert not bench.tcp.connected
    assert len(bench.server.lost) == 1


@pytest.mark.parametrize("streaming", [True, False])
def test_closing_waits_for_producers(bench: Bench, streaming: bool) -> None:
    """A connection with a producer closes once that is unregistered."""
    bench.transport.registerProducer(Pushing(), streaming)
    bench.transport.loseConnection()
    bench.transport.write(b"the rest")
    bench.client.exchange()
    assert bench.tcp.connected
    bench.transport.unregisterProducer()
    bench.client.exchange()
    assert bench.client.received == b"the rest"
    assert bench.client.told_goodbye
    assert not bench.tcp.connected


@pytest.mark.parametrize("producer", [None, Pulled(), Pushing()])
def test_client_says_goodbye(bench: Bench, producer: Pulled | None) -> None:
    """A client's goodbye ends the connection, once, whoever writes."""
    if producer is not None:
        bench.transport.registerProducer(producer, isinstance(producer, Pushing))
    bench.client.say_goodbye()
    assert not bench.tcp.connected
    assert len(bench.server.lost) == 1
    assert producer is None or producer.stopped


def test_nonsense(bench: Bench) -> None:
    """What can't be decrypted ends the connection, once, also while a pull producer writes."""
    pulled = Pulled()
    bench.transport.registerProducer(pulled, False)
    bench.tcp.arrive(b"\x17\x03\x03\x00\x20" + b"nonsense" * 4)
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        bench.client.exchange()
    bench.tcp.turn()
    assert not bench.tcp.connected
    assert len(bench.server.lost) == 1
    assert pulled.stopped


def test_half_closed(bench: Bench) -> None:
    """A half-closed connection has sent everything and a goodbye, and reads what still comes."""
    bench.transport.write(b"refused")
    bench.transport.loseWriteConnection()
    bench.client.exchange()
    assert (bench.client.received, bench.client.told_goodbye) == (b"refused", True)
    assert bench.tcp.connected
    bench.client.send(b"more")
    assert bench.server.received == b"more"
    bench.client.say_goodbye()
    assert not bench.tcp.connected
    assert len(bench.server.lost) == 1


def test_half_closed_and_cut(bench: Bench) -> None:
    """A half-closed connection can be cut."""
    bench.transport.loseWriteConnection()
    bench.client.exchange()
    bench.transport.abortConnection()
    bench.tcp.turn()
    assert len(bench.server.lost) == 1


def test_when_it_is_gone(bench: Bench) -> None:
    """What is done to a connection that is gone does nothing, however often."""
    writer = begun(bench)
    bench.transport.abortConnection()
    bench.transport.abortConnection()
    bench.tcp.turn()
    for _ in range(2):
        bench.transport.write(b"late")
        writer.write(b"late")
        writer.stop()
        bench.transport.loseWriteConnection()
        bench.transport.loseConnection()
        bench.transport.abortConnection()
        bench.transport.unregisterProducer()
    bench.tcp.turn()
    assert len(bench.server.lost) == 1


def test_cut_before_the_handshake(tmp_path: Path) -> None:
    """A connection can be cut or closed before its handshake is done."""
    for end in ("abortConnection", "loseConnection"):
        bench = Bench(tmp_path)
        getattr(bench.transport, end)()
        bench.tcp.turn()
        assert len(bench.server.lost) == 1


def test_no_handshake(tmp_path: Path) -> None:
    """Who doesn't speak TLS gets no further than the handshake."""
    bench = Bench(tmp_path)
    bench.tcp.arrive(b"GET / HTTP/1.1\r\nHost: printer\r\n\r\n")
    bench.tcp.turn()
    assert bench.server.received == b""
    assert not bench.tcp.connected
    assert len(bench.server.lost) == 1


def test_is_secure(bench: Bench) -> None:
    """The transport is known as an encrypted one, and as a push producer."""
    assert ISSLTransport.providedBy(bench.transport)
    assert IPushProducer.providedBy(bench.transport)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 are spoken, with forward secrecy, authenticated encryption and no compression."""
    bench = Bench(tmp_path, context=client_context(maximum_version=version, minimum_version=version))
    bench.client.shake_hands()
    bench.client.send(b"question")
    assert bench.server.received == b"question"
    cipher = bench.client.tls.cipher()
    assert cipher is not None
    assert cipher[0].startswith(("ECDHE-", "TLS_"))
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
    assert bench.client.tls.compression() is None


def test_old_versions(tmp_path: Path) -> None:
    """TLS 1.1 is refused."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore", DeprecationWarning)
        context = client_context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    bench = Bench(tmp_path, context=context)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        bench.client.shake_hands()
    assert not bench.tcp.connected


@pytest.mark.parametrize("cipher", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256"])
def test_weak_ciphers(tmp_path: Path, cipher: str) -> None:
    """Ciphers of TLS 1.2 without forward secrecy or with CBC are refused."""
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    bench = Bench(tmp_path, context=context)
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        bench.client.shake_hands()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A client that comes again needs no whole handshake."""
    bench = Bench(tmp_path, context=client_context(maximum_version=version))
    bench.client.shake_hands()
    bench.client.send(b"one")
    session = bench.client.tls.session
    assert session is not None
    bench.client.say_goodbye()
    bench.connect(session)
    bench.client.shake_hands()
    assert bench.client.tls.session_reused


def test_looks_after_the_certificate(bench: Bench) -> None:
    """While it is listened on, the files are looked at every minute, not only when somebody connects."""
    warnings = bench.factory._credentials._warnings
    bench.factory.doStart()  # type: ignore[no-untyped-call]  # Twisted's
    (bench.folder / "moonraker.key").unlink()
    bench.clock.advance(LOOK_EVERY)
    assert len(warnings.texts()) == 1
    bench.factory.doStop()  # type: ignore[no-untyped-call]  # Twisted's
    PAIR.write(bench.folder)
    bench.clock.advance(LOOK_EVERY)
    assert len(warnings.texts()) == 1
    assert not bench.clock.getDelayedCalls()


class Hello(Resource):
    """Says whether the request came encrypted."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:  # noqa: N802  # twisted.web looks it up
        """Answer."""
        return b"secure" if request.isSecure() else b"plain"


@define(eq=False)
class SiteBench(Bench):
    """A client of our site."""

    site: LimitedSite = field(init=False)

    def connect(self, session: ssl.SSLSession | None = None) -> None:
        """Connect a client to a site."""
        self.site = LimitedSite(Hello(), self.clock, lambda _: True, lambda _: False)  # type: ignore[no-untyped-call]  # Twisted's
        self.factory.wrappedFactory = self.site
        super().connect()


def test_site(tmp_path: Path) -> None:
    """A site answers requests under TLS, one after the other, and knows that they are secure."""
    bench = SiteBench(tmp_path)
    bench.client.shake_hands()
    for _ in range(2):
        bench.client.received = b""
        bench.client.send(b"GET / HTTP/1.1\r\nHost: printer\r\n\r\n")
        head, _, body = bench.client.received.partition(b"\r\n\r\n")
        assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"secure")


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)]
)
def test_agreed_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: list[str], agreed: str | None
) -> None:
    """Clients that offer HTTP/2, too, are told to use HTTP/1.1, also where there is a library for HTTP/2."""
    monkeypatch.setattr(http, "H2_ENABLED", True)
    context = client_context()
    if offered:
        context.set_alpn_protocols(offered)
    bench = SiteBench(tmp_path, context=context)
    bench.client.shake_hands()
    assert bench.client.tls.selected_alpn_protocol() == agreed


def test_refused_body(tmp_path: Path) -> None:
    """Who sends too much gets to read why that is refused, and is cut after a while."""
    bench = SiteBench(tmp_path)
    bench.client.shake_hands()
    bench.client.send(b"POST / HTTP/1.1\r\nHost: printer\r\nContent-Length: 99999999\r\n\r\nbegin")
    assert bench.client.received.startswith(b"HTTP/1.1 413 ")
    assert b"longer than" in bench.client.received
    assert bench.client.told_goodbye
    for _ in range(3):
        bench.client.send(b"x" * 10_000)
    assert bench.tcp.connected
    bench.clock.advance(LINGER)
    bench.tcp.turn()
    assert not bench.tcp.connected
    assert not bench.site.channels


def test_last_response(tmp_path: Path) -> None:
    """After a last response the connection ends, whatever the client does then."""
    bench = SiteBench(tmp_path)
    bench.client.shake_hands()
    bench.client.send(b"GET / HTTP/1.1\r\nHost: printer\r\nConnection: close\r\n\r\n")
    assert bench.client.received.endswith(b"\r\n\r\nsecure")
    assert bench.client.told_goodbye
    assert not bench.tcp.connected
    assert not bench.site.channels


def test_slow_handshake(tmp_path: Path) -> None:
    """Who connects and never ends the handshake is cut off like those who never end a request."""
    bench = SiteBench(tmp_path)
    assert len(bench.site.channels) == 1
    bench.clock.advance(WHOLE_WITHIN)
    bench.tcp.turn()
    assert not bench.tcp.connected
    assert not bench.site.channels
