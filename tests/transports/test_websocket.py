"""The websocket's frames, and what clients may do with theirs."""

from __future__ import annotations

import struct

import pytest

from tests.contracts.test_connection_contract import Websocket, server_frames
from txraker.api.caller import NOBODY
from txraker.transports.link import ABORT_AFTER, BURST, REQUESTS_A_SECOND, Link
from txraker.transports.websocket import FRAGMENT_COST, MOST_FRAGMENTS
from txraker.transports.websocket_protocol import PIECE

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


def client_frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Frame something as clients do."""
    head = bytes([(0x80 if final else 0) | opcode])
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BQ", 0xFF, len(payload))
    return head + size + bytes(4) + payload


def test_too_many_fragments() -> None:
    """A message in too many fragments ends the connection with 1008."""
    setting = Websocket()
    setting.protocol.dataReceived(client_frame(1, b"x", final=False))
    for _ in range(1500):
        setting.protocol.dataReceived(client_frame(0, b"x", final=False))
    assert setting.closed() == (1008, "Too many fragments")


def test_after_too_many_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said in too many fragments isn't heard, nor is anything after it."""
    setting = Websocket()
    heard: list[bytes] = []
    monkeypatch.setattr(Link, "received", lambda link, text: heard.append(text))
    setting.protocol.dataReceived(client_frame(1, b"x", final=False))
    setting.protocol.dataReceived(client_frame(0, b"x", final=False) * MOST_FRAGMENTS)
    setting.protocol.dataReceived(client_frame(0, b"x") + client_frame(1, b"more"))
    assert heard == []


def test_close_frame_without_an_answer() -> None:
    """A client that doesn't answer a close frame is cut off 2 seconds after it, not sooner."""
    setting = Websocket()
    setting.protocol.take_leave(1008, "Too many fragments")
    setting.clock.advance(1.9)
    assert not setting.transport.disconnected
    setting.clock.advance(0.4)
    assert setting.transport.disconnected


def test_pings_cost() -> None:
    """Who sends pings all the time is read from at a bounded rate."""
    setting = Websocket()
    sent = 0
    for _ in range(500):
        setting.clock.advance(0.01)
        for _ in range(3):
            if setting.transport.producerState == "producing":
                setting.protocol.dataReceived(client_frame(PING, b"x") * 20)
                sent += 20
    assert sent <= (BURST + 5 * REQUESTS_A_SECOND) / FRAGMENT_COST + 1000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_many_in_one_read(monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    """Of what comes at once no more is done than the client may ask; the rest is done later, in order."""
    setting = Websocket()
    heard: list[bytes] = []

    def received(link: Link, text: bytes) -> None:
        heard.append(text)
        link.charge(1.0)

    monkeypatch.setattr(Link, "received", received)
    said = [b"%d" % number for number in range(6000)]
    setting.protocol.dataReceived(b"".join(client_frame(opcode, text) for text in said))
    assert len(heard) <= BURST + PIECE / len(client_frame(opcode, said[-1]))
    setting.protocol.dataReceived(client_frame(opcode, b"last"))
    for _ in range(1000):
        before = len(heard)
        setting.clock.advance(0.01)
        assert len(heard) - before < REQUESTS_A_SECOND / 2
    assert heard == [*said, b"last"]
    assert setting.transport.producerState == "producing"


def test_pongs_to_who_does_not_read() -> None:
    """Who sends pings and doesn't read makes nothing pile up for long."""
    setting = Websocket()
    setting.transport.takes = False
    for _ in range(50):
        setting.clock.advance(0.1)
        for _ in range(20):
            if setting.transport.producerState == "producing":
                setting.protocol.dataReceived(client_frame(PING, b"x" * 120) * 10)
    assert len(setting.transport.text()) < 512 * 1024


def test_time_to_take_leave() -> None:
    """A client over its bound gets a close frame, and two seconds to read up to it before it is cut."""
    setting = Websocket()
    setting.transport.takes = False
    for _ in range(4):
        setting.connection.send(b" " * (512 * 1024))
    assert setting.closed() == (1013, "Too slow: try again later")
    setting.clock.advance(ABORT_AFTER - 0.1)
    assert not setting.transport.disconnecting
    setting.clock.advance(0.2)
    assert setting.transport.disconnecting


def test_ping() -> None:
    """A ping gets its pong."""
    setting = Websocket()
    setting.protocol.dataReceived(client_frame(PING, b"hi"))
    assert server_frames(setting.transport.text()) == [(10, b"hi")]


def test_after_the_close_frame() -> None:
    """After a close frame nothing is sent."""
    setting = Websocket()
    setting.protocol.dataReceived(client_frame(CLOSE, struct.pack("!H", 1000)))
    setting.transport.clear()
    setting.connection.send(b"1")
    assert setting.received() == []


def test_long_message_of_a_stranger() -> None:
    """Who isn't known may not say much: it is refused at once, not done, and nothing of the rest is kept."""
    setting = Websocket()
    setting.connection.authorize(NOBODY)
    call = b'{"jsonrpc": "2.0", "method": "x", "id": 1, "params": {"x": "' + b"x" * 1_000_000 + b'"}}'
    setting.protocol.dataReceived(client_frame(TEXT, call[:100], final=False))
    assert setting.closed() is None
    setting.protocol.dataReceived(client_frame(CONTINUATION, call[100:70_000], final=False))
    assert setting.closed() == (1009, "Unauthorized")
    rest = client_frame(CONTINUATION, call[70_000:])
    setting.protocol.dataReceived(rest[:-1000])
    assert sum(map(len, setting.protocol.frame_data)) == 0
    setting.protocol.dataReceived(rest[-1000:])
    assert setting.received() == []
