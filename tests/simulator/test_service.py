"""The simulator's shell: a real unix socket, and a slow reader on a fake one."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from txraker.klippy.framing import FrameSplitter
from txraker.simulator.service import ClientProtocol, SimulatorOptions, SimulatorService

from .bench import RECORDINGS


class Front(Protocol):
    """A front-end's end of the socket."""

    def __init__(self) -> None:
        self.splitter = FrameSplitter()
        self.received: list[dict[str, Any]] = []
        self.waiting: dict[int, Deferred[dict[str, Any]]] = {}
        self.closed: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Sort messages."""
        for frame in self.splitter.feed(data):
            message = json.loads(frame)
            self.received.append(message)
            if "id" in message:
                self.waiting.pop(message["id"]).callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The simulator hung up."""
        self.closed.callback(None)

    def request(self, number: int, method: str, **params: Any) -> Deferred[dict[str, Any]]:
        """Send a request."""
        assert self.transport is not None
        self.transport.write(
            json.dumps({"id": number, "method": method, "params": params}).encode() + b"\x03"
        )
        self.waiting[number] = Deferred()
        return self.waiting[number]


async def connected(path: Path) -> Front:
    """Connect, trying until the socket is there."""
    while True:
        try:
            front: Front = await connectProtocol(UNIXClientEndpoint(reactor, str(path)), Front())
            return front
        except ConnectError:
            await deferLater(reactor, 0.02)


def test_a_real_socket(tmp_path: Path) -> Deferred[None]:
    """Over a real socket a front-end connects, subscribes, lives through a restart and sees the end."""
    path = tmp_path / "klippy.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    options = SimulatorOptions(startup_seconds=0.05, restart_seconds=0.1, tick_seconds=0.05, speed=20.0)
    service = SimulatorService(reactor, path, RECORDINGS, options=options)

    async def conversation() -> None:
        service.startService()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        front = await connected(path)
        assert (await front.request(1, "info"))["result"]["state"] == "startup"
        await deferLater(reactor, 0.1)
        assert (await front.request(2, "info"))["result"]["state"] == "ready"
        await front.request(3, "objects/subscribe", objects={"toolhead": None}, response_template={"a": 1})
        await deferLater(reactor, 0.2)
        updates = [message for message in front.received if "a" in message]
        assert len(updates) >= 2
        assert (await front.request(4, "gcode/script", script="G28"))["result"] == {}
        assert (await front.request(5, "gcode/firmware_restart"))["result"] == {}
        await front.closed
        again = await connected(path)
        service.fail("broken")
        assert (await again.request(6, "info"))["result"]["state"] == "shutdown"
        await service.stopService()
        await again.closed
        assert not path.exists()

    return Deferred.fromCoroutine(conversation())


def test_a_client_that_does_not_read() -> None:
    """A client whose output stalls for five seconds is dropped; one that reads on gets everything."""
    clock = MemoryReactorClock()
    service = SimulatorService(clock, Path("/nowhere/klippy.sock"), RECORDINGS)
    service.startService()
    stalled, reading = ClientProtocol(service), ClientProtocol(service)
    wires = [StringTransport(), StringTransport()]
    for protocol, wire in zip((stalled, reading), wires, strict=True):
        protocol.makeConnection(wire)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        protocol.dataReceived(b'{"id":1,"method":"objects/list"}\x03')
        protocol.pauseProducing()
        protocol.dataReceived(b'{"id":2,"method":"info"}\x03')
    clock.advance(4.9)
    reading.resumeProducing()
    clock.advance(0.2)
    assert [wire.disconnected for wire in wires] == [True, False]
    assert b'"id":2' not in wires[0].value()
    assert b'"id":2' in wires[1].value()


def test_the_program(tmp_path: Path) -> None:
    """The program says where it listens, and SIGTERM ends it with the socket removed."""
    path = tmp_path / "klippy.sock"
    command = [sys.executable, "-m", "txraker.simulator", "--socket", str(path), "--gcodes", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert str(path).encode() in process.stdout.readline()
        assert path.is_socket()
        process.terminate()
        assert process.wait(10) == 0
    assert not path.exists()


def test_a_client_that_outlives_its_host() -> None:
    """A connection still closing when the next host is up disturbs nobody."""
    clock = MemoryReactorClock()
    service = SimulatorService(clock, Path("/nowhere/klippy.sock"), RECORDINGS)
    service.startService()
    old = ClientProtocol(service)
    old.makeConnection(StringTransport())  # type: ignore[no-untyped-call]  # Twisted's is untyped
    old.dataReceived(b'{"id":1,"method":"gcode/firmware_restart"}\x03')
    clock.pump([0.1] * 20)
    assert service.host is not None
    old.dataReceived(b'{"id":2,"method":"info"}\x03')
    old.connectionLost()
    assert service.host.state.value == "ready"
