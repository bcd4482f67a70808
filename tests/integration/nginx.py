"""The real nginx with the configuration of ``docs/nginx.conf``; its tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from attrs import define

from tests.integration.process import PATIENCE, free_port

DOCUMENTED = Path(__file__).parents[2] / "docs" / "nginx.conf"
SECONDS = 2.0
"""What nginx waits for txraker where the documented configuration doesn't say otherwise."""

_SURROUNDINGS = """
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temporary/body;
    proxy_temp_path {folder}/temporary/proxy;
    fastcgi_temp_path {folder}/temporary/fastcgi;
    uwsgi_temp_path {folder}/temporary/uwsgi;
    scgi_temp_path {folder}/temporary/scgi;
    proxy_read_timeout {seconds}s;
    proxy_send_timeout {seconds}s;
    include {folder}/site.conf;
}}
"""


@define
class Nginx:
    """A running nginx that listens on a port of every address."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def memory(self) -> int:
        """Return the bytes of memory that are its worker's own."""
        lines = Path(f"/proc/{self._worker()}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

    def spooled(self) -> int:
        """Return the bytes that its worker keeps in temporary files, whose names are gone already."""
        size = 0
        for descriptor in Path(f"/proc/{self._worker()}/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.readlink(descriptor).startswith(str(self.folder / "temporary")):
                    size += descriptor.stat().st_size
        return size

    def _worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])


@contextmanager
def nginx(folder: Path, upstream: int, webcam: int, front_end: Path) -> Iterator[Nginx]:
    """Run nginx before a server, a camera and a front-end's folder for as long as the context lasts.

    With ``TXRAKER_TESTS_NEED_NGINX`` in the environment, the test fails where nginx isn't installed.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        cannot("the Debian package nginx-light is not installed")
    port = free_port()
    (folder / "temporary").mkdir(parents=True)
    (folder / "site.conf").write_text(_site(port, upstream, webcam, front_end))
    user = "user root;" if os.geteuid() == 0 else ""
    surroundings = _SURROUNDINGS.format(folder=folder, user=user, seconds=int(SECONDS))
    (folder / "nginx.conf").write_text(surroundings)
    process = subprocess.Popen([program, "-e", "stderr", "-c", folder / "nginx.conf", "-g", "daemon off;"])
    try:
        _wait_for(process, port)
        yield Nginx(port, folder, process)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def outside_address() -> str:
    """Return an address of this machine that isn't a loopback one; skip the test where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # a datagram socket sends nothing for that
        except OSError:
            cannot("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
        return address


def cannot(reason: str) -> NoReturn:
    """Skip the test, or fail it where nginx is needed."""
    if os.environ.get("TXRAKER_TESTS_NEED_NGINX"):
        pytest.fail(reason)
    pytest.skip(reason)


def _site(port: int, upstream: int, webcam: int, front_end: Path) -> str:
    """Return the documented configuration with ports and folder in the place of those that are there."""
    return _replaced(
        DOCUMENTED.read_text(),
        {
            "listen 80 default_server;": f"listen {port} default_server;",
            "listen [::]:80 default_server;": f"listen [::]:{port} default_server;",
            "127.0.0.1:7125;": f"127.0.0.1:{upstream};",
            "127.0.0.1:8080;": f"127.0.0.1:{webcam};",
            "/home/pi/mainsail;": f"{front_end};",
        },
    )


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert text.count(old) == 1, f"{old} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "nginx ended"
        assert time.monotonic() < deadline, "nginx doesn't answer"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
