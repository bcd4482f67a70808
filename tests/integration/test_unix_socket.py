"""The unix socket for programs on this machine, over the real one."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from attrs import define

from tests.integration.conftest import Connect
from tests.integration.process import ask, configure, free_port, trusting, twistd
from tests.integration.unixclient import UnixClient
from tests.integration.websocket import Closed


@define
class Server:
    """A server with a virtual printer."""

    port: int
    socket: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer for all tests of this module."""
    folder = tmp_path_factory.mktemp("unix")
    port = free_port()
    configure(folder / "data", trusting(port))
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(port, "ready")
        yield Server(port, folder / "data" / "comms" / "moonraker.sock")


Join = Callable[[], UnixClient]


@pytest.fixture
def join(server: Server) -> Iterator[Join]:
    """Open connections that are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(UnixClient.connect_to(server.socket)))


def test_api(join: Join) -> None:
    """The whole API is there: what the server knows, what Klippy knows, and what only connections have."""
    client = join()
    assert client.call("server.info")["result"]["klippy_state"] == "ready"
    assert client.call("printer.info")["result"]["state"] == "ready"
    number = client.call("server.websocket.id")["result"]["websocket_id"]
    said = {"client_name": "screen", "version": "1", "type": "display", "url": ""}
    assert client.call("server.connection.identify", **said)["result"] == {"connection_id": number}
    assert client.call("nosuch")["error"]["code"] == -32601
    assert client.call("printer.gcode.script")["error"]["code"] == 400


def test_notifications_and_subscriptions(join: Join, connect: Connect, server: Server) -> None:
    """Notifications and status updates come as they do over a websocket."""
    client, neighbour = join(), connect(server.port)
    answer = client.call("printer.objects.subscribe", objects={"toolhead": ["estimated_print_time"]})
    assert set(answer["result"]["status"]) == {"toolhead"}
    neighbour.call("printer.gcode.script", script="M118 hello unix")
    while client.wait_for("notify_gcode_response")["params"] != ["echo: hello unix"]:
        pass
    update = client.wait_for("notify_status_update")
    assert set(update["params"][0]) == {"toolhead"}


def test_not_counted_as_websocket(join: Join) -> None:
    """Programs on this machine take no websocket's place."""
    clients = [join() for _ in range(3)]
    assert clients[0].call("server.info")["result"]["websocket_count"] == 0


@pytest.mark.parametrize("text", [b" \x03", b"{\x03", b"\xff\xfe\x03", b"[]\x03", b"5\x03"])
def test_garbage(join: Join, text: bytes) -> None:
    """What is no request is answered by an error, and the connection goes on."""
    client = join()
    client.send_bytes(text)
    assert client.receive()["error"]["code"] in (-32700, -32600)
    assert "result" in client.call("server.info")


def test_batch_in_pieces(join: Join) -> None:
    """Messages may come in any pieces, and several at once."""
    client = join()
    batch = b'[{"jsonrpc": "2.0", "method": "server.info", "id": 1}]\x03'
    for byte in batch:
        client.send_bytes(bytes([byte]))
    client.send_bytes(batch * 2)
    assert [client.receive()[0]["id"] for _ in range(3)] == [1, 1, 1]


def test_too_long(join: Join) -> None:
    """A message without an end ends its connection, and no other."""
    client, other = join(), join()
    try:
        for _ in range(7):
            client.send_bytes(b"x" * 1024 * 1024)
        with pytest.raises(Closed):
            client.receive()
    except OSError:
        pass
    assert "result" in other.call("server.info")


def mode(path: Path) -> int:
    """Return the mode of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_mode(server: Server) -> None:
    """Owner and group may connect unless something else is configured."""
    assert mode(server.socket) == 0o660


def test_configured_mode_and_a_left_over_socket(tmp_path: Path) -> None:
    """The mode is as configured; a socket that was left behind is replaced; after the end there is none."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port).replace("[auth", "unix_socket_mode: 0600\n[auth"))
    path = data / "comms" / "moonraker.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    with twistd(tmp_path, "-d", str(data)) as process:
        assert process.wait_for(port)["warnings"] == []
        assert mode(path) == 0o600
        client = UnixClient.connect_to(path)
        assert "result" in client.call("server.info")
        process.terminate()
        with pytest.raises(Closed):
            client.receive()
        client.close()
        assert not path.exists()


def test_nothing_is_stolen(tmp_path: Path) -> None:
    """A file that has the socket's name is left alone and warned about."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port))
    path = data / "comms" / "moonraker.sock"
    path.parent.mkdir()
    path.write_text("precious")
    with twistd(tmp_path, "-d", str(data)) as process:
        (warning,) = process.wait_for(port)["warnings"]
        assert str(path) in warning
        process.terminate()
        assert "Traceback" not in process.log.read_text()
    assert path.read_text() == "precious"


def test_beside_another_server(tmp_path: Path) -> None:
    """A data path that another server has is refused by a message that names it; nothing is taken."""
    data = tmp_path / "data"
    configure(data, trusting(free_port()))
    path = data / "comms" / "moonraker.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as moonraker:
        moonraker.bind(str(path))
        moonraker.listen()
        with twistd(tmp_path, "-d", str(data)) as process:
            assert process.process.wait(20) == 1
            output = process.log.read_text()
        assert f"process {os.getpid()}" in output
        assert f"listens at {path}. Stop it first" in output
        assert "Traceback" not in output
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    assert not (data / "database" / "txraker.db").exists()


def test_one_of_several_has_another_server(tmp_path: Path) -> None:
    """A printer that another server has is disabled, and a warning of the others."""
    port, one, two = free_port(), tmp_path / "one", tmp_path / "two"
    configure(one, trusting(port))
    configure(two, trusting(free_port()))
    (two / "comms").mkdir()
    with socket.socket(socket.AF_UNIX) as moonraker:
        moonraker.bind(str(two / "comms" / "moonraker.sock"))
        moonraker.listen()
        with twistd(tmp_path, "-d", str(one), "-d", str(two)) as process:
            (warning,) = process.wait_for(port)["warnings"]
            assert f"{two} is served already: process {os.getpid()}" in warning


def test_path_too_long(tmp_path: Path, connect: Connect) -> None:
    """Where the path is too long for a socket, that is a warning and everything else works."""
    port, data = free_port(), tmp_path / ("long" * 30)
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data)) as process:
        assert any("moonraker.sock" in warning for warning in process.wait_for(port)["warnings"])
        assert "result" in connect(port).call("server.info")
        assert ask(port, "/server/config").status == 200
        process.terminate()
        assert "Traceback" not in process.log.read_text()


def test_after_a_restart(tmp_path: Path) -> None:
    """A restart closes the connections and takes new ones."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port))
    path = data / "comms" / "moonraker.sock"
    with twistd(tmp_path, "-d", str(data)) as process:
        process.wait_for(port)
        first = UnixClient.connect_to(path)
        assert first.call("server.restart")["result"] == "ok"
        with pytest.raises(Closed):
            first.receive()
        first.close()
        assert process.wait_for(port)["warnings"] == []
        second = UnixClient.connect_to(path)
        assert "result" in second.call("server.info")
        second.close()
