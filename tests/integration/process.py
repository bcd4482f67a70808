"""A real ``twistd txraker`` in a process of its own, and blocking ways to talk to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from attrs import define

TWISTD = str(Path(sys.executable).parent / "twistd")
PATIENCE = 20.0


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configure(data_path: Path, text: str) -> None:
    """Write a printer's configuration."""
    folder = data_path / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "txraker.conf").write_text(text)


def trusting(port: int, more: str = "", provider: str = "none") -> str:
    """Return a configuration that listens on a loopback port and trusts loopback, without any bus."""
    return (
        f"[machine]\nprovider: {provider}\n[server]\nhost: 127.0.0.1\nport: {port}\n"
        f"[authorization]\ntrusted_clients:\n    127.0.0.0/8\n{more}"
    )


@define
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def ask(
    port: int,
    path: str,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
    host: str = "127.0.0.1",
) -> Reply:
    """Make one HTTP request."""
    connection = HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(port: int, path: str, arguments: object) -> Reply:
    """POST arguments as JSON."""
    return ask(port, path, "POST", json.dumps(arguments), {"Content-Type": "application/json"})


@define
class Twistd:
    """A running process."""

    process: subprocess.Popen[str]
    log: Path

    def wait_for(self, port: int, klippy_state: str | None = None) -> dict[str, Any]:
        """Wait until a port answers ``server.info``, with Klippy in a state if one is given."""
        deadline = time.monotonic() + PATIENCE
        info: dict[str, Any] = {}
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the process ended:\n{self.log.read_text()}")
            try:
                info = ask(port, "/server/info").json["result"]
            except (OSError, HTTPException):
                info = {}
            if info and klippy_state in (None, info["klippy_state"]):
                return info
            time.sleep(0.05)
        raise AssertionError(f"waited in vain: {info}\n{self.log.read_text()}")

    def terminate(self, number: int = signal.SIGTERM) -> float:
        """Send a signal, wait for the end and return how long it took (s)."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return time.monotonic() - began


@contextmanager
def twistd(
    folder: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    options: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Iterator[Twistd]:
    """Run ``twistd -n txraker`` with arguments for as long as the context lasts; ``prefix`` runs commands."""
    log = folder / "twistd.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*prefix, TWISTD, "--nodaemon", "--pidfile=", *options, "txraker", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield Twistd(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
