"""A virtual printer on a bench: no socket, no sleep, time moved by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define, field

from txraker.simulator.api import Connection
from txraker.simulator.computer import HostInfo
from txraker.simulator.host import Hardware, Host
from txraker.simulator.options import SimulatorOptions
from txraker.simulator.timeline import Timeline

RECORDINGS = Path(__file__).parent.parent / "data" / "klippy"
EPOCH = 1000.0

#: Every bench of the running test.
BENCHES: list[Bench] = []


@define(eq=False)
class Client:
    """One connection: every message it got, with the time at which it came."""

    bench: Bench
    received: list[tuple[float, dict[str, Any]]] = field(factory=list)
    connection: Connection | None = None
    last_id: int = 0

    def got(self, message: Any) -> None:
        """Keep a message, as it would look after its journey over the wire."""
        self.received.append((self.bench.now, json.loads(json.dumps(message))))

    def send(self, message: Any) -> None:
        """Send any message."""
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, frame: bytes) -> None:
        """Send any frame."""
        assert self.bench.host is not None
        assert self.connection is not None
        self.bench.host.receive(self.connection, frame, self.bench.now)

    def request(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self.last_id += 1
        self.send({"id": self.last_id, "method": method, "params": params})
        return self.last_id

    def reply(self, number: int) -> dict[str, Any] | None:
        """The reply to a request, None while there is none."""
        return next((m for _, m in self.received if m.get("id") == number), None)

    def result(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a request that is answered at once."""
        reply = self.reply(self.request(method, **params))
        assert reply is not None, f"{method} was not answered at once"
        result: dict[str, Any] = reply["result"]
        return result

    def script(self, *lines: str) -> int:
        """Send a gcode script; the request's id."""
        return self.request("gcode/script", script="\n".join(lines))

    def run(self, *lines: str, seconds: float = 600.0) -> dict[str, Any]:
        """Run a script to its end, however long that takes on the printer; the reply."""
        number = self.script(*lines)
        deadline = self.bench.now + seconds
        while self.reply(number) is None and self.bench.now < deadline:
            self.bench.advance(1.0)
        reply = self.reply(number)
        assert reply is not None, f"{lines} did not end"
        return reply

    def status(self, name: str) -> dict[str, Any]:
        """A printer object now."""
        result = self.result("objects/query", objects={name: None})
        status: dict[str, Any] = result["status"][name]
        return status

    def console(self) -> list[str]:
        """Every console line so far."""
        return [
            message["params"]["response"]
            for _, message in self.received
            if "response" in message.get("params", {})
        ]


@define(eq=False)
class Bench:
    """Holds a printer through its restarts."""

    options: SimulatorOptions = field(factory=SimulatorOptions)
    gcodes: Path = RECORDINGS
    now: float = 0.0
    clients: list[Client] = field(factory=list)
    hardware: Hardware = field(init=False)
    host: Host | None = field(init=False)
    _born_at: float | None = None

    def __attrs_post_init__(self) -> None:
        self.hardware = Hardware(Timeline(self.now, self.options.speed), self.options.fault)
        self.host = self._make_host()
        BENCHES.append(self)

    def close(self) -> None:
        """Put the printer away."""
        if self.host is not None:
            self.host.close()

    def connect(self) -> Client:
        """A client connects."""
        assert self.host is not None
        client = Client(self)
        client.connection = self.host.connect(client.got)
        self.clients.append(client)
        return client

    def ready(self) -> Client:
        """Wait until the printer is ready; a client on its console."""
        self.advance(self.options.startup_seconds + 0.01)
        client = self.connect()
        client.request("gcode/subscribe_output", response_template={"method": "console"})
        return client

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.advance_to(self.now + seconds)

    def advance_to(self, then: float) -> None:
        """Let time pass until a moment, stopping wherever something happens."""
        while self.now < then:
            wake = self._born_at if self.host is None else self.host.next_wake
            self.now = then if wake is None else min(then, max(self.now, wake))
            if self.host is not None:
                self.host.advance(self.now)
            elif self._born_at is not None and self._born_at <= self.now:
                self._born_at = None
                self.host = self._make_host()

    def _make_host(self) -> Host:
        return Host(
            self.options, self.hardware, self.gcodes, HostInfo(), self.now, EPOCH, on_exit=self._exited
        )

    def _exited(self) -> None:
        self.host = None
        self._born_at = self.now + self.options.restart_seconds
