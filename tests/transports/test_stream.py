"""Writing to a socket at once, and never out of order."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPullProducer
from zope.interface.verify import verifyObject

from txraker.transports.stream import PIECE, Reading, StreamWriter


class FakeSocket(socket.socket):
    """A socket that takes as many bytes as it has room for; no descriptor is opened for it."""

    def __init__(self) -> None:
        self.room = 0
        self.taken = b""
        self.fault: OSError | None = None

    def __new__(cls) -> FakeSocket:
        """Make it without opening anything."""
        return socket.socket.__new__(cls)

    def send(self, data: Any, flags: int = 0) -> int:
        """Take what there is room for."""
        if self.fault is not None:
            raise self.fault
        if not self.room:
            raise BlockingIOError
        sent = min(self.room, len(data))
        self.taken += bytes(data[:sent])
        self.room -= sent
        return sent


@define(eq=False)
class FakeTransport:
    """A transport of Twisted's: it keeps what it is given until the reactor lets it send."""

    handle: FakeSocket = field(factory=FakeSocket)
    waiting: bytes = b""
    producer: IPullProducer | None = None
    reading: bool = True

    def registerProducer(self, producer: IPullProducer, streaming: bool) -> None:
        """Note the producer, and ask it for more, as real transports do with pull producers."""
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producer = None

    def getHandle(self) -> FakeSocket:
        """Return the socket."""
        return self.handle

    def write(self, data: bytes) -> None:
        """Keep bytes."""
        self.waiting += data

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self.reading = True

    def turn(self) -> None:
        """Send what the socket takes, as the reactor lets transports do, and ask for more at the end."""
        if self.waiting and self.handle.room:
            sent = self.handle.send(self.waiting)
            self.waiting = self.waiting[sent:]
            if not self.waiting and self.producer is not None:
                self.producer.resumeProducing()


@define(eq=False)
class Bench:
    """A writer on its transport."""

    transport: FakeTransport = field(factory=FakeTransport)
    drained: list[bool] = field(factory=list)
    writer: StreamWriter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.writer = StreamWriter(self.transport, lambda: self.drained.append(True))  # type: ignore[arg-type]  # what it uses of one
        self.writer.start()

    def begin(self) -> None:
        """Send a first message, by the transport's own way."""
        self.writer.write(b"hello")
        self.transport.handle.room = 5
        self.transport.turn()
        assert self.transport.handle.taken == b"hello"
        self.transport.handle.taken = b""
        self.drained.clear()


@pytest.fixture
def bench() -> Bench:
    """Make a writer that has written once."""
    bench = Bench()
    bench.begin()
    return bench


def test_provides(bench: Bench) -> None:
    """A writer is a producer that the transport can ask for more."""
    assert verifyObject(IPullProducer, bench.writer)


def test_at_once(bench: Bench) -> None:
    """While nothing waits bytes go to the socket at once, and more may be written."""
    bench.transport.handle.room = 100
    for text in (b"one", b"two"):
        bench.writer.write(text)
        assert bench.writer.is_idle
    assert (bench.transport.handle.taken, bench.transport.waiting) == (b"onetwo", b"")


def test_together(bench: Bench) -> None:
    """What is written while it is held goes out at once, and no later than a piece is full."""
    bench.transport.handle.room = 3 * PIECE
    bench.writer.hold()
    bench.writer.write(b"one")
    bench.writer.hold()
    bench.writer.write(b"two")
    assert bench.writer.is_idle
    assert bench.transport.handle.taken == b""
    bench.writer.let_go()
    assert bench.transport.handle.taken == b"onetwo"
    bench.writer.let_go()
    bench.writer.hold()
    bench.writer.write(bytes(PIECE))
    assert len(bench.transport.handle.taken) == PIECE + 6
    bench.writer.write(b"three")
    bench.writer.stop()
    assert bench.transport.handle.taken.endswith(b"three")


@pytest.mark.parametrize("room", [0, 1, 5])
def test_what_the_socket_does_not_take(bench: Bench, room: int) -> None:
    """What the socket doesn't take waits in the transport, and it is said when that has sent it."""
    bench.transport.handle.room = room
    bench.writer.write(b"abcdef")
    assert not bench.writer.is_idle
    assert bench.drained == []
    bench.transport.handle.room = 100
    bench.transport.turn()
    assert bench.transport.handle.taken == b"abcdef"
    assert bench.writer.is_idle
    assert bench.drained == [True]


def test_broken_socket(bench: Bench) -> None:
    """An error of the socket is left to the transport, which meets it, too."""
    bench.transport.handle.fault = ConnectionResetError()
    bench.writer.write(b"abc")
    assert bench.transport.waiting == b"abc"
    assert not bench.writer.is_idle


def test_what_others_wrote_before() -> None:
    """What was given to the transport before goes first."""
    bench = Bench()
    bench.transport.waiting = b"first "
    bench.transport.handle.room = 100
    bench.writer.write(b"second ")
    bench.writer.write(b"third ")
    bench.transport.turn()
    bench.writer.write(b"fourth")
    bench.transport.turn()
    bench.transport.turn()
    assert bench.transport.handle.taken == b"first second third fourth"


def test_stopped(bench: Bench) -> None:
    """After its end a writer asks for nothing more, and what it had given is still sent."""
    bench.transport.handle.room = 1
    bench.writer.write(b"abc")
    bench.writer.stop()
    bench.transport.handle.room = 100
    bench.transport.turn()
    assert bench.transport.handle.taken == b"abc"
    assert (bench.drained, bench.writer.is_idle, bench.transport.producer) == ([], False, None)


def test_lost(bench: Bench) -> None:
    """A writer whose connection is gone is not idle."""
    bench.writer.stopProducing()
    assert not bench.writer.is_idle


kinds = st.sampled_from(["write", "turn", "hold", "let go"])
steps = st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(0, 9)))


@given(steps)
def test_order(steps: list[tuple[str, int, int]]) -> None:
    """However much the socket takes and when, bytes arrive whole and in their order."""
    bench = Bench()
    written = b""
    is_held = False
    for number, (what, size, room) in enumerate(steps):
        bench.transport.handle.room += room
        if what == "write":
            text = bytes([number % 256]) * size
            written += text
            bench.writer.write(text)
        elif what == "hold":
            bench.writer.hold()
            is_held = True
        elif what == "let go":
            bench.writer.let_go()
            is_held = False
        else:
            bench.transport.turn()
        waiting = bench.transport.waiting
        taken = bench.transport.handle.taken + waiting
        assert written.startswith(taken)
        assert is_held or not (bench.writer.is_idle and (waiting or taken != written))
    bench.writer.let_go()
    bench.transport.handle.room = 1 << 30
    for _ in range(len(steps) + 1):
        bench.transport.turn()
    assert bench.transport.handle.taken == written


def test_reasons_not_to_read() -> None:
    """A transport is read from again when the last reason not to has gone, however often each was given."""
    transport = FakeTransport()
    reading = Reading(transport)  # type: ignore[arg-type]  # what it uses of one
    reading.pause("rate")
    reading.pause("klippy")
    reading.pause("rate")
    assert not transport.reading
    reading.resume("rate")
    reading.resume("rate")
    assert not transport.reading
    reading.resume("klippy")
    assert transport.reading
