"""What IConnection promises, kept by the one in memory and by a websocket alike."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.tools import Faults
from txraker.api.dispatch import Dispatcher
from txraker.clients import ClientIdentity, Clients
from txraker.events import Events, GcodeResponse, StatusUpdate
from txraker.interfaces import IConnection, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery
from txraker.testing.connection import MemoryConnection
from txraker.testing.klippy import MemoryKlippy
from txraker.transports.websocket import ApiWebSocket, ApiWebSocketFactory

TEXT, CLOSE = 1, 8


class Setting(Protocol):
    """A connection, and the client's view of it."""

    connection: Any

    def received(self) -> list[Any]:
        """Return the messages that the client has got."""

    def closed(self) -> tuple[int, str] | None:
        """Return the code and reason with which the connection was closed, if it was."""


@define(eq=False)
class InMemory:
    """The fake."""

    connection: MemoryConnection = field(factory=MemoryConnection)

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


class Wire(StringTransport):
    """A transport that knows what Autobahn wants of one, typed."""

    def clear(self) -> None:
        """Forget what was written."""
        self.io = BytesIO()

    def text(self) -> bytes:
        """Return what was written."""
        text: bytes = self.io.getvalue()
        return text

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802  # Twisted's name
        """Do nothing."""

    def unregisterProducer(self) -> None:  # noqa: N802  # Twisted's name
        """Forget the producer, if there is one, as real transports do."""
        self.producer = None


@define(eq=False)
class Websocket:
    """A websocket after its handshake, on a transport in memory."""

    clock: Clock = field(factory=Clock)
    clients: Clients = field(factory=lambda: Clients(10))
    transport: Wire = field(factory=Wire)
    connection: ApiWebSocket = field(init=False)

    def __attrs_post_init__(self) -> None:
        faults = Faults()
        klippy = MemoryKlippy(self.clock, Events(faults), faults)
        dispatcher = Dispatcher(faults, lambda _: None, CancelledError)
        factory = ApiWebSocketFactory(self.clock, dispatcher, self.clients, klippy.status, faults)
        self.connection = factory.connect("192.0.2.1")
        self.connection.makeConnection(self.transport)  # type: ignore[no-untyped-call]  # Autobahn's
        key = base64.b64encode(b"0123456789abcdef").decode()
        request = (
            "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.connection.dataReceived(request.encode())
        assert self.transport.text().startswith(b"HTTP/1.1 101 ")
        self.transport.clear()

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


@pytest.fixture(params=[InMemory, Websocket])
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
    Clients(1).identify(setting.connection, identity)
    assert setting.connection.identity == identity


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


@pytest.mark.parametrize(("code", "reason"), [(1001, ""), (1013, "try again"), (1009, "too large")])
def test_close(setting: Setting, code: int, reason: str) -> None:
    """A connection is closed with a code and a reason."""
    assert setting.closed() is None
    setting.connection.close(code, reason)
    assert setting.closed() == (code, reason)


def test_after_close(setting: Setting) -> None:
    """After the end nothing more is sent, and to close again changes nothing."""
    setting.connection.send(msgspec.json.encode(1))
    setting.connection.close(1001, "bye")
    setting.connection.send(msgspec.json.encode(2))
    setting.connection.close(1000, "again")
    setting.connection.send(msgspec.json.encode(3))
    assert setting.received() == [1]
    assert setting.closed() == (1001, "bye")


def test_a_client_that_left() -> None:
    """To a client that has left nothing can be said, and it is counted no more."""
    setting = Websocket()
    assert list(setting.clients) == [setting.connection]
    setting.connection.connectionLost(Failure(ConnectionDone()))
    assert list(setting.clients) == []
    setting.transport.clear()
    setting.connection.send(msgspec.json.encode(1))
    setting.connection.close(1001, "")
    assert setting.received() == []
