"""The bridge to Klippy, over real sockets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.integration.conftest import Connect
from tests.integration.process import Twistd, ask, configure, free_port, trusting, twistd
from tests.integration.websocket import BINARY, TEXT, WebSocket

UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}


@define
class Server:
    """A server with a virtual printer."""

    port: int
    process: Twistd

    def descriptors(self) -> int:
        """Return how many files and sockets the process has open."""
        return len(os.listdir(f"/proc/{self.process.process.pid}/fd"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer to at most four websockets for all tests of this module."""
    folder = tmp_path_factory.mktemp("bridge")
    port = free_port()
    configure(folder / "data", trusting(port).replace("[auth", "max_websocket_connections: 4\n[auth"))
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(port, "ready")
        yield Server(port, process)


def bridge(connect: Connect, server: Server) -> WebSocket:
    """Open a bridge."""
    return connect(server.port, "/klippysocket")


def klippys(client: WebSocket, request: dict[str, Any], opcode: int = TEXT) -> dict[str, Any]:
    """Send Klippy a request and return its answer."""
    client.send_frame(opcode, json.dumps(request).encode())
    while True:
        message: dict[str, Any] = client.receive()
        if message.get("id") == request["id"]:
            return message
        client.notifications.append(message)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_request(server: Server, connect: Connect, opcode: int) -> None:
    """Klippy's own requests get Klippy's own answers, in text and in binary frames."""
    client = bridge(connect, server)
    answer = klippys(client, {"id": 7, "method": "info", "params": {}}, opcode)
    assert set(answer) == {"id", "result"}
    assert answer["result"]["state"] == "ready"
    assert "error" in klippys(client, {"id": "x", "method": "nosuch"}, opcode)


def test_subscription(server: Server, connect: Connect) -> None:
    """What a bridge subscribes to streams to it, in the form it chose, and to nobody else."""
    client, neighbour, api = bridge(connect, server), bridge(connect, server), connect(server.port)
    template = {"my_method": "status"}
    params = {"objects": {"toolhead": ["estimated_print_time"]}, "response_template": template}
    answer = klippys(client, {"id": 1, "method": "objects/subscribe", "params": params})
    assert set(answer["result"]["status"]) == {"toolhead"}
    times: list[float] = []
    while len(times) < 3:
        message = client.receive()
        assert set(message) == {"my_method", "params"}
        times.append(message["params"]["status"]["toolhead"]["estimated_print_time"])
    assert times == sorted(times)
    assert "result" in api.call("server.info")
    assert "result" in klippys(neighbour, {"id": 2, "method": "info"})
    assert [message for message in api.notifications if "my_method" in message] == []
    assert neighbour.notifications == []


def test_large_messages(server: Server, connect: Connect) -> None:
    """Messages of any size pass both ways, whole."""
    client = bridge(connect, server)
    script = "M118 x\n" * 20_000
    answer = klippys(
        client, {"id": 1, "method": "objects/query", "params": {"objects": {"configfile": None}}}
    )
    assert len(json.dumps(answer)) > 10_000
    assert "id" in klippys(client, {"id": 2, "method": "gcode/script", "params": {"script": script}})


def test_neither_is_it_the_api(server: Server, connect: Connect) -> None:
    """A bridge knows nothing of our API, hears no notifications of ours, and is counted."""
    client = bridge(connect, server)
    assert "error" in klippys(client, {"jsonrpc": "2.0", "id": 1, "method": "server.info"})
    ask(server.port, "/printer/gcode/script?script=M118%20hi", "POST")
    klippys(client, {"id": 2, "method": "info"})
    assert client.notifications == []
    assert ask(server.port, "/server/info").json["result"]["websocket_count"] == 1


def test_state_changed_over_a_bridge(server: Server, connect: Connect) -> None:
    """What was changed over a bridge is seen by queries over the API, each time and at once."""
    api, other = connect(server.port), bridge(connect, server)
    api.call("printer.objects.subscribe", objects={"fan": ["speed"]})
    for number in range(12):
        speed = (number % 5 + 1) / 5
        script = {"script": f"M106 S{round(speed * 255)}"}
        assert "result" in klippys(other, {"id": number, "method": "gcode/script", "params": script})
        seen = api.call("printer.objects.query", objects={"fan": ["speed"]})["result"]["status"]
        assert seen["fan"]["speed"] == pytest.approx(speed, abs=0.01)


def test_limit(server: Server, connect: Connect) -> None:
    """Bridges count against the limit of connections, and what is refused leaves nothing open."""
    clients = [bridge(connect, server), *(connect(server.port) for _ in range(3))]
    for client in clients[1:]:
        client.call("server.info")
    klippys(clients[0], {"id": 1, "method": "info"})
    before = server.descriptors()
    for path in ("/klippysocket", "/websocket"):
        assert ask(server.port, path, headers=UPGRADE).status == 503
    assert server.descriptors() <= before + 1
    clients[0].close()
    for _ in range(100):
        if ask(server.port, "/server/info").json["result"]["websocket_count"] == 3:
            break
    assert "result" in connect(server.port).call("server.info")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Version": "13"},
        {"Sec-WebSocket-Version": "99", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"},
    ],
)
def test_handshake_that_fails(server: Server, headers: dict[str, str]) -> None:
    """A handshake that fails leaves no connection to Klippy open."""
    ask(server.port, "/server/info")
    before = server.descriptors()
    for _ in range(5):
        assert ask(server.port, "/klippysocket", headers={**UPGRADE, **headers}).status in (400, 426)
    for _ in range(100):
        if server.descriptors() <= before + 1:
            return
        ask(server.port, "/server/info")
    raise AssertionError(f"{server.descriptors() - before} descriptors are left open")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 400),
        ("POST", UPGRADE, 405),
        ("GET", {**UPGRADE, "Origin": "http://evil.example"}, 403),
    ],
)
def test_refusals(server: Server, method: str, headers: dict[str, str], status: int) -> None:
    """What is no upgrade of a page of ours is refused as for the other websocket."""
    assert ask(server.port, "/klippysocket", method, headers=headers).status == status


def test_restart_of_klippy(server: Server, connect: Connect) -> None:
    """A restart of Klippy closes bridges with 1001, and new ones reach the new Klippy."""
    client, api = bridge(connect, server), connect(server.port)
    klippys(client, {"id": 1, "method": "info"})
    api.call("printer.firmware_restart")
    assert client.drain() == 1001
    api.wait_for("notify_klippy_ready")
    assert klippys(bridge(connect, server), {"id": 1, "method": "info"})["result"]["state"] == "ready"


def test_client_that_leaves(server: Server, connect: Connect) -> None:
    """When a client leaves, its connection to Klippy is closed."""
    before = ask(server.port, "/server/info").json["result"]["websocket_count"]
    descriptors = server.descriptors()
    for _ in range(5):
        client = bridge(connect, server)
        klippys(client, {"id": 1, "method": "info"})
        client.close()
        while ask(server.port, "/server/info").json["result"]["websocket_count"] > before:
            pass
    assert server.descriptors() <= descriptors + 2


def test_without_klippy(tmp_path: Path) -> None:
    """Without Klippy there is no bridge: 503, and nothing waits for one."""
    port = free_port()
    nowhere = f"klippy_uds_address: {tmp_path}/nosuch.sock\n[auth"
    configure(tmp_path / "data", trusting(port).replace("[auth", nowhere))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        reply = ask(port, "/klippysocket", headers=UPGRADE)
        assert reply.status == 503
        assert reply.json["error"]["message"] == "Klippy Host not connected"
