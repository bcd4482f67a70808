"""A Klippy that misbehaves, over its real socket: it stalls, refuses, and says odd things."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Connect
from tests.integration.process import Twistd, ask, configure, free_port, post, trusting, twistd

END = b"\x03"


class RoughKlippy(threading.Thread):
    """Listens like Klippy and answers from a table; what isn't in it, it answers with an error."""

    def __init__(self, path: Path, answers: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.connections = 0
        self.may_read = threading.Event()
        self.may_read.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection: socket.socket | None = None
        self.start()

    def run(self) -> None:
        """Serve one connection after the other."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._connection = connection
            self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        buffer = b""
        while True:
            self.may_read.wait()
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            *frames, buffer = (buffer + data).split(END)
            for frame in frames:
                request = json.loads(frame)
                result = self.answers.get(request["method"])
                outcome = {"error": {"message": "no"}} if result is None else {"result": result}
                self.say({"id": request["id"], **outcome})

    def say(self, message: object) -> None:
        """Send a message to whoever is connected."""
        assert self._connection is not None
        self._connection.sendall(json.dumps(message).encode() + END)

    def stall(self) -> None:
        """Read no more, from the next message on."""
        self.may_read.clear()

    def close(self) -> None:
        """Be gone."""
        self.may_read.set()
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


READY = {
    "info": {"state": "ready", "state_message": "Printer is ready"},
    "list_endpoints": {"endpoints": ["info", "gcode/script"]},
    "objects/list": {"objects": ["webhooks"]},
    "gcode/subscribe_output": {},
    "objects/subscribe": {"eventtime": 1.0, "status": {}},
}


@contextmanager
def served(tmp_path: Path, answers: dict[str, Any]) -> Iterator[tuple[RoughKlippy, Twistd, int]]:
    """Serve a rough Klippy; yields it, the process and its port."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    (data / "comms").mkdir()
    klippy = RoughKlippy(data / "comms" / "klippy.sock", answers)
    try:
        with twistd(tmp_path, "-d", str(data)) as process:
            process.wait_for(port)
            yield klippy, process, port
    finally:
        klippy.close()


def test_stalled_klippy_does_not_delay_the_end(tmp_path: Path) -> None:
    """A Klippy that stopped reading, with megabytes on their way to it, doesn't keep the process alive."""
    with served(tmp_path, READY) as (klippy, process, port):
        process.wait_for(port, "ready")
        klippy.stall()
        body = json.dumps({"script": "x" * 4_000_000}).encode()
        head = b"POST /printer/gcode/script HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert process.terminate() < 2


def test_stalled_klippy_is_not_flooded(tmp_path: Path) -> None:
    """What a Klippy that doesn't read is to get is bounded; only an emergency stop goes through still."""
    with served(tmp_path, READY) as (klippy, process, port):
        process.wait_for(port, "ready")
        klippy.stall()
        script = json.dumps({"script": "x" * 3_000_000}).encode()
        head = b"POST /printer/gcode/script HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                for _ in range(3)
            ]
            for client in clients:
                client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(script) + script)
            # Which of them is whole last, and so refused, is up to the kernel.
            [refused], _, _ = select.select(clients, [], [], 20)
            assert refused.recv(12) == b"HTTP/1.1 503"
            reply = post(port, "/printer/gcode/script", {"script": "G28"})
            assert reply.status == 503
            assert "more requests than it takes" in reply.json["error"]["message"]
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
            client.sendall(b"POST /printer/emergency_stop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_refusals_are_lived_with(tmp_path: Path) -> None:
    """A Klippy that refuses what we ask of our own accord stays connected, and the log doesn't fill."""
    with served(tmp_path, {"info": READY["info"]}) as (klippy, process, port):
        assert process.wait_for(port, "ready")["klippy_connected"] is True
        for _ in range(20):
            assert ask(port, "/printer/info").json["result"]["state"] == "ready"
        assert klippy.connections == 1
        assert "Traceback" not in process.log.read_text()


def test_odd_messages_change_nothing(tmp_path: Path, connect: Connect) -> None:
    """Messages of any shape are passed over, and the conversation goes on."""
    with served(tmp_path, READY) as (klippy, process, port):
        process.wait_for(port, "ready")
        client = connect(port)
        odd: list[object] = [
            5,
            [],
            {},
            {"method": ["x"]},
            {"method": {"a": 1}, "params": 3},
            {"id": True, "result": {}},
            {"id": [1]},
            {"id": 999999, "result": {}},
            {"method": "process_status_update", "params": {"status": [], "eventtime": "x"}},
            {"method": "process_gcode_response", "params": {"response": 5}},
        ]
        for message in odd:
            klippy.say(message)
        klippy.say({"method": "process_gcode_response", "params": {"response": "still here"}})
        assert client.wait_for("notify_gcode_response")["params"] == ["still here"]
        assert ask(port, "/server/info").json["result"]["klippy_state"] == "ready"
        assert klippy.connections == 1
        assert "Traceback" not in process.log.read_text()


def test_endpoints_that_share_a_name(tmp_path: Path) -> None:
    """Of Klippy endpoints whose names collide one is offered, and all others are, too."""
    answers = {**READY, "list_endpoints": {"endpoints": ["a/b", "a.b", "gcode.script", "info", 7, "z/z"]}}
    with served(tmp_path, {**answers, "z/z": {"z": 1}, "a/b": {}, "a.b": {}}) as (_, process, port):
        process.wait_for(port, "ready")
        assert ask(port, "/printer/z/z").json == {"result": {"z": 1}}
        assert post(port, "/printer/info", {}).status == 200
        assert sorted(ask(port, f"/printer/{path}").status for path in ("a/b", "a.b")) == [200, 404]
