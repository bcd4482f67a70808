"""TLS in memory: a TCP transport of Twisted's without a socket, and a client that uses Python's own ssl."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.transports.test_stream import FakeSocket

MUCH = 1 << 30


@define(eq=False)
class Polling:
    """The part of a reactor that descriptors tell what they wait for."""

    clock: Clock
    readers: set[object] = field(factory=set)
    writers: set[object] = field(factory=set)

    def addReader(self, reader: object) -> None:  # noqa: N802
        """Wait for bytes."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:  # noqa: N802
        """Don't."""
        self.readers.discard(reader)

    def addWriter(self, writer: object) -> None:  # noqa: N802
        """Wait for room."""
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:  # noqa: N802
        """Don't."""
        self.writers.discard(writer)


class MemoryTcp(FileDescriptor):
    """A TCP transport whose other end takes as many bytes as there is ``room`` for.

    ``sent`` is what has gone over the wire, by the transport or by its ``handle``, the socket.
    """

    def __init__(self, protocol: Protocol, clock: Clock) -> None:
        self.polling = Polling(clock)
        super().__init__(self.polling)  # type: ignore[arg-type]  # what it uses of a reactor
        self.protocol = protocol
        self.connected = True
        self.room = MUCH
        self._is_cut = False
        self.sent = b""
        self.handle = SocketOf(self)
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's
        protocol.makeConnection(self)

    def writeSomeData(self, data: bytes) -> int:  # noqa: N802
        """Take what there is room for."""
        size = min(self.room, len(data))
        self.room -= size
        self.sent += data[:size]
        return size

    def turn(self) -> None:
        """Let the reactor turn once."""
        self.polling.clock.advance(0)
        if self in self.polling.writers and (self.room or not (self.dataBuffer or self._tempDataBuffer)):
            ended = self.doWrite()  # type: ignore[no-untyped-call]  # Twisted's
            if ended is not None:
                self.connectionLost(Failure(ended))

    def arrive(self, data: bytes) -> None:
        """Let bytes arrive, if they are waited for."""
        assert self in self.polling.readers
        self.protocol.dataReceived(data)

    @property
    def is_reading(self) -> bool:
        """Whether bytes are waited for."""
        return self in self.polling.readers

    def connectionLost(self, reason: Failure) -> None:
        """End."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's
        self.protocol.connectionLost(reason)

    def abortConnection(self) -> None:
        """Cut, in the next turn."""
        if self.disconnected or self._is_cut:
            return
        self._is_cut = True
        self.stopReading()  # type: ignore[no-untyped-call]  # Twisted's
        self.stopWriting()  # type: ignore[no-untyped-call]  # Twisted's
        self.polling.clock.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def getHandle(self) -> SocketOf:
        """Return the socket."""
        return self.handle

    def getPeer(self) -> IPv4Address:  # noqa: N802
        """Return the address of the client."""
        return IPv4Address("TCP", "127.0.0.1", 40000)

    def getHost(self) -> IPv4Address:  # noqa: N802
        """Return our address."""
        return IPv4Address("TCP", "127.0.0.1", 7130)

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""


class SocketOf(FakeSocket):
    """The socket of a transport: what is sent by it goes over the same wire."""

    def __init__(self, tcp: MemoryTcp) -> None:
        super().__init__()
        self._tcp = tcp

    def __new__(cls, tcp: MemoryTcp) -> SocketOf:
        """Make it without opening anything."""
        return socket.socket.__new__(cls)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what there is room for."""
        if not self._tcp.room:
            raise BlockingIOError
        return self._tcp.writeSomeData(bytes(data))


def client_context(**settings: Any) -> ssl.SSLContext:
    """Return what a client is like that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@define(eq=False)
class TlsClient:
    """A client; ``received`` is what it has decrypted, ``told_goodbye`` whether that has ended properly."""

    tcp: MemoryTcp
    context: ssl.SSLContext = field(factory=client_context)
    session: ssl.SSLSession | None = None
    received: bytes = b""
    told_goodbye: bool = False
    incoming: ssl.MemoryBIO = field(factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(factory=ssl.MemoryBIO)
    tls: ssl.SSLObject = field(init=False)
    _taken: int = 0

    def __attrs_post_init__(self) -> None:
        self.tls = self.context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=self.session
        )

    def shake_hands(self) -> None:
        """Do the handshake, whole; raises ssl.SSLError."""
        for _ in range(5):
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.exchange()

    def send(self, data: bytes) -> None:
        """Encrypt and send."""
        self.tls.write(data)
        self.exchange()

    def say_goodbye(self) -> None:
        """End properly."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.exchange()

    def exchange(self) -> None:
        """Let what was sent by either side come through."""
        for _ in range(5):
            data = self.outgoing.read()
            if data and self.tcp.connected:
                self.tcp.arrive(data)
            self.tcp.turn()
            self.incoming.write(self.tcp.sent[self._taken :])
            self._taken = len(self.tcp.sent)
            self._read()

    def _read(self) -> None:
        try:
            while self.tls.version() is not None:
                data = self.tls.read(65536)
                self.received += data
                if not data:
                    self.told_goodbye = True
                    return
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError) as ended:
            self.told_goodbye = self.told_goodbye or isinstance(ended, ssl.SSLZeroReturnError)


def records(wire: bytes) -> list[int]:
    """Take what went over a wire apart as TLS records, and return their types; it must be nothing else."""
    types = []
    while wire:
        kind, version, size = wire[0], wire[1:3], int.from_bytes(wire[3:5], "big")
        assert version in (b"\x03\x01", b"\x03\x03"), wire[:20]
        assert len(wire) >= 5 + size, "a torn record"
        types.append(kind)
        wire = wire[5 + size :]
    return types
