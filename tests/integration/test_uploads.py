"""Uploads over real sockets to real disks: memory, stalls, full disks, crashes and impatient clients.

``TXRAKER_UPLOAD_MIB=500`` makes the large one larger, ``TXRAKER_CRASH_ROUNDS=100`` kills more often.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread

import pytest

from tests.files.bench import MIB
from tests.integration.cgroup import control_group
from tests.integration.files_process import FilesProcess, files_process
from tests.integration.process import PATIENCE, configure, free_port, trusting, twistd
from tests.transports.wire import FORM, file, form, part

LARGE = int(os.environ.get("TXRAKER_UPLOAD_MIB", "64"))
ROUNDS = int(os.environ.get("TXRAKER_CRASH_ROUNDS", "5"))
ROOM = 8 * MIB
"""What a server may have beyond what it has when idle, what the kernel keeps of files included."""
BLOCK = random.Random(6).randbytes(MIB)
BEGIN, END = form(file(b"@@", "large.gcode")).split(b"@@")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesProcess]:
    """Serve files for all tests of this module."""
    with files_process(tmp_path_factory.mktemp("uploads")) as running:
        yield running


def head(length: int, *lines: str) -> bytes:
    """Return the head of an upload."""
    begin = ("POST /server/files/upload HTTP/1.1", "Host: x", f"Content-Type: {FORM}")
    return "\r\n".join([*begin, f"Content-Length: {length}", *lines, "", ""]).encode()


def connected(served: FilesProcess) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read an answer: its status and what follows the head."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return int(data.split()[1]), data.partition(b"\r\n\r\n")[2]


def wait_until_empty(folder: Path) -> None:
    """Wait until nothing partial is in a folder."""
    deadline = time.monotonic() + PATIENCE
    while any(name.startswith(".txraker-") for name in os.listdir(folder)):
        assert time.monotonic() < deadline, os.listdir(folder)
        time.sleep(0.02)


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Have a disk of a size in a folder, or skip the test where that isn't ours to have."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def upload_large(served: FilesProcess, peaks: list[int]) -> dict[str, object]:
    """Send a large file with its checksum, and note the memory meanwhile."""
    digest = hashlib.sha256()
    end = END[: -len(form()) - 2] + b"\r\n" + form(part("checksum", "@" * 64))
    with connected(served) as connection:
        connection.sendall(head(len(BEGIN) + LARGE * MIB + len(end)) + BEGIN)
        for number in range(LARGE):
            connection.sendall(BLOCK)
            digest.update(BLOCK)
            if number % 8 == 0:
                peaks.append(served.memory())
        connection.sendall(end.replace(b"@" * 64, digest.hexdigest().encode()))
        status, body = answer(connection)
    assert status == 201, body
    told: dict[str, object] = json.loads(body)["item"]
    return told


def test_large(served: FilesProcess) -> None:
    """A large file costs a few MB of memory and little CPU, and the reactor turns all the time."""
    upload_large(served, [])
    peaks: list[int] = []
    before, cpu = served.memory(), served.cpu()
    item = upload_large(served, peaks)
    assert item["size"] == LARGE * MIB
    assert served.names() == ["large.gcode"]
    assert max(peaks) - before < 6 * MIB
    assert (served.cpu() - cpu) / LARGE < 0.025
    assert served.stall() < 0.05


def test_temporary_folder_stays_small(tmp_path: Path) -> None:
    """An upload needs no room where temporary files usually go."""
    with (
        small_disk(tmp_path / "tmp", "256k") as small,
        files_process(tmp_path, TMPDIR=str(small)) as served,
    ):
        upload_large(served, [])
        assert os.listdir(small) == []


def test_full_disk(tmp_path: Path) -> None:
    """What doesn't fit is refused before it is sent, or amid it if nobody knew; then others still fit."""
    with small_disk(tmp_path / "gcodes", "4M") as small, files_process(tmp_path) as served:
        chunked = ["Transfer-Encoding: chunked"]
        for lines in ([], chunked):
            with connected(served) as connection:
                request = head(8 * MIB, *lines)
                if lines:
                    request = request.replace(b"Content-Length: %d\r\n" % (8 * MIB), b"")
                    connection.sendall(request + b"%x\r\n%s\r\n" % (len(BEGIN), BEGIN))
                    for _ in range(8):
                        connection.sendall(b"100000\r\n" + BLOCK + b"\r\n")
                else:
                    connection.sendall(request + BEGIN)
                assert answer(connection)[0] == 507
            wait_until_empty(small)
        assert os.listdir(small) == []
        reply = served.ask("upload", "POST", form(file(BLOCK)), {"Content-Type": FORM})
        assert reply.status == 201


def test_little_memory(tmp_path: Path) -> None:
    """A server that may have little more memory than it has when idle, and little room in /tmp, takes it."""
    port = free_port()
    configure(tmp_path / "data", trusting(port))
    with small_disk(tmp_path / "tmp", "8m") as small, control_group("txraker-upload") as group:
        arguments = ("-d", str(tmp_path / "data"))
        environment = {"TMPDIR": str(small)}
        with twistd(tmp_path, *arguments, environment=environment, prefix=group.command()) as server:
            server.wait_for(port)
            group.limit(group.unreclaimable() + ROOM)
            served = FilesProcess(server.process, port, tmp_path / "data")
            item = upload_large(served, [])
            assert server.process.poll() is None
        assert item["size"] == LARGE * MIB
        assert group.killed() == 0


def content_of(name: str) -> bytes:
    """Return what is in a file of a name."""
    chance = random.Random(name)
    return chance.randbytes(chance.randrange(100, MIB))


def send_many(served: FilesProcess, prefix: str, answered: list[str]) -> None:
    """Send one file after the other, and note those that were taken, until nobody answers."""
    for number in itertools.count():
        name = f"{prefix}-{number}.gcode"
        body = form(file(content_of(name), name))
        try:
            reply = served.ask("upload", "POST", body, {"Content-Type": FORM})
        except (OSError, HTTPException):
            return
        assert reply.status == 201
        answered.append(name)


def test_killed(tmp_path: Path) -> None:
    """Killed at any time amid uploads, all that was taken is there, as a whole, and nothing else."""
    chance = random.Random(6)
    answered: list[str] = []
    for number in range(ROUNDS):
        with files_process(tmp_path) as served:
            thread = Thread(target=send_many, args=(served, str(number), answered))
            thread.start()
            wait_for(lambda: len(served.names()) > len(answered) or bool(answered), "the first upload")
            time.sleep(chance.random() * 0.2)
            served.process.kill()
            thread.join(PATIENCE)
            there = [name for name in served.names() if not name.startswith(".txraker-")]
        with files_process(tmp_path) as served:
            assert served.names() == sorted(there)
        assert set(answered) <= set(there)
    for name in there:
        assert (tmp_path / "gcodes" / name).read_bytes() == content_of(name)


@pytest.mark.parametrize("how", ["closed", "reset", "half-closed"])
def test_broken_off(served: FilesProcess, how: str) -> None:
    """However a client goes amid an upload, nothing of it is left."""
    before = [name for name in served.names() if not name.startswith(".txraker-")]
    connection = connected(served)
    connection.sendall(head(64 * MIB) + BEGIN + BLOCK * 2)
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if how == "half-closed":
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    connection.close()
    wait_until_empty(served.folder / "gcodes")
    assert served.names() == before


def test_too_large_for_who_sends_all(served: FilesProcess) -> None:
    """A client that sends everything before it reads gets to read why it was refused."""
    length = 1100 * MIB
    with connected(served) as connection:
        connection.sendall(head(length) + BEGIN)
        for _ in range(100):
            connection.sendall(BLOCK)
        status, body = answer(connection)
    assert status == 413
    assert b"max_upload_size" in body


def test_one_address_many_files(served: FilesProcess) -> None:
    """Many files sent at once by one client are all received, a few at a time."""
    statuses: list[int] = []

    def send(number: int) -> None:
        name = f"many-{number}.gcode"
        reply = served.ask("upload", "POST", form(file(BLOCK * 2, name)), {"Content-Type": FORM})
        statuses.append(reply.status)

    threads = [Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert statuses == [201] * 12
    for number in range(12):
        assert (served.folder / "gcodes" / f"many-{number}.gcode").read_bytes() == BLOCK * 2


def test_others_are_served(served: FilesProcess) -> None:
    """While somebody uploads as fast as possible, others are answered soon."""
    times: list[float] = []
    thread = Thread(target=lambda: upload_large(served, []), daemon=True)
    thread.start()
    while thread.is_alive():
        began = time.monotonic()
        assert served.ask("gcodes/nope").status == 404
        times.append(time.monotonic() - began)
        time.sleep(0.01)
    assert sorted(times)[len(times) * 9 // 10] < 0.25


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't there")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-F", "file=@a.gcode", "-F", "root=gcodes"], 201),
        (["-F", "file=@a.gcode", "-H", "Transfer-Encoding: chunked"], 201),
        (["-F", "file=@a.gcode", "--http1.0"], 201),
        (["-F", "root=logs", "-F", "file=@a.gcode"], 403),
        (["-F", "file=@a.gcode", "-H", "Origin: http://evil.example"], 403),
        (["-F", "file=@a.gcode", "-H", "X-Api-Key: wrong"], 401),
    ],
)
def test_curl(served: FilesProcess, tmp_path: Path, arguments: list[str], status: int) -> None:
    """Curl, which waits to be asked for what is over 1 MB, gets its answer in every case."""
    (tmp_path / "a.gcode").write_bytes(BLOCK * 3)
    url = f"http://127.0.0.1:{served.port}/server/files/upload"
    command = ["curl", "-s", "-o", "answer", "-w", "%{http_code}", "--max-time", "20", *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, str(status))
    with suppress(KeyError):
        assert json.loads((tmp_path / "answer").read_bytes())["error"]["code"] == status
