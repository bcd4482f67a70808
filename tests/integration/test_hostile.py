"""Clients that no other client may notice, over real sockets."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread

import pytest
from attrs import define

from tests.integration.conftest import Connect
from tests.integration.process import Twistd, ask, configure, free_port, trusting, twistd
from tests.integration.websocket import BINARY, PATIENCE, PING, TEXT, Closed, WebSocket

PATIENT_SECONDS = 1.0
"""What an answer may take while somebody else floods; much more than it does, for slow machines."""


@define
class Server:
    """A server with a virtual printer, and its process."""

    port: int
    process: Twistd

    def memory(self) -> int:
        """Return the bytes of memory that the process has for itself."""
        pages = Path(f"/proc/{self.process.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer, with small queues, for all tests of this module."""
    folder = tmp_path_factory.mktemp("hostile")
    port = free_port()
    more = "client_queue_size: 64\nmax_websocket_connections: 50\n[auth"
    configure(folder / "data", trusting(port).replace("[auth", more))
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(port, "ready")
        yield Server(port, process)
        assert "Traceback" not in process.log.read_text()


def seconds_for(client: WebSocket) -> float:
    """Return how long an answer takes."""
    began = time.monotonic()
    assert "result" in client.call("server.websocket.id")
    client.notifications.clear()
    return time.monotonic() - began


def worst(client: WebSocket, while_alive: Thread, seconds: float = 10.0) -> float:
    """Return the 99th percentile of an innocent client's answer times while another thread runs."""
    times = []
    deadline = time.monotonic() + seconds
    while while_alive.is_alive() and time.monotonic() < deadline:
        times.append(seconds_for(client))
        time.sleep(0.005)
    return sorted(times)[len(times) * 99 // 100] if times else 0.0


def in_background(work: Callable[[], None]) -> Thread:
    """Do something in a thread; a connection that ends meanwhile ends it."""

    def guarded() -> None:
        with suppress(OSError, Closed):
            work()

    thread = Thread(target=guarded, daemon=True)
    thread.start()
    return thread


def read_all(client: WebSocket) -> None:
    """Read until the connection ends, which raises Closed or an OSError."""
    while True:
        client.receive_frame()


def deaf(port: int, buffer: int = 4096) -> WebSocket:
    """Open a websocket with a small receive buffer."""
    client = WebSocket.connect(port)
    client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    return client


def test_client_that_never_reads(server: Server, connect: Connect) -> None:
    """A client that subscribes to everything and never reads is closed; memory stays, others go on."""
    innocent, flooder = connect(server.port), connect(server.port)
    with closing(deaf(server.port)) as sleeper:
        objects = dict.fromkeys(innocent.call("printer.objects.list")["result"]["objects"])
        for client in (sleeper, flooder):
            client.call("printer.objects.subscribe", objects=objects)
        before = server.memory()
        times = []
        for number in range(100):
            flooder.call("printer.gcode.script", script="SPAM N=500")
            flooder.notifications.clear()
            times.append(seconds_for(innocent))
            if number % 5 == 0 and "Closing the connection" in server.process.log.read_text():
                break
        assert "Closing the connection of unidentified" in server.process.log.read_text()
        assert server.memory() - before < 16 * 1024 * 1024
        assert sorted(times)[len(times) * 99 // 100] < PATIENT_SECONDS
        assert "result" in flooder.call("server.info")
        deadline = time.monotonic() + 10
        while ask(server.port, "/server/info").json["result"]["websocket_count"] > 2:
            assert time.monotonic() < deadline, "it is still counted"
            time.sleep(0.05)
        time.sleep(2.2)
        with pytest.raises((Closed, OSError)):
            read_all(sleeper)
    assert server.process.log.read_text().count("Closing the connection") == 1


def test_client_that_reads_late_is_told(server: Server, connect: Connect) -> None:
    """A client that was too slow and reads in time what was sent finds a close frame with 1013 at its end."""
    flooder = connect(server.port)
    with closing(deaf(server.port, 256 * 1024)) as sleeper:
        sleeper.call("server.info")
        count = server.process.log.read_text().count("Closing the connection")
        for _ in range(1000):
            flooder.call("printer.gcode.script", script="SPAM N=200")
            flooder.notifications.clear()
            if server.process.log.read_text().count("Closing the connection") > count:
                break
        read = b""
        with suppress(ConnectionResetError):
            while data := sleeper._socket.recv(1024 * 1024):
                read = read[-100:] + data
                if read.endswith(b"try again later"):
                    break
        assert read.endswith(b"\x88\x1b\x03\xf5Too slow: try again later")


def test_fragments(server: Server, connect: Connect) -> None:
    """A message in fragments of one byte is closed with 1008, and nobody else waits."""
    innocent, chopper = connect(server.port), connect(server.port)
    seconds_for(innocent)

    def chop() -> None:
        chopper.send_frame(TEXT, b"{", final=False)
        for _ in range(20_000):
            chopper.send_frame(0, b" ", final=False)

    assert worst(innocent, in_background(chop)) < PATIENT_SECONDS
    assert chopper.drain() in (1008, None)


@pytest.mark.parametrize(("opcode", "payload"), [(PING, b"x" * 100), (BINARY, b"{}"), (TEXT, b"x")])
def test_flood_of_frames(server: Server, connect: Connect, opcode: int, payload: bytes) -> None:
    """Who sends pings or nonsense as fast as it can makes nobody wait, and no memory go."""
    innocent = connect(server.port)
    seconds_for(innocent)
    before = server.memory()
    with closing(deaf(server.port)) as flooder:
        deadline = time.monotonic() + 1.5

        def flood() -> None:
            frame = bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload
            flooder._socket.settimeout(1.0)
            while time.monotonic() < deadline:
                flooder._socket.sendall(frame * 500)

        assert worst(innocent, in_background(flood)) < PATIENT_SECONDS
    assert server.memory() - before < 16 * 1024 * 1024


def test_flood_of_requests(server: Server, connect: Connect) -> None:
    """Who asks as fast as it can doesn't starve another, and gets its answers."""
    innocent, flooder = connect(server.port), connect(server.port)
    seconds_for(innocent)
    text = json.dumps({"jsonrpc": "2.0", "method": "server.info", "id": 1}).encode()
    answered = 0

    def flood() -> None:
        for _ in range(3000):
            flooder.send_frame(TEXT, text)

    def read() -> None:
        nonlocal answered
        while answered < 3000:
            flooder.receive()
            answered += 1

    flooding, reading = in_background(flood), in_background(read)
    assert worst(innocent, reading) < PATIENT_SECONDS
    flooding.join(PATIENCE)
    reading.join(PATIENCE)
    assert answered == 3000


def test_too_many_requests_at_once(server: Server, connect: Connect) -> None:
    """Who has too much under way is refused with 503, except for an emergency stop; others aren't."""
    greedy, innocent = connect(server.port), connect(server.port)
    params = {"script": "G4 P1500"}
    for number in range(300):
        call = {"jsonrpc": "2.0", "method": "printer.gcode.script", "params": params, "id": number}
        greedy.send(json.dumps(call))
    refused = [greedy.receive() for _ in range(44)]
    assert {answer["error"]["code"] for answer in refused if "id" in answer} == {503}
    assert seconds_for(innocent) < PATIENT_SECONDS
    greedy.send('{"jsonrpc": "2.0", "method": "printer.emergency_stop", "id": "stop"}')
    while True:
        answer = greedy.receive()
        if answer.get("id") == "stop":
            break
    assert answer["result"] == "ok"
    innocent.call("printer.firmware_restart")
    innocent.wait_for("notify_klippy_ready")


def test_many_connections(server: Server, connect: Connect) -> None:
    """Connections over the limit are refused, and HTTP and those that are there go on."""
    innocent = connect(server.port)
    seconds_for(innocent)
    with ExitStack() as opened:
        for _ in range(50 - 1):
            opened.enter_context(closing(WebSocket.connect(server.port)))
        for _ in range(11):
            with pytest.raises(AssertionError, match=" 503 "):
                WebSocket.connect(server.port)
        assert seconds_for(innocent) < PATIENT_SECONDS
        assert ask(server.port, "/server/info").json["result"]["websocket_count"] <= 50
    deadline = time.monotonic() + PATIENCE
    while ask(server.port, "/server/info").json["result"]["websocket_count"] > 1:
        assert time.monotonic() < deadline
    assert "result" in connect(server.port).call("server.info")


def test_connections_that_say_nothing(server: Server, connect: Connect) -> None:
    """Connections that never ask for anything take no websocket's place."""
    with ExitStack() as opened:
        for _ in range(60):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
        innocent = connect(server.port)
        assert seconds_for(innocent) < PATIENT_SECONDS
