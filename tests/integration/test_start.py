"""Starts that go wrong, as a person at a shell meets them."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.process import TWISTD, ask, configure, free_port, trusting, twistd


def test_daemon_that_cannot_start_says_so(tmp_path: Path) -> None:
    """A daemon whose port is taken ends with an error that the shell sees, and leaves no pid file."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configure(tmp_path / "data", trusting(taken.getsockname()[1]))
        ended = subprocess.run(
            [
                TWISTD,
                f"--pidfile={tmp_path}/pid",
                f"--logfile={tmp_path}/log",
                "txraker",
                "-d",
                tmp_path / "data",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode != 0
    assert "Couldn't listen on 127.0.0.1" in ended.stderr
    assert not (tmp_path / "pid").exists()


def test_configuration_before_the_data_path(tmp_path: Path) -> None:
    """A ``-c`` before the only ``-d`` belongs to it; before several it belongs to none."""
    port = free_port()
    configure(tmp_path / "conf", trusting(port))
    config = str(tmp_path / "conf" / "config" / "txraker.conf")
    with twistd(tmp_path, "-c", config, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
    refused = subprocess.run(
        [TWISTD, "-n", "txraker", "-c", config, "-d", "one", "-d", "two"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode != 0
    assert "belongs to the --data-path before it" in refused.stdout + refused.stderr


def test_data_path_that_is_a_file(tmp_path: Path) -> None:
    """A data path that is no folder is named, without a traceback."""
    (tmp_path / "data").write_text("")
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        assert process.process.wait(20) != 0
        output = process.log.read_text()
    assert "is not a folder" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("path", ["/printer/gcode/script?script=M115", "/server/jsonrpc"])
def test_foreign_pages_change_nothing(tmp_path: Path, path: str) -> None:
    """A page of a foreign origin may not make a browser change anything."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        reply = ask(port, path, "POST", "{}", {"Origin": "http://evil.example", "Content-Type": "text/plain"})
        assert reply.status == 403
        assert ask(port, "/server/info", headers={"Origin": "http://evil.example"}).status == 200


def test_restart_never_stops_listening(tmp_path: Path) -> None:
    """While a server restarts, every new connection is accepted and answered."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        for _ in range(5):
            assert ask(port, "/server/restart", "POST").json == {"result": "ok"}
            for _ in range(100):
                assert ask(port, "/server/info").status == 200


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Host": "evil.example"}, "/server/info", 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "/printer/gcode/script?script=M112", 403),
        ({"Host": "printer.local"}, "/server/info", 200),
        ({"Sec-Fetch-Site": "cross-site"}, "/printer/gcode/script?script=M112", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "/server/info", 200),
        ({"Sec-Fetch-Site": "same-origin"}, "/server/info", 200),
    ],
)
def test_pages_of_others(tmp_path: Path, headers: dict[str, str], path: str, status: int) -> None:
    """A page that has our address under its own name, or is another's to the browser, does nothing here."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        assert ask(port, path, headers=headers).status == status
        if headers.get("Host") == "evil.example":
            assert ask(port, "/websocket", headers={"Upgrade": "websocket", **headers}).status == 403
