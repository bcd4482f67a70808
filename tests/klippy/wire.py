"""Klippy's end of the wire, in memory: what a test needs to play Klippy byte by byte."""

from __future__ import annotations

from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.tools import Faults, Logged
from txraker.events import (
    EndpointsLearned,
    Events,
    GcodeResponse,
    KlippyDisconnected,
    KlippyReady,
    KlippyShutdown,
)
from txraker.klippy.client import KlippyClient

Message = dict[str, Any]

HEARD = (EndpointsLearned, KlippyReady, KlippyShutdown, KlippyDisconnected, GcodeResponse)


class NoSocket(StringTransport):
    """A transport that no process is known to be at the other end of."""

    def getHandle(self) -> NoSocket:
        """Return what stands for a socket."""
        return self

    def getsockopt(self, _level: int, _option: int, size: int) -> bytes:
        """Tell what the kernel tells of nobody."""
        return bytes(size)


@define(eq=False)
class Wire:
    """One connection, seen from Klippy."""

    protocol: IProtocol
    transport: NoSocket = field(factory=NoSocket)
    open: list[Message] = field(factory=list)
    """Requests that were not answered yet."""
    history: list[str] = field(factory=list)
    """The methods asked for so far."""

    def read(self) -> list[Message]:
        """Take what has come, and return all requests that are open."""
        text: bytes = self.transport.value()  # type: ignore[no-untyped-call]  # Twisted's
        self.transport.clear()  # type: ignore[no-untyped-call]  # the same
        assert text == b"" or text.endswith(b"\x03")
        for frame in text.split(b"\x03")[:-1]:
            request = msgspec.json.decode(frame)
            self.open.append(request)
            self.history.append(request["method"])
        return self.open

    def receive(self, data: bytes) -> None:
        """Be Klippy, sending bytes."""
        self.protocol.dataReceived(data)

    def send(self, message: object) -> None:
        """Be Klippy, sending a message."""
        self.receive(msgspec.json.encode(message) + b"\x03")

    def take(self, method: str) -> Message:
        """Return the oldest open request of a method, which is not open any more."""
        request = next(request for request in self.read() if request["method"] == method)
        self.open.remove(request)
        return request

    def reply(self, method: str, result: object) -> None:
        """Answer the oldest open request of a method."""
        self.send({"id": self.take(method)["id"], "result": result})

    def refuse(self, method: str, message: str) -> None:
        """Answer the oldest open request of a method with an error."""
        error = {"error": "WebRequestError", "message": message}
        self.send({"id": self.take(method)["id"], "error": error})

    def lose(self) -> None:
        """End the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IStreamClientEndpoint)
@define(eq=False)
class FakeEndpoint:
    """Connects at once, or never while ``absent``."""

    wires: list[Wire] = field(factory=list)
    absent: bool = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # Twisted's
        """Be connected to."""
        if self.absent:
            return Deferred()
        protocol = protocolFactory.buildProtocol(UNIXAddress("klippy"))
        assert protocol is not None
        wire = Wire(protocol)
        self.wires.append(wire)
        protocol.makeConnection(wire.transport)
        return succeed(protocol)


@define(eq=False)
class KlippyBench:
    """A client, its clock, and the Klippy that the test plays."""

    clock: Clock = field(factory=Clock)
    endpoint: FakeEndpoint = field(factory=FakeEndpoint)
    faults: Faults = field(factory=Faults)
    log: Logged = field(factory=Logged)
    heard: list[object] = field(factory=list)
    events: Events = field(init=False)
    client: KlippyClient = field(init=False)
    state: str = "ready"
    message: str = "Printer is ready"
    endpoints: list[str] = field(factory=lambda: ["info", "list_endpoints", "gcode/script"])
    objects: list[str] = field(factory=lambda: ["webhooks", "toolhead"])

    def __attrs_post_init__(self) -> None:
        self.events = Events(self.faults)
        for event in HEARD:
            self.events.on(event, self.heard.append)
        self.client = KlippyClient(self.clock, self.endpoint, self.events, self.faults, self.log.logger())

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.endpoint.wires[-1]

    def start(self) -> Wire:
        """Connect."""
        self.client.service.startService()
        return self.wire

    def step(self) -> bool:
        """Answer the oldest open request as Klippy would; say whether there was one."""
        self.clock.advance(0)
        requests = self.wire.read()
        if not requests:
            return False
        method = requests[0]["method"]
        answers: dict[str, object] = {
            "info": {"state": self.state, "state_message": self.message},
            "list_endpoints": {"endpoints": self.endpoints},
            "gcode/subscribe_output": {},
            "objects/list": {"objects": self.objects},
            "objects/subscribe": {
                "eventtime": 1.0,
                "status": {"webhooks": {"state": self.state, "state_message": self.message}},
            },
        }
        self.wire.reply(method, answers[method])
        return True

    def run(self) -> None:
        """Answer everything that is asked, until nothing is."""
        for _ in range(100):
            if not self.step():
                return
        raise AssertionError("the client asks for ever")

    def pass_time(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass, answering what is asked."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.run()

    def status(self, state: str) -> None:
        """Be Klippy, changing its state and reporting it by a status update."""
        self.state = state
        update = {"eventtime": 2.0, "status": {"webhooks": {"state": state}}}
        self.wire.send({"method": "process_status_update", "params": update})

    def names(self) -> list[str]:
        """Return the names of the events so far."""
        return [type(event).__name__ for event in self.heard]
