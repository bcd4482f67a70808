"""The servers under measurement, as processes with a port."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Final

from attrs import frozen

from sidebyside import environments
from sidebyside.process import cpu_seconds, start_on, stop

READY_WITHIN: Final = 40.0
LOOK_SECONDS: Final = 0.02
"""How often a starting server is asked whether it is ready."""

SETTLE_SECONDS: Final = 0.7
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

[machine]
provider: none
"""


@frozen
class Program:
    """A server's program: its name, its configuration file, and how to serve printers with it.

    ``commands`` gives, for the data folders of some printers, the command line of each process it takes.
    """

    name: str
    config_name: str
    config: str
    commands: Callable[[Sequence[Path]], list[list[str]]]


MOONRAKER: Final = Program(
    "Moonraker",
    "moonraker.conf",
    _MOONRAKER_CONFIG,
    lambda folders: [
        [environments.MOONRAKER.program("python"), "-m", "moonraker", "-d", str(folder)] for folder in folders
    ],
)
TXRAKER: Final = Program(
    "txraker",
    "txraker.conf",
    _TXRAKER_CONFIG,
    lambda folders: [
        [
            environments.TXRAKER.program("twistd"),
            "--nodaemon",
            "--pidfile=",
            "txraker",
            *(f"--data-path={folder}" for folder in folders),
        ]
    ],
)


@frozen
class Moment:
    """A moment of a server's start: seconds since its process began, and CPU seconds used until then."""

    wall: float
    cpu: float


@frozen
class Startup:
    """When a server gave its first answer, and when it first answered that the printer is ready."""

    answered: Moment
    ready: Moment


@frozen
class Server:
    """A server that runs, on as many ports and in as many processes as its printers take."""

    name: str
    processes: Sequence[Popen[bytes]]
    ports: Sequence[int]
    startup: Startup
    folder: Path
    """The first printer's data folder."""

    @property
    def port(self) -> int:
        """The first printer's port."""
        return self.ports[0]

    @property
    def pids(self) -> list[int]:
        """Its processes, without their children."""
        return [process.pid for process in self.processes]


@contextmanager
def running(program: Program, folders: Sequence[Path], cores: set[int], klippy: Path) -> Iterator[Server]:
    """Serve a printer for each data folder, from the moment Klippy is ready; all have the same Klippy."""
    ports = [_prepared(program, folder, klippy) for folder in folders]
    environment: Mapping[str, str] = {
        "HOME": str(folders[0]),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    }
    output = folders[0] / "output.log"
    began = time.monotonic()
    processes = [start_on(cores, each, output, environment) for each in program.commands(folders)]
    try:
        startup = _wait_until_ready(processes[0], ports[0], output, began)
        for port in ports[1:]:
            _wait_until_ready(processes[0], port, output, began)
        time.sleep(SETTLE_SECONDS)
        yield Server(program.name, processes, ports, startup, folders[0])
    finally:
        for process in processes:
            stop(process)


def _prepared(program: Program, folder: Path, klippy: Path) -> int:
    """Make a printer's data folder and its configuration; return its port."""
    for name in ("config", "logs", "gcodes", "comms"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    port = _free_port()
    (folder / "config" / program.config_name).write_text(program.config.format(port=port, socket=klippy))
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: Popen[bytes], port: int, output: Path, began: float) -> Startup:
    answered: Moment | None = None
    state = "no answer"
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {output.read_text()[-2000:]}")
        if time.monotonic() > began + READY_WITHIN:
            raise RuntimeError(f"the server did not get ready: {state}; {output.read_text()[-2000:]}")
        try:
            state = _klippy_state(port)
        except (OSError, http.client.HTTPException) as problem:
            state = str(problem)
        else:
            now = Moment(time.monotonic() - began, cpu_seconds(process.pid))
            answered = answered or now
            if state == "ready":
                return Startup(answered, now)
        time.sleep(LOOK_SECONDS)


def _klippy_state(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/server/info")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return str(answer.get("result", answer).get("klippy_state"))
