"""What IConnection promises, kept by the one in memory and by a websocket alike."""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.tools import Faults, Logged, start
from txraker.api import jsonrpc
from txraker.api.caller import NOBODY, TRUSTED, Caller, Transport
from txraker.api.dispatch import Dispatcher
from txraker.clients import ClientIdentity, Clients
from txraker.errors import ClientError, Unavailable
from txraker.events import Events, GcodeResponse, StatusUpdate
from txraker.interfaces import IConnection, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery
from txraker.outgoing import Outgoing
from txraker.testing.connection import MemoryConnection
from txraker.testing.klippy import MemoryKlippy
from txraker.transports.link import KNOWN_WITHIN, Link, LinkService
from txraker.transports.unix import UnixClient
from txraker.transports.websocket import ApiWebSocket, WebSocketFactory

TEXT, CLOSE = 1, 8


class Setting(Protocol):
    """A connection, and the client's view of it."""

    connection: Any

    def say(self, text: bytes) -> None:
        """Let the client say something."""

    def received(self) -> list[Any]:
        """Return the messages that the client has got."""

    def closed(self) -> tuple[int, str] | None:
        """Return the code and reason with which the connection was closed, if it was."""


@define(eq=False)
class InMemory:
    """The fake."""

    connection: MemoryConnection = field(factory=MemoryConnection)

    def say(self, text: bytes) -> None:
        message = jsonrpc.parse(text)
        assert isinstance(message, jsonrpc.Response)
        self.connection.answered(message)

    def received(self) -> list[Any]:
        return list(self.connection.messages)

    def closed(self) -> tuple[int, str] | None:
        return self.connection.closed


def server_frames(text: bytes) -> list[tuple[int, bytes]]:
    """Take the websocket frames of a server apart: opcodes and payloads."""
    frames = []
    while text:
        first, length = text[0], text[1]
        assert first & 0x80, "a fragment"
        assert not length & 0x80, "a server masks nothing"
        begin = 2
        if length >= 126:
            size, form = (2, "!H") if length == 126 else (8, "!Q")
            (length,) = struct.unpack(form, text[2 : 2 + size])
            begin += size
        frames.append((first & 0x0F, text[begin : begin + length]))
        text = text[begin + length :]
    return frames


class PeerOfTest:
    """A unix socket whose other end is process 77 of user 1000."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Return the credentials of the other end."""
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.pack("3i", 77, 1000, 1000)


class Wire(StringTransport):
    """A transport that knows what Autobahn wants of one, typed."""

    producer: IPullProducer | None = None
    takes: bool = True
    """Whether the client takes what it is sent."""

    def registerProducer(self, producer: IPullProducer, streaming: bool) -> None:
        """Note who wants to write, and let it, as real transports do."""
        assert not streaming
        super().registerProducer(producer, streaming)  # type: ignore[no-untyped-call]  # Twisted's
        self.taken()

    def write(self, data: bytes) -> None:
        """Send, and say so when all is sent."""
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's
        self.taken()

    def taken(self) -> None:
        """Say that all is sent, if the client takes it."""
        if self.takes and self.producer is not None:
            self.producer.resumeProducing()

    def clear(self) -> None:
        """Forget what was written."""
        self.io = BytesIO()

    def text(self) -> bytes:
        """Return what was written."""
        text: bytes = self.io.getvalue()
        return text

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one, as real transports do."""
        self.producer = None

    def getHandle(self) -> PeerOfTest:
        """Return what a socket's options are asked of."""
        return PeerOfTest()


@define(eq=False)
class Websocket:
    """A websocket after its handshake, on a transport in memory."""

    clock: Clock = field(factory=Clock)
    transport: Wire = field(factory=Wire)
    clients: Clients = field(init=False)
    protocol: ApiWebSocket = field(init=False)

    def __attrs_post_init__(self) -> None:
        service = link_service(self.clock)
        self.clients = service.clients
        self.protocol = ApiWebSocket(service, Caller(Transport.WEBSOCKET, "192.0.2.1", TRUSTED))
        self.protocol.factory = WebSocketFactory(self.clock)
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]  # Twisted's
        key = base64.b64encode(b"0123456789abcdef").decode()
        request = (
            "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.protocol.dataReceived(request.encode())
        assert self.transport.text().startswith(b"HTTP/1.1 101 ")
        self.transport.clear()

    @property
    def connection(self) -> Link:
        return self.protocol.link

    def say(self, text: bytes) -> None:
        assert len(text) < 126
        self.protocol.dataReceived(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)

    def received(self) -> list[Any]:
        return [
            msgspec.json.decode(payload)
            for opcode, payload in server_frames(self.transport.text())
            if opcode == TEXT
        ]

    def closed(self) -> tuple[int, str] | None:
        for opcode, payload in server_frames(self.transport.text()):
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()
        return None


@define(eq=False)
class UnixSocket:
    """A program on the unix socket, on a transport in memory."""

    clock: Clock = field(factory=Clock)
    transport: Wire = field(factory=Wire)
    clients: Clients = field(init=False)
    protocol: UnixClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        service = link_service(self.clock)
        self.clients = service.clients
        self.protocol = UnixClient(service, set())
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]  # Twisted's

    @property
    def connection(self) -> Any:
        (connection,) = self.clients
        return connection

    def say(self, text: bytes) -> None:
        self.protocol.dataReceived(text + b"\x03")

    def received(self) -> list[Any]:
        return [msgspec.json.decode(text) for text in self.transport.text().split(b"\x03")[:-1]]

    def closed(self) -> tuple[int, str] | None:
        return (1000, "") if self.transport.disconnecting else None


def link_service(clock: Clock) -> LinkService:
    """Make what connections of one server share."""
    faults = Faults()
    events = Events(faults)
    klippy = MemoryKlippy(clock, events, faults)
    dispatcher = Dispatcher(faults, lambda _: None, CancelledError)
    clients = Clients(10, events)
    return LinkService(
        clock, dispatcher, clients, klippy.status, faults, Logged().logger(), 1024 * 1024, 30.0
    )


@pytest.fixture(params=[InMemory, Websocket, UnixSocket])
def making(request: pytest.FixtureRequest) -> Callable[[], Setting]:
    """Say how to make each kind of connection."""
    making: Callable[[], Setting] = request.param
    return making


@pytest.fixture
def setting(making: Callable[[], Setting]) -> Setting:
    """Make a connection."""
    return making()


MESSAGE = {"jsonrpc": "2.0", "method": "notify_gcode_response", "params": ["// hä"]}


def test_provides(setting: Setting) -> None:
    """Both provide what they say."""
    assert verifyObject(IConnection, setting.connection)
    assert verifyObject(IStatusSubscriber, setting.connection)


def test_ids(making: Callable[[], Setting]) -> None:
    """A connection has a number that a JavaScript client can hold."""
    connection = making().connection
    assert isinstance(connection.connection_id, int)
    assert 0 <= connection.connection_id < 2**53


def test_identity(setting: Setting) -> None:
    """A connection has no identity until it has told one."""
    assert setting.connection.identity is None
    identity = ClientIdentity("mainsail", "2", "web", "")
    Clients(1, Events(Faults())).identify(setting.connection, identity)
    assert setting.connection.identity == identity


def test_whence(setting: Setting) -> None:
    """A connection knows how and from where it came."""
    assert setting.connection.transport in (Transport.WEBSOCKET, Transport.UNIX)
    assert isinstance(setting.connection.address, str)


def test_credentials() -> None:
    """A program on the unix socket is known by its process and user."""
    connection = UnixSocket().connection
    assert (connection.transport, connection.address) == (Transport.UNIX, "process 77 of user 1000")


def test_hashed_by_identity(making: Callable[[], Setting]) -> None:
    """Connections differ, whatever they hold, and can be kept in sets."""
    one, other = making().connection, making().connection
    assert one != other
    assert {one, other, one} == {one, other}


def test_send(setting: Setting) -> None:
    """Texts arrive whole and in their order, large ones too."""
    setting.connection.send(GcodeResponse("// hä").encode())
    for size in (0, 200, 100_000):
        setting.connection.send(msgspec.json.encode("x" * size))
    assert setting.received() == [MESSAGE, "", "x" * 200, "x" * 100_000]


def test_status(setting: Setting) -> None:
    """A change of printer objects arrives as a notification."""
    delivery = Delivery(StatusUpdate({"fan": {"speed": 1}}, 2.0), (setting.connection,))
    setting.connection.status_changed(delivery)
    (message,) = setting.received()
    assert (message["method"], message["params"]) == ("notify_status_update", [{"fan": {"speed": 1}}, 2.0])
    assert "id" not in message


def test_tell(setting: Setting) -> None:
    """What is told to many arrives as what is sent to one."""
    setting.connection.tell(Outgoing(GcodeResponse("// hä").encode()))
    assert setting.received() == [MESSAGE]


@pytest.mark.parametrize(("code", "reason"), [(1001, ""), (1013, "try again"), (1009, "too large")])
def test_close(setting: Setting, code: int, reason: str) -> None:
    """A connection is closed, with a code and a reason where it has words for them."""
    assert setting.closed() is None
    setting.connection.close(code, reason)
    assert setting.closed() == ((1000, "") if isinstance(setting, UnixSocket) else (code, reason))


def test_cut(making: Callable[[], Setting]) -> None:
    """A connection can be cut, too."""
    setting = making()
    setting.connection.cut()
    if not isinstance(setting, InMemory):
        transport: Wire = setting.transport  # type: ignore[attr-defined]  # both others have it
        assert transport.disconnected or transport.disconnecting


def test_after_close(setting: Setting) -> None:
    """After the end nothing more is sent, and to close again changes nothing."""
    setting.connection.send(msgspec.json.encode(1))
    setting.connection.close(1001, "bye")
    setting.connection.send(msgspec.json.encode(2))
    setting.connection.tell(Outgoing(b"2"))
    setting.connection.close(1000, "again")
    setting.connection.send(msgspec.json.encode(3))
    assert setting.received() == [1]
    assert setting.closed() == ((1000, "") if isinstance(setting, UnixSocket) else (1001, "bye"))


def asked(setting: Setting) -> int:
    """Return the id of the one request that the client has got."""
    (message,) = setting.received()
    number: int = message["id"]
    return number


@pytest.mark.parametrize(
    ("params", "members"), [(None, {}), ([1, "a"], {"params": [1, "a"]}), ({}, {"params": {}})]
)
def test_request(setting: Setting, params: object, members: dict[str, object]) -> None:
    """A client that is asked gets a request, and its result is the answer."""
    outcome = start(setting.connection.request("moontest.hi", params))
    number = asked(setting)
    assert setting.received() == [{"jsonrpc": "2.0", "method": "moontest.hi", "id": number, **members}]
    assert not outcome.done
    setting.say(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "result": {"a": [1]}}))
    assert outcome.result() == {"a": [1]}


def test_refused_request(setting: Setting) -> None:
    """The error of a client that is asked is passed on with its code and words."""
    outcome = start(setting.connection.request("moontest.hi", None))
    error = {"code": -32601, "message": "Method not found"}
    setting.say(msgspec.json.encode({"jsonrpc": "2.0", "id": asked(setting), "error": error}))
    with pytest.raises(ClientError, match="Method not found") as caught:
        outcome.result()
    assert caught.value.jsonrpc_code == -32601


@pytest.mark.parametrize("number", [None, "1", 1.0, -1, 10**12])
def test_answers_to_nothing(setting: Setting, number: object) -> None:
    """An answer to no request of ours is ignored."""
    outcome = start(setting.connection.request("moontest.hi", None))
    setting.say(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "result": 1}))
    assert not outcome.done
    text = msgspec.json.encode({"jsonrpc": "2.0", "id": asked(setting), "result": 2})
    setting.say(text)
    setting.say(text)
    assert outcome.result() == 2


def test_open(setting: Setting) -> None:
    """A connection is open until it has been closed."""
    assert setting.connection.is_open is True
    setting.connection.close(1001, "bye")
    assert setting.connection.is_open is False


def test_request_of_one_who_left(setting: Setting) -> None:
    """Who asks a connection that is cut is told at once."""
    connection = setting.connection
    waiting = start(connection.request("x", None))
    connection.cut()
    if not isinstance(setting, InMemory):
        setting.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]  # so has it
    for outcome in (waiting, start(connection.request("y", None))):
        assert isinstance(outcome.error, Unavailable)


@pytest.mark.parametrize("kind", [Websocket, UnixSocket])
def test_a_client_that_left(kind: Callable[[], Websocket | UnixSocket]) -> None:
    """To a client that has left nothing can be said, it is counted no more, and who asked it is told."""
    setting = kind()
    connection = setting.connection
    assert list(setting.clients) == [connection]
    waiting = start(connection.request("x", None))
    setting.protocol.connectionLost(Failure(ConnectionDone()))
    assert list(setting.clients) == []
    for outcome in (waiting, start(connection.request("y", None))):
        with pytest.raises(Unavailable):
            outcome.result()
    setting.transport.clear()
    connection.send(msgspec.json.encode(1))
    connection.close(1001, "")
    assert setting.received() == []


def test_authorize(setting: Setting) -> None:
    """A connection is somebody's, and may become nobody's."""
    assert setting.connection.who is TRUSTED
    setting.connection.authorize(NOBODY)
    assert setting.connection.who is NOBODY


@pytest.mark.parametrize("kind", [Websocket, UnixSocket])
def test_a_client_that_stays_unknown(kind: Callable[[], Websocket | UnixSocket]) -> None:
    """A client that isn't known may do nothing, hears nothing, and is turned away after some time."""
    setting = kind()
    setting.connection.authorize(NOBODY)
    setting.say(b'{"jsonrpc": "2.0", "method": "server.info", "id": 1}')
    setting.clients.broadcast(GcodeResponse("hello"))
    (answer,) = setting.received()
    assert "Unauthorized" in answer["error"]["message"] or answer["error"]["code"] == -32601
    setting.clock.advance(KNOWN_WITHIN - 1)
    assert setting.connection.is_open
    setting.clock.advance(1)
    assert not setting.connection.is_open


@pytest.mark.parametrize("kind", [Websocket, UnixSocket])
def test_a_client_that_becomes_known(kind: Callable[[], Websocket | UnixSocket]) -> None:
    """A client that becomes known in time stays."""
    setting = kind()
    setting.connection.authorize(NOBODY)
    setting.clock.advance(KNOWN_WITHIN - 1)
    setting.connection.authorize(TRUSTED)
    setting.clock.advance(5)
    assert setting.connection.is_open
