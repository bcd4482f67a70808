"""HTTPS and secure websockets: connections under TLS that behave like those of TCP.

Twisted's own TLS transport differs from a TCP transport in ways that matter here. It asks pull producers for
more in every turn of the reactor; it waits without end for the other side's goodbye; half-closing it goes
past the encryption; and cutting it when it is gone already fails.
"""

from __future__ import annotations

from contextlib import suppress

from OpenSSL.SSL import WantReadError
from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IPullProducer,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.task import LoopingCall
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.reactor import Stream
from txraker.transports.certificate import Credentials

LONGEST_RECORD = 2**15
"""More bytes than a TLS record can have."""

LOOK_EVERY = 60.0
"""Seconds between two looks at the files while nobody connects: ``server.info`` tells of their state."""


class TlsConnection(TLSMemoryBIOProtocol):
    """The encrypted transport of a connection."""

    transport: Stream  # type: ignore[assignment]  # connected as long as it is used
    _tcp: _PulledTcp | None = None
    """What is beneath, while a pull producer writes."""

    def registerProducer(self, producer: IPushProducer | IPullProducer, streaming: bool) -> None:
        """Tell a producer when to wait, or ask it for more when everything before has been sent."""
        if streaming:
            super().registerProducer(producer, True)
            return
        super().registerProducer(_StandIn(producer), True)
        if not self._lostTLSConnection:
            self.transport.unregisterProducer()
            self._tcp = _PulledTcp(self.transport, producer)

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self._tcp = None
        if self.connected:
            super().unregisterProducer()

    def write_at_once(self, data: bytes) -> bool:
        """Write, not in the reactor's next turn, while nothing waits; say whether everything has gone.

        When it has not, the producer is asked for more when it has.
        """
        tcp = self._tcp
        if tcp is None:
            self.write(data)
            return False
        tcp.is_hasty = True
        self.write(data)
        tcp.is_hasty = False
        return not tcp.waits

    def loseWriteConnection(self) -> None:
        """Send no more. What the other side still sends is read."""
        if self.connected:
            super()._shutdownTLS()

    def abortConnection(self) -> None:
        """Close now, if that has not happened."""
        if self.connected:
            super().abortConnection()

    def _shutdownTLS(self) -> None:
        """Say goodbye and close once that is sent; there is no need to hear the other side's."""
        super()._shutdownTLS()
        self.transport.loseConnection()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        """End, after a goodbye or an error: TCP would wait for a pull producer otherwise."""
        super()._tlsShutdownFinished(reason)
        tcp, self._tcp = self._tcp, None
        if tcp is not None:
            self.transport.unregisterProducer()
            tcp.stopProducing()

    def _flushSendBIO(self) -> None:
        """Send what has been encrypted; here everything goes by that is sent."""
        if self._tcp is None:
            super()._flushSendBIO()
            return
        with suppress(WantReadError):
            self._tcp.write(self.getHandle().bio_read(LONGEST_RECORD))


@implementer(IPullProducer)
class _PulledTcp:
    """A TCP transport that asks a pull producer for more when everything is sent.

    ``waits`` says that something may not be. While ``is_hasty`` only what the socket doesn't take is left to
    the reactor.
    """

    def __init__(self, tcp: Stream, producer: IPushProducer | IPullProducer) -> None:
        self._tcp = tcp
        self._producer = producer
        self.is_hasty = False
        tcp.registerProducer(self, False)
        # It has asked already, although nobody knows whether earlier bytes wait.
        self.waits = True

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.is_hasty and not self.waits:
            with suppress(OSError):
                data = data[self._tcp.getHandle().send(data) :]
        if data:
            self.waits = True
            self._tcp.write(data)

    def resumeProducing(self) -> None:
        self.waits = False
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()


@implementer(IPushProducer)
class _StandIn:
    """Stands in for a pull producer towards TLS, which would ask it all the time."""

    def __init__(self, producer: IPushProducer | IPullProducer) -> None:
        self._producer = producer

    def pauseProducing(self) -> None:
        """Nothing: a pull producer waits until it is asked."""

    def resumeProducing(self) -> None:
        """Nothing: it is asked when everything is sent."""

    def stopProducing(self) -> None:
        self._producer.stopProducing()


class TlsFactory(TLSMemoryBIOFactory):
    """Puts a site behind TLS. Without a usable certificate connections are closed at once."""

    protocol = TlsConnection

    def __init__(self, credentials: Credentials, site: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(credentials, False, site, clock)
        self._credentials = credentials
        self._looking = LoopingCall(credentials.refresh)
        self._looking.clock = clock

    def startFactory(self) -> None:
        """Begin to look after the certificate."""
        self._looking.start(LOOK_EVERY)

    def stopFactory(self) -> None:
        """End that."""
        self._looking.stop()

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]  # as factories may
        """Return the protocol of a new connection, with the certificate as it is now."""
        self._credentials.refresh()
        return super().buildProtocol(addr) if self._credentials.is_usable else None
