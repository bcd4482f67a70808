"""The process as systemd, a shell and a person meet it: command line, signals, several printers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Connect
from tests.integration.process import TWISTD, ask, configure, free_port, post, trusting, twistd


def test_help_names_the_options(tmp_path: Path) -> None:
    """``twistd -n txraker --help`` explains the command line."""
    shown = subprocess.run(
        [TWISTD, "-n", "txraker", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for option in ("--data-path", "--config", "--simulate"):
        assert option in shown.stdout


def test_simulated_printer_is_served(tmp_path: Path, connect: Connect) -> None:
    """``--simulate`` serves a virtual printer over HTTP and websocket, and a print can be started."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        info = ask(port, "/printer/info").json["result"]
        assert info["state"] == "ready"
        sample = next((data / "gcodes").glob("*.gcode")).name
        assert post(port, "/printer/print/start", {"filename": sample}).json == {"result": "ok"}
        client = connect(port)
        status = client.call("printer.objects.subscribe", objects={"print_stats": ["state"]})
        if status["result"]["status"]["print_stats"]["state"] != "printing":
            assert client.wait_for("notify_status_update")["params"][0]["print_stats"]["state"] == "printing"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_everything_cleanly(tmp_path: Path, connect: Connect, number: int) -> None:
    """A signal closes clients with 1001, removes sockets and ends the process within 2 seconds.

    twistd ends by the signal it got, once it has cleaned up; systemd takes that for success.
    """
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        client = connect(port)
        assert process.terminate(number) < 2
        assert client.drain() == 1001
        assert process.process.returncode == -number
        assert list((data / "comms").iterdir()) == []
        assert "Traceback" not in process.log.read_text()


def test_client_that_never_reads_does_not_delay_the_end(tmp_path: Path, connect: Connect) -> None:
    """A client that answers nothing is cut off, and the process still ends within 2 seconds."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        connect(port)
        assert process.terminate() < 2


def test_data_path_is_made(tmp_path: Path) -> None:
    """A missing data path is made with the folders Klipper users know, readable by others."""
    port = free_port()
    configure(tmp_path / "conf", trusting(port))
    config = tmp_path / "conf" / "config" / "txraker.conf"
    data = tmp_path / "new" / "printer"
    with twistd(tmp_path, "-d", str(data), "-c", str(config), options=["--umask=077"]) as process:
        process.wait_for(port)
        for name in ("config", "gcodes", "logs", "comms", "database", "backup"):
            assert (data / name).stat().st_mode & 0o777 == 0o755
        log = data / "logs" / "moonraker.log"
        assert log.stat().st_mode & 0o777 == 0o644
        assert "txraker" in log.read_text()


def test_two_printers_share_nothing(tmp_path: Path, connect: Connect) -> None:
    """Two printers in one process have their own ports, states and logs; restarting one leaves the other."""
    ports = free_port(), free_port()
    folders = tmp_path / "one", tmp_path / "two"
    for folder, port in zip(folders, ports, strict=True):
        configure(folder, trusting(port))
    with twistd(tmp_path, "-d", str(folders[0]), "-d", str(folders[1]), "--simulate") as process:
        for port in ports:
            process.wait_for(port, "ready")
        untouched = connect(ports[1])
        identifier = untouched.call("server.websocket.id")["result"]
        assert post(ports[0], "/printer/gcode/script", {"script": "M117 first"}).status == 200
        assert (
            ask(ports[1], "/server/gcode_store").json["result"]["gcode_store"][-1]["message"] != "M117 first"
        )
        assert ask(ports[0], "/server/restart", "POST").json == {"result": "ok"}
        time.sleep(0.5)
        process.wait_for(ports[0], "ready")
        assert untouched.call("server.websocket.id")["result"] == identifier
        for folder in folders:
            assert (folder / "logs" / "moonraker.log").is_file()


def test_second_printer_on_one_port_is_disabled(tmp_path: Path) -> None:
    """Of two printers that want one port the first runs, and says why the second doesn't."""
    port = free_port()
    for name in ("one", "two"):
        configure(tmp_path / name, trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "one"), "-d", str(tmp_path / "two")) as process:
        (warning,) = process.wait_for(port)["warnings"]
        assert str(tmp_path / "two") in warning
        assert str(port) in warning
        assert "Disabled" in warning


def test_broken_configuration_of_one_printer_leaves_the_other(tmp_path: Path) -> None:
    """A printer whose configuration is broken is disabled; the other one runs and says so."""
    port = free_port()
    configure(tmp_path / "one", "[server]\nport: none\n")
    configure(tmp_path / "two", trusting(port))
    with twistd(tmp_path, "-d", str(tmp_path / "one"), "-d", str(tmp_path / "two")) as process:
        (warning,) = process.wait_for(port)["warnings"]
        assert "port" in warning
        assert "none" in warning


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ("[server]\nport: none\n", "must be an integer"),
        ("[authorization]\nlogin_timeout: 0\n", "login_timeout"),
        ("[server\n", "line 1"),
    ],
)
def test_unusable_configuration_refuses_to_start(tmp_path: Path, configuration: str, reason: str) -> None:
    """With nothing left to serve the process ends at once, with the reason and without a traceback."""
    configure(tmp_path / "data", configuration)
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        assert process.process.wait(20) != 0
        output = process.log.read_text()
        assert reason in output
        assert "Traceback" not in output


def test_taken_port_refuses_to_start(tmp_path: Path) -> None:
    """A port that another process has is named, and the process ends without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(tmp_path / "data", trusting(port))
        with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
            assert process.process.wait(20) != 0
            output = process.log.read_text()
    assert str(port) in output
    assert "Traceback" not in output


def test_systemd_hears_of_readiness_and_life(tmp_path: Path) -> None:
    """``READY=1`` is sent once requests are answered, ``WATCHDOG=1`` in time, ``STOPPING=1`` at the end."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        with twistd(tmp_path, "-d", str(tmp_path / "data"), environment=environment) as process:
            assert manager.recv(4096).startswith(b"READY=1\n")
            assert ask(port, "/server/info").status == 200
            assert manager.recv(4096) == b"WATCHDOG=1"
            process.terminate()
            messages = [b""]
            while messages[-1] != b"STOPPING=1":
                messages.append(manager.recv(4096))


def test_daemon_has_a_pid_file(tmp_path: Path) -> None:
    """twistd's own options work: it daemonises, keeps a pid file and removes it when it ends."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port))
    pid_file = tmp_path / "txraker.pid"
    subprocess.run(
        [TWISTD, f"--pidfile={pid_file}", f"--logfile={tmp_path}/daemon.log", "txraker", "-d", str(data)],
        cwd=tmp_path,
        check=True,
        timeout=20,
    )
    try:
        deadline = time.monotonic() + 20
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(port, "/server/info").status == 200
        assert (data / "logs" / "moonraker.log").stat().st_mode & 0o777 == 0o644
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pid_file.exists()


def test_disabled_printer_does_not_answer(tmp_path: Path) -> None:
    """A printer that failed to start after it had its port has given it back; the other one says why."""
    ports = free_port(), free_port()
    folders = tmp_path / "one", tmp_path / ("long" * 30)
    for folder, port in zip(folders, ports, strict=True):
        configure(folder, trusting(port))
    with twistd(tmp_path, "-d", str(folders[0]), "-d", str(folders[1]), "--simulate") as process:
        warnings = process.wait_for(ports[0], "ready")["warnings"]
        assert any("Disabled" in warning for warning in warnings)
        with pytest.raises(ConnectionRefusedError):
            ask(ports[1], "/server/info")
        ask(ports[0], "/server/restart", "POST")
        time.sleep(0.5)
        assert ask(ports[0], "/server/info").json["result"]["warnings"] == warnings
