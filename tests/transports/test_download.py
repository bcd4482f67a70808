"""Files over HTTP: what is sent, with which headers, and what a file or client may do meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.files.bench import FileServer
from tests.transports.wire import Wire
from txraker.api.caller import Role, Who
from txraker.transports.web.sending import PIECE, STALLED

STRANGER = "203.0.113.9"


@pytest.fixture
def clock() -> Any:
    """Make a reactor in memory."""
    return MemoryReactorClock()


@pytest.fixture
def server(tmp_path: Path, clock: Any) -> FileServer:
    """Serve folders with a few files."""
    served = FileServer(tmp_path, clock)
    files = {
        "gcodes/a.gcode": b"G28\n",
        "gcodes/sub/b c.gcode": b"M84\n",
        "gcodes/.thumbs/a-32x32.png": b"\x89PNG",
        "gcodes/a+b%2f.gcode": b"plus",
        "config/printer.cfg": b"[printer]\n",
        "config/evil.html": b"<script>alert(1)</script>",
        "gcodes/large.gcode": os.urandom(3 * PIECE + 17),
        "secret.txt": b"secret",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return served


def drained(wire: Wire) -> bytes:
    """Let the client read everything, and return it."""
    while True:
        before = len(wire.tcp.value())
        wire.channel.resumeProducing()
        if len(wire.tcp.value()) == before:
            return bytes(wire.tcp.value())
        wire.channel.pauseProducing()


def test_file(server: FileServer, tmp_path: Path) -> None:
    """A file is sent as it is, with validators, to be saved and not to be shown."""
    answer = Wire(server.site).ask("GET", "/server/files/gcodes/sub/b%20c.gcode?date=1")
    modified = (tmp_path / "gcodes/sub/b c.gcode").stat().st_mtime_ns
    assert (answer.status, answer.body) == (200, b"M84\n")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "4"
    assert answer.headers["etag"] == f'"{modified:x}-4"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "last-modified" in answer.headers
    assert answer.headers["content-disposition"].startswith('attachment; filename="b c.gcode"')


def test_nothing_runs_as_ours(server: FileServer) -> None:
    """A page that somebody put in a root runs no script in our name."""
    answer = Wire(server.site).ask("GET", "/server/files/config/evil.html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert {"sandbox", "default-src 'none'"} <= set(answer.headers["content-security-policy"].split("; "))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("gcodes/nope.gcode", 404),
        ("gcodes/a.gcode/x", 404),
        ("gcodes/" + "x" * 300, 400),
        ("gcodes", 404),
        ("gcodes/", 403),
        ("gcodes/sub", 403),
        ("nope/a.gcode", 404),
        ("../secret.txt", 404),
        ("gcodes/../../secret.txt", 400),
        ("gcodes/%2e%2e/%2e%2e/secret.txt", 400),
        ("gcodes/..%2f..%2fsecret.txt", 400),
        ("gcodes/%252e%252e/secret.txt", 404),
        ("gcodes/..%5c..%5csecret.txt", 404),
        ("gcodes/%00", 400),
        ("gcodes/a.gcode%00.png", 400),
        ("gcodes/%ff", 400),
        ("gcodes/%c0%ae%c0%ae/secret.txt", 400),
        ("gcodes//etc/passwd", 404),
        ("klippy.log", 404),
    ],
)
def test_what_is_no_file(server: FileServer, path: str, status: int) -> None:
    """What is not there, not in the root or no file is an error, in JSON, and is nobody's to keep."""
    answer = Wire(server.site).ask("GET", f"/server/files/{path}")
    assert answer.status == status
    assert json.loads(answer.body)["error"]["code"] == status
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert answer.headers["cache-control"] == "no-store"


def test_literal_characters(server: FileServer) -> None:
    """A plus stands for itself, and what is encoded is decoded once."""
    assert Wire(server.site).ask("GET", "/server/files/gcodes/a+b%252f.gcode").body == b"plus"


@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
def test_no_regular_file(server: FileServer, tmp_path: Path, kind: str) -> None:
    """A pipe or a device is no file, and asking for one holds nobody."""
    target = tmp_path / "gcodes" / "odd"
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/zero")
    assert Wire(server.site).ask("GET", "/server/files/gcodes/odd").status == 403


def test_partial_file(server: FileServer, tmp_path: Path) -> None:
    """A file that is being uploaded isn't there yet."""
    name = ".txraker-0123456789abcdef.part"
    (tmp_path / "gcodes" / name).write_bytes(b"x")
    assert Wire(server.site).ask("GET", f"/server/files/gcodes/{name}").status == 404


def test_klippy_log(server: FileServer, tmp_path: Path) -> None:
    """The shortcut sends the log, wherever it is."""
    server.log = tmp_path / "secret.txt"
    answer = Wire(server.site).ask("GET", "/server/files/klippy.log")
    assert answer.body == b"secret"
    assert 'filename="klippy.log"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "status", "told", "body"),
    [
        ("bytes=1-2", 206, "bytes 1-2/4", b"28"),
        ("bytes=-1", 206, "bytes 3-3/4", b"\n"),
        ("bytes=4-", 416, "bytes */4", b""),
        ("bytes=0-0,2-2", 200, None, b"G28\n"),
    ],
)
def test_range(server: FileServer, asked: str, status: int, told: str | None, body: bytes) -> None:
    """A part of a file is sent if one is asked for."""
    answer = Wire(server.site).ask("GET", "/server/files/gcodes/a.gcode", Range=asked)
    assert (answer.status, answer.headers.get("content-range"), answer.body) == (status, told, body)
    assert answer.headers["content-length"] == str(len(body))


def test_unchanged(server: FileServer, tmp_path: Path) -> None:
    """What a client has already is not sent again, until it changes."""
    wire = Wire(server.site)
    path = "/server/files/gcodes/.thumbs/a-32x32.png"
    tag = wire.ask("GET", path).headers["etag"]
    answer = wire.ask("GET", path, If_None_Match=tag)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    (tmp_path / "gcodes/.thumbs/a-32x32.png").write_bytes(b"\x89PNG changed")
    assert wire.ask("GET", path, If_None_Match=tag).status == 200


def test_head(server: FileServer) -> None:
    """HEAD has the headers of GET and no body, however large the file is."""
    wire = Wire(server.site)
    answer = wire.ask("HEAD", "/server/files/gcodes/large.gcode", Range="bytes=0-1")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(3 * PIECE + 17)
    assert wire.ask("GET", "/server/files/gcodes/a.gcode").body == b"G28\n"


@pytest.mark.parametrize(("method", "status"), [("GET", 401), ("HEAD", 401), ("DELETE", 401)])
def test_strangers(server: FileServer, method: str, status: int) -> None:
    """Strangers get nothing, and don't learn what there is."""
    for name in ("a.gcode", "nope"):
        assert Wire(server.site, STRANGER).ask(method, f"/server/files/gcodes/{name}").status == status
    assert not server.deleted


def test_viewer(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may look reads files, and neither deletes nor sends any."""
    viewer = Who("ann", Role.VIEWER)
    monkeypatch.setattr(type(server.gate), "who_shows", lambda *_: viewer)
    wire = Wire(server.site)
    assert wire.ask("GET", "/server/files/gcodes/a.gcode").status == 200
    assert wire.ask("DELETE", "/server/files/gcodes/a.gcode").status == 403
    assert wire.upload(b"").status == 403
    assert [entry.outcome for entry in server.noted] == ["refused", "refused"]


def test_delete(server: FileServer) -> None:
    """A file is deleted by DELETE on its path, unless a foreign page asks for that."""
    wire = Wire(server.site)
    path = "/server/files/gcodes/sub/b%20c.gcode"
    assert wire.ask("DELETE", path, Origin="http://evil.example").status == 403
    answer = wire.ask("DELETE", path)
    assert json.loads(answer.body) == {"result": {"action": "delete_file"}}
    assert server.deleted == ["gcodes/sub/b c.gcode"]
    assert wire.ask("DELETE", "/server/files/gcodes/nope").status == 404


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 405), ("OPTIONS", 204)])
def test_other_methods(server: FileServer, method: str, status: int) -> None:
    """Other methods are told what there is."""
    answer = Wire(server.site).ask(method, "/server/files/gcodes/a.gcode")
    assert (answer.status, answer.headers["allow"]) == (status, "GET, HEAD, DELETE, OPTIONS")


def test_slow_reader(server: FileServer, tmp_path: Path) -> None:
    """A large file is sent piece by piece as its reader takes them, and the connection goes on."""
    wire = Wire(server.site)
    wire.channel.pauseProducing()
    wire.channel.resumeProducing()
    wire.head("GET", "/server/files/gcodes/large.gcode")
    answer = wire.response()
    assert answer.headers["content-length"] == str(3 * PIECE + 17)
    assert drained(wire).partition(b"\r\n\r\n")[2] == (tmp_path / "gcodes/large.gcode").read_bytes()
    assert wire.ask("GET", "/server/files/gcodes/a.gcode").body == b"G28\n"


def deaf(server: FileServer) -> Wire:
    """Ask for a large file, and read nothing of it."""
    wire = Wire(server.site)
    write = wire.tcp.write

    def write_and_wait(data: bytes) -> None:
        write(data)
        if len(data) > 65536:
            wire.channel.pauseProducing()

    wire.tcp.write = write_and_wait
    wire.head("GET", "/server/files/gcodes/large.gcode")
    return wire


def test_deaf_reader(server: FileServer, clock: Any) -> None:
    """A client that reads nothing costs one piece, and is cut after a time."""
    wire = deaf(server)
    assert len(wire.tcp.value()) < PIECE + 2000
    clock.advance(STALLED / 2)
    wire.channel.resumeProducing()
    assert PIECE < len(wire.tcp.value()) < 2 * PIECE + 2000
    clock.advance(STALLED - 1)
    assert not wire.tcp.is_aborted
    clock.advance(1)
    assert wire.tcp.is_aborted


def test_file_that_shrinks(server: FileServer, tmp_path: Path) -> None:
    """When a file gets shorter while it is sent, the connection ends before what was promised was sent."""
    wire = deaf(server)
    os.truncate(tmp_path / "gcodes/large.gcode", PIECE + 10)
    while not wire.tcp.is_aborted:
        wire.channel.resumeProducing()
    assert len(wire.tcp.value()) < PIECE + 2000


def test_file_that_grows(server: FileServer, tmp_path: Path) -> None:
    """When a file gets longer while it is sent, just what was promised is sent."""
    wire = deaf(server)
    with (tmp_path / "gcodes/large.gcode").open("ab") as file:
        file.write(b"more")
    body = drained(wire).partition(b"\r\n\r\n")[2]
    assert len(body) == 3 * PIECE + 17


def test_client_that_goes(server: FileServer, clock: Any) -> None:
    """When a client goes amid a file, the file is closed and nothing is left to do."""
    wire = deaf(server)
    before = len(os.listdir("/proc/self/fd"))
    wire.lose()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert not clock.getDelayedCalls()
    assert not server.faults.seen
