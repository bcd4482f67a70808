"""The websocket as clients use it and as nobody should, over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Connect
from tests.integration.process import ask, configure, free_port, post, trusting, twistd
from tests.integration.websocket import BINARY, CLOSE, PING, PONG, TEXT, Closed


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a virtual printer to at most six websockets for all tests of this module."""
    folder = tmp_path_factory.mktemp("websocket")
    chosen = free_port()
    configure(folder / "data", trusting(chosen).replace("[auth", "max_websocket_connections: 6\n[auth"))
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(chosen, "ready")
        yield chosen


def identity(name: str = "test", kind: str = "web") -> dict[str, str]:
    """Return what a client says of itself."""
    return {"client_name": name, "version": "1", "type": kind, "url": "http://test"}


@pytest.mark.parametrize("query", ["", "?token=", "?token=unknown"])
def test_token_in_the_url_is_tolerated(port: int, connect: Connect, query: str) -> None:
    """A trusted client may send any token, an empty one too."""
    client = connect(port, f"/websocket{query}")
    assert client.call("server.info")["result"]["websocket_count"] == 1


def test_answers(port: int, connect: Connect) -> None:
    """Ids come back as they were sent, batches as one array of the entries that had one."""
    client = connect(port)
    for request_id in (0, -1, "x", 1.5):
        client.send(json.dumps({"jsonrpc": "2.0", "method": "printer.info", "params": {}, "id": request_id}))
        answer = client.receive()
        assert answer["id"] == request_id
        assert answer["result"]["state"] == "ready"
    client.send(
        '[{"jsonrpc": "2.0", "method": "server.info", "id": 1}, {"jsonrpc": "2.0", "method": "server.info"},'
        ' {"jsonrpc": "2.0", "method": "nosuch", "id": 2}]'
    )
    first, second = client.receive()
    assert first["id"] == 1
    assert second == {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -32700),
        ("", -32700),
        ("[]", -32600),
        ("5", -32600),
        ('{"jsonrpc": "1.0", "method": "server.info", "id": 1}', -32600),
        ('{"jsonrpc": "2.0", "id": 1}', -32600),
        ('{"jsonrpc": "2.0", "method": "server.nosuch", "id": 1}', -32601),
        ('{"jsonrpc": "2.0", "method": "server.info", "params": [], "id": 1}', -32602),
        ('{"jsonrpc": "2.0", "method": "server.info", "params": null, "id": 1}', -32602),
        ('{"jsonrpc": "2.0", "method": "printer.gcode.script", "params": {}, "id": 1}', 400),
        ('{"jsonrpc": "2.0", "method": "server.gcode_store", "params": {"count": "x"}, "id": 1}', 400),
    ],
)
def test_errors(port: int, connect: Connect, text: str, code: int) -> None:
    """What is no request is answered by the standard's codes, what is no argument by 400."""
    client = connect(port)
    client.send(text)
    assert client.receive()["error"]["code"] == code


def test_frames(port: int, connect: Connect) -> None:
    """A binary frame may hold a request, fragments make one message, a ping gets its pong."""
    client = connect(port)
    request = b'{"jsonrpc": "2.0", "method": "server.websocket.id", "id": 7}'
    client.send_frame(BINARY, request)
    assert client.receive()["id"] == 7
    client.send_frame(TEXT, request[:20], final=False)
    client.send_frame(PING, b"hello")
    client.send_frame(0, request[20:])
    assert client.receive_frame() == (PONG, b"hello")
    assert client.receive()["id"] == 7


@pytest.mark.parametrize("pieces", [1, 100])
def test_message_over_the_limit(port: int, connect: Connect, pieces: int) -> None:
    """A message over 5 MB is answered by a close frame with 1009, in one frame or in many."""
    client = connect(port)
    piece = b"x" * (6 * 1024 * 1024 // pieces)
    try:
        for number in range(pieces):
            client.send_frame(TEXT if number == 0 else 0, piece, final=number == pieces - 1)
    except OSError:
        pass
    opcode, payload = client.receive_frame()
    assert opcode == CLOSE
    assert int.from_bytes(payload[:2], "big") == 1009
    assert ask(port, "/server/info").status == 200


def test_long_call_does_not_delay_others(port: int, connect: Connect) -> None:
    """A call that takes long is answered after one that doesn't."""
    client = connect(port)
    for request_id, method, params in (
        (1, "printer.gcode.script", {"script": "G4 P600"}),
        (2, "server.websocket.id", {}),
    ):
        client.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": request_id}))
    answered: list[int] = []
    while len(answered) < 2:
        answered += [message["id"] for message in [client.receive()] if "id" in message]
    assert answered == [2, 1]


def test_notifications(port: int, connect: Connect) -> None:
    """Notifications have params only if there is something to say, and never an id."""
    client = connect(port)
    client.call("printer.objects.subscribe", objects={"toolhead": ["estimated_print_time"]})
    client.call("printer.gcode.script", script="ECHO hello\nSTATUS")
    said = client.wait_for("notify_gcode_response")
    assert set(said) == {"jsonrpc", "method", "params"}
    assert isinstance(said["params"][0], str)
    update = client.wait_for("notify_status_update")
    status, eventtime = update["params"]
    assert set(status) == {"toolhead"}
    assert isinstance(eventtime, float)
    assert "id" not in update


def test_identity(port: int, connect: Connect) -> None:
    """A connection identifies once, in any case of its type; what failed may be tried again."""
    client = connect(port)
    assert client.call("server.connection.identify", **identity(kind="toaster"))["error"]["code"] == 400
    assert client.call("server.connection.identify", client_name="x")["error"]["code"] == 400
    accepted = client.call(
        "server.connection.identify", **identity(kind="DISPLAY"), access_token=None, api_key=None
    )
    connection_id = accepted["result"]["connection_id"]
    assert 0 < connection_id < 2**53
    assert client.call("server.websocket.id")["result"] == {"websocket_id": connection_id}
    assert client.call("server.connection.identify", **identity())["error"]["code"] == 400


def test_agents(port: int, connect: Connect) -> None:
    """One agent of a name is connected at a time; its name is free when it has gone."""
    first, second = connect(port), connect(port)
    assert "result" in first.call("server.connection.identify", **identity("obico", "agent"))
    assert second.call("server.connection.identify", **identity("obico", "agent"))["error"]["code"] == 400
    first.send_frame(CLOSE, b"\x03\xe8")
    with pytest.raises(Closed):
        first.receive()
    assert "result" in second.call("server.connection.identify", **identity("obico", "agent"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upgrade": "h2c"}, 400),
        ({"Upgrade": "websocket", "Origin": "http://evil.example"}, 403),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
    ],
)
def test_refused_upgrades(port: int, headers: dict[str, str], status: int) -> None:
    """A request that can't or mustn't become a websocket is refused with the reason."""
    assert ask(port, "/websocket", headers=headers).status == status


def test_own_pages_may_connect(port: int, connect: Connect) -> None:
    """A page that this server's address served may open a websocket."""
    assert "result" in connect(port, Origin=f"http://127.0.0.1:{port}").call("server.info")


def test_the_dead_do_nothing(port: int, connect: Connect) -> None:
    """What a batch asked for after its client has gone is not done."""
    ghost = connect(port)
    calls = [
        ("printer.gcode.script", {"script": "G4 P700"}),
        ("server.connection.identify", identity("ghost", "agent")),
    ]
    ghost.send(
        json.dumps(
            [
                {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
                for number, (method, params) in enumerate(calls)
            ]
        )
    )
    ghost.call("server.websocket.id")
    ghost.close()
    client = connect(port)
    client.call("printer.gcode.script", script="G4 P1")
    assert "result" in client.call("server.connection.identify", **identity("ghost", "agent"))


def test_limit_of_connections(port: int, connect: Connect) -> None:
    """One websocket too many is 503, and there is room again when one has gone."""
    clients = [connect(port) for _ in range(6)]
    for client in clients:
        client.call("server.websocket.id")
    reply = ask(port, "/websocket", headers={"Upgrade": "websocket"})
    assert reply.status == 503
    assert reply.json["error"]["code"] == 503
    clients[0].send_frame(CLOSE, b"\x03\xe8")
    with pytest.raises(Closed):
        clients[0].receive()
    assert "result" in connect(port).call("server.info")


def test_restart_takes_the_new_configuration(tmp_path: Path, connect: Connect) -> None:
    """A restart is answered, closes clients with 1001 and listens again where the configuration says."""
    port, other = free_port(), free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        client = connect(port)
        configure(data, trusting(port, "[data_store]\ngcode_store_size: 2\n[nosuch]\n"))
        assert client.call("server.restart")["result"] == "ok"
        assert client.drain() == 1001
        info = process.wait_for(port, "ready")
        assert info["warnings"][0].startswith("Unparsed config section [nosuch] detected.  This may be")
        assert ask(port, "/server/config").json["result"]["config"]["data_store"]["gcode_store_size"] == 2
        configure(data, trusting(other))
        assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
        assert process.wait_for(other, "ready")["warnings"] == []


def test_restart_may_change_the_host_alone(tmp_path: Path) -> None:
    """Another host on the same port is listened on after a restart; one that can't be is refused."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data)) as process:
        process.wait_for(port)
        configure(data, trusting(port).replace("host: 127.0.0.1", "host: 192.0.2.1"))
        assert ask(port, "/server/restart", "POST").status == 400
        configure(data, trusting(port).replace("host: 127.0.0.1", "host: 0.0.0.0"))
        assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
        assert process.wait_for(port)["warnings"] == []
        assert "Listening on 0.0.0.0" in process.log.read_text()


def test_restart_refuses_a_broken_configuration(tmp_path: Path, connect: Connect) -> None:
    """A configuration that can't be used is refused with the reason, and nobody notices."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data)) as process:
        process.wait_for(port)
        client = connect(port)
        for broken in ("[server]\nport: 0\n", trusting(port, "login_timeout: 0\n"), "nonsense"):
            configure(data, broken)
            reply = post(port, "/server/restart", {})
            assert reply.status == 400
            assert "txraker.conf" in reply.json["error"]["message"]
        assert "result" in client.call("server.info")


def test_restart_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """A server that can't be replaced is as it was, however often that is tried."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data)) as process, socket.socket() as taken:
        process.wait_for(port)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        configure(data, trusting(taken.getsockname()[1]))
        counts = []
        for _ in range(6):
            assert ask(port, "/server/restart", "POST").status == 400
            counts.append(len(list(Path(f"/proc/{process.process.pid}/fd").iterdir())))
        assert counts[-1] <= counts[0] + 1


def test_machine_that_cannot_be_managed(tmp_path: Path) -> None:
    """A section about the machine that is wrong costs what it is about, and no front-end its start."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port, provider="bogus"))
    with twistd(tmp_path, "-d", str(data)) as process:
        info = process.wait_for(port)
        assert "machine" in info["components"]
        assert any("Services can't be managed" in text and "provider" in text for text in info["warnings"])
        answer = ask(port, "/machine/system_info").json["result"]["system_info"]
        assert answer["provider"] == "none"


def test_virtual_machine(tmp_path: Path) -> None:
    """Beside a virtual printer the real machine is left alone; the list of what may be managed is made."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port).replace("[machine]\nprovider: none\n", ""))
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        assert process.wait_for(port)["warnings"] == []
        assert (data / "moonraker.asvc").read_text().startswith("klipper_mcu\n")
        assert ask(port, "/machine/system_info").json["result"]["system_info"]["provider"] == "none"
        assert ask(port, "/machine/reboot", "POST").status == 400


def test_component_that_cannot_load(tmp_path: Path) -> None:
    """A component whose section is wrong is named as failed and warned about; the rest works."""
    port = free_port()
    configure(tmp_path / "data", trusting(port, "[data_store]\ngcode_store_size: many\n"))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        info = process.wait_for(port)
        assert "data_store" not in info["components"]
        assert {"klippy_apis", "machine", "file_manager", "authorization"} <= set(info["components"])
        assert info["failed_components"] == ["data_store"]
        assert "gcode_store_size" in info["warnings"][0]
        assert ask(port, "/server/gcode_store").status == 404
