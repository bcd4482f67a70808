"""A server that restarts: what it hands over, and what it doesn't lose."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.integration.conftest import Connect
from tests.integration.process import ask, configure, free_port, post, trusting, twistd


def test_a_local_socket_that_is_gone(tmp_path: Path) -> None:
    """A restart brings back a unix socket that somebody removed; an end leaves somebody else's alone."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    path = data / "comms" / "moonraker.sock"
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        path.unlink()
        assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
        time.sleep(0.5)
        process.wait_for(port, "ready")
        assert path.is_socket()
        path.unlink()
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.bind(str(path))
            assert process.terminate() < 2
        assert path.exists()
        assert "Traceback" not in process.log.read_text()


def test_the_local_socket_goes_from_server_to_server(tmp_path: Path) -> None:
    """The unix socket is there before, during and after a restart, with the mode that is configured then."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    path = data / "comms" / "moonraker.sock"
    with twistd(tmp_path, "-d", str(data)) as process:
        process.wait_for(port)
        before = path.stat().st_ino
        configure(data, trusting(port).replace("[auth", "unix_socket_mode: 0600\n[auth"))
        assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
        time.sleep(0.5)
        assert path.stat().st_ino == before
        assert path.stat().st_mode & 0o777 == 0o600
        process.terminate()
        assert not path.exists()


def test_queries_after_a_restart_are_right(tmp_path: Path, connect: Connect) -> None:
    """A command given to the old server is seen in what the new one answers."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        for number in range(5):
            assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
            assert post(port, "/printer/gcode/script", {"script": f"M117 n{number}"}).status in (200, 503)
            time.sleep(0.2)
            process.wait_for(port, "ready")
            client = connect(port)
            client.call("printer.gcode.script", script=f"M117 again{number}")
            status = client.call("printer.objects.query", objects={"display_status": ["message"]})
            assert status["result"]["status"]["display_status"]["message"] == f"again{number}"
