"""The thin shell: the unix socket, the clock, and the restarts of the host software."""

from __future__ import annotations

import os
import socket
import sys
import time
import typing
from pathlib import Path
from typing import Any, Final, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IPushProducer,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.klippy.framing import FrameSplitter, encode_frame
from txraker.simulator.api import Connection
from txraker.simulator.computer import HostInfo
from txraker.simulator.host import Hardware, Host
from txraker.simulator.options import SimulatorOptions
from txraker.simulator.timeline import Timeline

__all__ = ["SimulatorOptions", "SimulatorService"]

_STALL_SECONDS: Final = 5.0
_CHUNK: Final = 65536
_SOCKET_MODE: Final = 0o660
_SHORTEST_WAIT: Final = 0.001
_LARGEST_JUMP: Final = 600.0
_DEFAULT_OPTIONS: Final = SimulatorOptions()


class Wire(typing.Protocol):
    """What a client's protocol uses of its transport."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Be told when to stop and go on writing."""

    def unregisterProducer(self) -> None:
        """Not be told any more."""

    def loseConnection(self) -> None:
        """Close once everything has gone out."""

    def abortConnection(self) -> None:
        """Close now."""


@implementer(IPushProducer)
class ClientProtocol(Protocol):
    """One client's end of the socket.

    Output the client doesn't read piles up here, not in the transport; a client that reads nothing for five
    seconds while output waits is dropped, as Klippy does.
    """

    def __init__(self, service: SimulatorService) -> None:
        self._service = service
        self._splitter = FrameSplitter()
        self._waiting = bytearray()
        self._paused = False
        self._stalled: IDelayedCall | None = None
        self._connection: Connection | None = None
        self.closed: Deferred[None] = Deferred()

    @property
    def _wire(self) -> Wire:
        return cast("Wire", self.transport)

    def connectionMade(self) -> None:
        """Join the host."""
        self._wire.registerProducer(self, True)
        self._connection = self._service.client_joined(self)

    def dataReceived(self, data: bytes) -> None:
        """Hand complete frames to the host."""
        for frame in self._splitter.feed(data):
            if self._connection is not None:
                self._service.frame_received(self._connection, frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave the host."""
        self._cancel_stall()
        self._waiting.clear()
        connection, self._connection = self._connection, None
        self._service.client_left(self, connection)
        self.closed.callback(None)

    def send(self, message: Any) -> None:
        """Send a message, now or when the client has read what came before."""
        self._waiting += encode_frame(message)
        self._flush()

    def pauseProducing(self) -> None:
        """The transport's buffer is full: the client doesn't keep up."""
        self._paused = True
        self._expect_progress()

    def resumeProducing(self) -> None:
        """The client has read everything so far."""
        self._paused = False
        self._cancel_stall()
        self._flush()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._waiting.clear()

    def _flush(self) -> None:
        while self._waiting and not self._paused:
            chunk = bytes(self._waiting[:_CHUNK])
            del self._waiting[:_CHUNK]
            self._wire.write(chunk)

    def close(self) -> None:
        """Leave the host; close the connection once everything was read, or reading stalled."""
        self._connection = None
        self._expect_progress()
        self._wire.unregisterProducer()
        self._wire.loseConnection()

    def abort(self) -> None:
        """Close the connection without waiting for the client to read."""
        self._wire.abortConnection()

    def _expect_progress(self) -> None:
        if self._stalled is None:
            self._stalled = self._service.clock.callLater(_STALL_SECONDS, self._drop)

    def _drop(self) -> None:
        self._stalled = None
        self._service.log.info("dropping a client that does not read")
        self.abort()

    def _cancel_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class ClientFactory(Factory):
    """Makes a protocol for each client."""

    noisy = False

    def __init__(self, service: SimulatorService) -> None:
        self._service = service

    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol:
        """A client connects."""
        return ClientProtocol(self._service)


class SimulatorService(Service):
    """A virtual printer on a unix socket.

    ``reactor`` must provide ``IReactorTime`` and ``IReactorUNIX``; ``gcodes`` is the directory of the
    virtual SD card, which must exist. A file at ``socket_path`` is replaced if it is a socket.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        socket_path: Path,
        gcodes: Path,
        *,
        options: SimulatorOptions = _DEFAULT_OPTIONS,
    ) -> None:
        self.clock = reactor
        self._unix = IReactorUNIX(reactor)
        self._socket_path = socket_path
        self._gcodes = gcodes
        self._options = options
        self._info = _host_info(gcodes.absolute())
        self._skipped = 0.0
        self._epoch = time.clock_gettime(time.CLOCK_MONOTONIC) - reactor.seconds()
        self._hardware = Hardware(Timeline(reactor.seconds(), options.speed), options.fault)
        self._host: Host | None = None
        self._port: IListeningPort | None = None
        self._clients: set[ClientProtocol] = set()
        self._wake: IDelayedCall | None = None
        self._rebirth: IDelayedCall | None = None
        self._last = reactor.seconds()

    def startService(self) -> None:
        """Listen on the socket; the host starts up."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._start_host()

    def stopService(self) -> Deferred[None]:
        """Close every connection and remove the socket; fires when both are done."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        for call in (self._wake, self._rebirth):
            if call is not None and call.active():
                call.cancel()
        if self._host is not None:
            self._host.close()
            self._host = None
        waiting = [client.closed for client in self._clients]
        for client in list(self._clients):
            client.abort()
        return gatherResults([*waiting, self._stop_listening()]).addCallback(_nothing)

    @property
    def host(self) -> Host | None:
        """The host software, None while it restarts."""
        return self._host

    def fail(self, reason: str) -> None:
        """Send the printer to state ``shutdown``."""
        if self._host is not None:
            self._pump()
            self._host.fail(reason)
            self._pump()

    def disconnect_mcu(self) -> None:
        """Lose the micro-controller: ``shutdown`` now, and stuck in ``startup`` after a restart."""
        if self._host is not None:
            self._pump()
            self._host.disconnect_mcu()
            self._pump()

    def reconnect_mcu(self) -> None:
        """Find the micro-controller again."""
        self._hardware.fault = None
        if self._host is not None:
            self._host.reconnect_mcu()
            self._pump()

    def clear_fault(self) -> None:
        """Repair what ``options.fault`` broke; the next restart ends in ``ready``."""
        self._hardware.fault = None

    def client_joined(self, client: ClientProtocol) -> Connection | None:
        """A client connected; None when the host is gone, and the client is sent away."""
        self._clients.add(client)
        if self._host is None:
            client.abort()
            return None
        return self._host.connect(client.send)

    def client_left(self, client: ClientProtocol, connection: Connection | None) -> None:
        """A client is gone."""
        self._clients.discard(client)
        if self._host is not None and connection is not None:
            self._host.disconnect(connection)

    def frame_received(self, connection: Connection, frame: bytes) -> None:
        """A client sent a frame."""
        if self._host is not None:
            self._host.receive(connection, frame, self._now())
            self._schedule()

    def _start_host(self) -> None:
        self._host = Host(
            self._options,
            self._hardware,
            self._gcodes.absolute(),
            self._info,
            self._now(),
            self._epoch,
            self._host_exits,
        )
        if self._socket_path.is_socket():
            self._socket_path.unlink()
        factory = ClientFactory(self)
        self._port = self._unix.listenUNIX(str(self._socket_path), factory, mode=_SOCKET_MODE)
        self.log.info("virtual printer listens on {path}", path=self._socket_path)
        self._schedule()

    def _host_exits(self) -> None:
        """The host restarts: connections close, the socket is gone for a while."""
        self._host = None
        for client in list(self._clients):
            client.close()
        self._stop_listening().addErrback(lambda why: self.log.failure("stopping to listen", why))
        self._rebirth = self.clock.callLater(self._options.restart_seconds, self._start_host)

    def _stop_listening(self) -> Deferred[Any]:
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port is not None else succeed(None)

    def _now(self) -> float:
        """The reactor's time, less jumps of the computer's clock, which the printer must not live through."""
        now = self.clock.seconds() - self._skipped
        if not -_LARGEST_JUMP <= now - self._last <= _LARGEST_JUMP and self._wake is not None:
            self._skipped += now - self._last
            now = self._last
        self._last = now
        return now

    def _pump(self) -> None:
        """Let the host catch up with the clock, and wake up again when it is due."""
        if self._host is not None:
            self._host.advance(self._now())
            self._schedule()

    def _schedule(self) -> None:
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        self._wake = None
        if self._host is not None and self._host.next_wake is not None:
            delay = self._host.next_wake - self._host.now
            self._wake = self.clock.callLater(max(_SHORTEST_WAIT, delay), self._pump)


def _host_info(gcodes: Path) -> HostInfo:
    """What ``info`` says: the usual layout of a printer's directories, around the gcode files."""
    return HostInfo(
        hostname=socket.gethostname(),
        klipper_path=str(gcodes.parent.parent / "klipper"),
        python_path=sys.executable,
        process_id=os.getpid(),
        user_id=os.getuid(),
        group_id=os.getgid(),
        log_file=str(gcodes.parent / "logs" / "klippy.log"),
        config_file=str(gcodes.parent / "config" / "printer.cfg"),
    )


def _nothing(results: object) -> None:
    """Turn the outcome of several steps into one without a value."""
