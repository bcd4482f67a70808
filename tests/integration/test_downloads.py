"""Downloads over real sockets: large files, many at once, slow readers, and files that change meanwhile."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from tests.files.bench import MIB
from tests.integration.files_process import FilesProcess, files_process
from tests.integration.process import PATIENCE

LARGE = 64


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesProcess]:
    """Serve a large file for all tests of this module."""
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "gcodes").mkdir()
    (folder / "gcodes" / "large.gcode").write_bytes(os.urandom(MIB) * LARGE)
    with files_process(folder) as running:
        yield running


def large(served: FilesProcess) -> Path:
    """Return where the large file is."""
    return served.folder / "gcodes" / "large.gcode"


def asked(served: FilesProcess, path: str, buffer: int = 0) -> socket.socket:
    """Ask for a file by a connection that ends with it, and read nothing yet."""
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(f"GET /server/files/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def body(connection: socket.socket) -> bytes:
    """Read a body until the connection ends, also if that is cut."""
    pieces = []
    try:
        while data := connection.recv(MIB):
            pieces.append(data)
    except ConnectionResetError:
        pass
    return b"".join(pieces).partition(b"\r\n\r\n")[2]


def test_large(served: FilesProcess) -> None:
    """A large file is sent as it is, in a few MB of memory, and the reactor turns all the time."""
    before = served.memory()
    reply = served.ask("gcodes/large.gcode")
    assert reply.body == large(served).read_bytes()
    assert served.memory() - before < 4 * MIB
    assert served.stall() < 0.05


def test_in_parts(served: FilesProcess) -> None:
    """A file that is asked for in parts, on one connection, is whole when they are put together."""
    connection = HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    parts = []
    size = LARGE * MIB
    for first in range(0, size, 7 * MIB + 1):
        headers = {"Range": f"bytes={first}-{first + 7 * MIB}"}
        connection.request("GET", "/server/files/gcodes/large.gcode", headers=headers)
        response = connection.getresponse()
        assert response.status == 206
        parts.append(response.read())
    connection.close()
    assert b"".join(parts) == large(served).read_bytes()


def test_many_slow_readers(served: FilesProcess) -> None:
    """Fifty clients that don't read cost little each, and others are served meanwhile."""
    before = served.memory()
    connections = [asked(served, "gcodes/large.gcode", 4096) for _ in range(50)]
    time.sleep(0.5)
    assert served.ask("gcodes/nope").status == 404
    assert served.memory() - before < 50 * MIB
    for connection in connections:
        connection.close()
    deadline = time.monotonic() + PATIENCE
    while len(os.listdir(f"/proc/{served.process.pid}/fd")) > 40:
        assert time.monotonic() < deadline, "files are still open"
        time.sleep(0.05)


def test_many_at_once(served: FilesProcess) -> None:
    """Ten clients at once get the whole file each."""
    sizes: list[int] = []

    def get() -> None:
        sizes.append(len(served.ask("gcodes/large.gcode").body))

    threads = [Thread(target=get) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * PATIENCE)
    assert sizes == [LARGE * MIB] * 10


def test_log_that_grows(served: FilesProcess) -> None:
    """A log that is written to while it is sent is sent as far as it went when it was asked for."""
    log = served.folder / "logs" / "klippy.log"
    log.write_bytes(b"line\n" * 2_000_000)
    with asked(served, "logs/klippy.log", 4096) as connection:
        assert connection.recv(1000, socket.MSG_PEEK)
        with log.open("ab") as file:
            file.write(b"more\n" * 100_000)
        assert len(body(connection)) == 10_000_000


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_log_that_is_put_aside(served: FilesProcess, how: str) -> None:
    """A log that is truncated while it is sent ends the connection; one that is replaced is sent whole."""
    log = served.folder / "logs" / "klippy.log"
    log.write_bytes(b"line\n" * 4_000_000)
    with asked(served, "logs/klippy.log", 4096) as connection:
        assert connection.recv(1000, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        if how == "truncated":
            os.truncate(log, 0)
        else:
            log.rename(log.with_name("klippy.log.1"))
            log.write_bytes(b"new\n")
        rest = len(body(connection))
    if how == "truncated":
        assert rest < 19_000_000
    else:
        assert rest > 19_990_000
    assert served.ask("logs/klippy.log").status == 200
