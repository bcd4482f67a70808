"""The servers under measurement, as processes with a port."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Final

from attrs import frozen

from sidebyside import moonraker
from sidebyside.process import start_on, stop

READY_WITHIN: Final = 40.0
SETTLE_SECONDS: Final = 1.0
"""After ``ready`` a server still has things to do, such as reading the gcode files' metadata."""

_MOONRAKER_CONFIG: Final = """\
[server]
host: 127.0.0.1
port: {port}
klippy_uds_address: {socket}
max_websocket_connections: 400

[machine]
provider: none
validate_service: False

[authorization]
trusted_clients:
    127.0.0.0/8

[file_manager]
check_klipper_config_path: False

# Keeps it from fetching news from the internet.
[announcements]
dev_mode: True
"""

_TXRAKER_CONFIG: Final = """\
[server]
host: 127.0.0.1
port: {port}
klippy_uds_address: {socket}
max_websocket_connections: 400

[authorization]
trusted_clients:
    127.0.0.0/8
"""


@frozen
class Program:
    """A server's program: its name, its configuration file, and its command line for a data folder."""

    name: str
    config_name: str
    config: str
    command: Callable[[Path], list[str]]


MOONRAKER: Final = Program(
    "Moonraker",
    "moonraker.conf",
    _MOONRAKER_CONFIG,
    lambda data: [*moonraker.command(), "-d", str(data)],
)
TXRAKER: Final = Program(
    "txraker",
    "txraker.conf",
    _TXRAKER_CONFIG,
    lambda data: [
        str(Path(sys.executable).with_name("twistd")),
        "--nodaemon",
        "--pidfile=",
        "txraker",
        f"--data-path={data}",
    ],
)


@frozen
class Server:
    """A server that runs."""

    name: str
    process: Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid


@contextmanager
def running(program: Program, folder: Path, cores: set[int], klippy: Path) -> Iterator[Server]:
    """Run a server whose data is in ``folder``, from the moment Klippy is ready."""
    for name in ("config", "logs", "gcodes", "comms"):
        (folder / name).mkdir(parents=True)
    port = _free_port()
    (folder / "config" / program.config_name).write_text(program.config.format(port=port, socket=klippy))
    environment: Mapping[str, str] = {"HOME": str(folder), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
    process = start_on(cores, program.command(folder), folder / "output.log", environment)
    try:
        _wait_until_ready(process, port, folder / "output.log")
        time.sleep(SETTLE_SECONDS)
        yield Server(program.name, process, port)
    finally:
        stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    state = "no answer"
    while state != "ready":
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {output.read_text()[-2000:]}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not get ready: {state}; {output.read_text()[-2000:]}")
        time.sleep(0.1)
        try:
            state = _klippy_state(port)
        except OSError as problem:
            state = str(problem)


def _klippy_state(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/server/info")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return str(answer.get("result", answer).get("klippy_state"))
