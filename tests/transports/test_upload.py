"""Uploads over HTTP: who may, what is answered, and what is left when something goes wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from tests.files.bench import MIB, FileServer
from tests.tools import start
from tests.transports.wire import FORM, Wire, file, form, part
from txraker.errors import KlippyNotConnected
from txraker.files.uploads import CALL
from txraker.testing.threads import at_once
from txraker.transports.web.channel import WHOLE_WITHIN
from txraker.transports.web.request import LINGER_KNOWN
from txraker.transports.web.upload import PIECE

_T = TypeVar("_T")

PATH = "/server/files/upload"
STRANGER = "203.0.113.9"


@define(eq=False)
class SlowDisk:
    """An OffThread whose work is done one by one, when it is told to."""

    waiting: list[Callable[[], Any]] = field(factory=list)

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()
        self.waiting.append(lambda: at_once(work).chainDeferred(done))
        return done

    def work(self) -> None:
        """Do the first thing that waits."""
        self.waiting.pop(0)()

    def finish(self) -> None:
        """Do everything."""
        while self.waiting:
            self.work()


@pytest.fixture
def clock() -> Any:
    """Make a reactor in memory."""
    return MemoryReactorClock()


@pytest.fixture
def server(tmp_path: Path, clock: Any) -> FileServer:
    """Serve folders."""
    return FileServer(tmp_path, clock)


def error(wire: Wire) -> str:
    """Return what the answer says is wrong."""
    message: str = json.loads(wire.response().body)["error"]["message"]
    return message


def test_upload(server: FileServer, tmp_path: Path) -> None:
    """A file is put in place and told of; the answer is not wrapped, and says where it is."""
    answer = Wire(server.site).upload(file(b"G28\n", "W\u00fcrfel 1.gcode"))
    assert answer.status == 201
    assert answer.headers["location"] == "http://printer.local/server/files/gcodes/W%C3%BCrfel%201.gcode"
    told = json.loads(answer.body)
    target = tmp_path / "gcodes" / "Würfel 1.gcode"
    assert told == {
        "item": {
            "root": "gcodes",
            "path": "Würfel 1.gcode",
            "modified": target.stat().st_mtime,
            "size": 4,
            "permissions": "rw",
        },
        "action": "create_file",
        "print_started": False,
        "print_queued": False,
    }
    assert target.read_bytes() == b"G28\n"
    assert target.stat().st_mode & 0o777 == 0o644
    assert [change.action for change in server.changes] == ["create_file"]
    assert [(entry.outcome, entry.call, entry.arguments) for entry in server.noted] == [
        ("asked", CALL, {"path": "gcodes/Würfel 1.gcode", "print": False})
    ]


@pytest.mark.parametrize("parts", [(part("root", "config"),), ()])
def test_what_is_no_gcode(server: FileServer, parts: tuple[bytes, ...]) -> None:
    """Of a file that isn't to be printed, nothing is said of a print, nor is it printed."""
    answer = Wire(server.site).upload(*parts, file(name="notes.txt"), part("print", "true"))
    assert answer.status == 201
    assert json.loads(answer.body).keys() == {"item", "action"}
    assert not server.prints


def test_overwritten(server: FileServer, tmp_path: Path) -> None:
    """An upload replaces what was there; all are told the documented word."""
    (tmp_path / "gcodes" / "a.gcode").write_text("old and longer")
    answer = Wire(server.site).upload(file())
    assert json.loads(answer.body)["action"] == "create_file"
    assert server.changes[0].action == "create_file"
    assert (tmp_path / "gcodes" / "a.gcode").read_bytes() == b"G28\n"


def test_folder_is_made(server: FileServer) -> None:
    """The folder that ``path`` names is made; one in the file's name must be there."""
    wire = Wire(server.site)
    assert wire.upload(file(), part("path", "/a/b/")).status == 201
    assert wire.upload(file(name="a/b/c.gcode")).status == 201
    assert wire.upload(file(name="x/c.gcode")).status == 400
    assert error(wire) == "The folder 'gcodes/x' doesn't exist"
    assert server.names() == ["a", "a/b", "a/b/a.gcode", "a/b/c.gcode"]


@pytest.mark.parametrize(("wanted", "is_started"), [("true", True), (" True\r\n", True), ("false", False)])
def test_print(server: FileServer, wanted: str, is_started: bool) -> None:
    """A print is started if that is wanted."""
    answer = json.loads(Wire(server.site).upload(part("print", wanted), file(), part("path", "x")).body)
    assert answer["print_started"] is is_started
    assert server.prints == ["x/a.gcode"] * is_started


def test_print_that_does_not_start(server: FileServer) -> None:
    """A file stays where it was put when the print doesn't start."""
    server.print_error = KlippyNotConnected()
    answer = Wire(server.site).upload(part("print", "true"), file())
    assert (answer.status, json.loads(answer.body)["print_started"]) == (201, False)


def test_checksum(server: FileServer) -> None:
    """A checksum is compared whatever its letters' case; a wrong one is 422, and nothing is left."""
    wire = Wire(server.site)
    good = hashlib.sha256(b"G28\n").hexdigest().upper()
    assert wire.upload(file(), part("checksum", good)).status == 201
    answer = wire.upload(file(name="b.gcode"), part("checksum", "0" * 64))
    assert answer.status == 422
    assert server.names() == ["a.gcode"]
    assert [entry.outcome for entry in server.noted] == ["asked", "asked", "failed"]


def test_loaded_file(server: FileServer) -> None:
    """The file that the printer has loaded is not overwritten; one of that name elsewhere is."""
    server.guard.loaded = "a.gcode"
    wire = Wire(server.site)
    assert wire.upload(file()).status == 403
    assert error(wire) == "File is loaded, upload not permitted"
    assert server.names() == []
    assert wire.upload(file(), part("root", "config")).status == 201


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([file(name="../e.gcode")], 400),
        ([file(name="..")], 400),
        ([file(name="/")], 400),
        ([file(name="a\0b.gcode")], 400),
        ([file(name="x" * 256)], 400),
        ([file(name=".txraker-0123456789abcdef.part")], 400),
        ([file(), part("path", "../config")], 400),
        ([part("root", "nope"), file()], 400),
        ([file(), part("root", "../config")], 400),
        ([part("root", "logs"), file()], 403),
        ([file(), part("root", "logs")], 403),
        ([part("root", "gcodes")], 400),
    ],
)
def test_refused(server: FileServer, parts: list[bytes], status: int) -> None:
    """What can't be saved is refused, wherever the form says it, and leaves nothing behind."""
    assert Wire(server.site).upload(*parts).status == status
    assert [server.names(root) for root in ("gcodes", "config", "logs")] == [[], [], []]
    assert not server.faults.seen


def test_where_a_folder_is(server: FileServer, tmp_path: Path) -> None:
    """A file doesn't replace a folder."""
    (tmp_path / "gcodes" / "a.gcode").mkdir()
    assert Wire(server.site).upload(file()).status == 400
    assert server.names() == ["a.gcode"]


@pytest.mark.parametrize(
    ("headers", "address", "status"),
    [
        ({}, STRANGER, 401),
        ({"X_Api_Key": "wrong", "X_Forwarded_For": STRANGER}, STRANGER, 401),
        ({"Origin": "http://evil.example"}, "192.168.1.7", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "192.168.1.7", 403),
        ({"Content_Type": "application/json"}, "192.168.1.7", 400),
        ({"Content_Encoding": "gzip"}, "192.168.1.7", 400),
        ({"Content_Length": 17 * MIB}, "192.168.1.7", 413),
    ],
)
def test_refused_by_the_head(server: FileServer, headers: dict[str, Any], address: str, status: int) -> None:
    """What is wrong with a request's head is answered before the body comes, and it isn't asked for."""
    wire = Wire(server.site, address)
    wire.head(
        "POST", PATH, **{"Content_Type": FORM, "Content_Length": 5000, "Expect": "100-continue", **headers}
    )
    answer = wire.response()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert b"100 Continue" not in wire.tcp.value()
    assert wire.tcp.is_half_closed
    assert len(answer.body) == int(answer.headers["content-length"])


def test_foreign_page_reads_why(server: FileServer) -> None:
    """A page that may send files may read why one was refused."""
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=17 * MIB, Origin="http://good.example")
    assert wire.response().headers["access-control-allow-origin"] == "http://good.example"


def test_who_waits_is_asked(server: FileServer) -> None:
    """Who wants to be asked for the body is, at once."""
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=5000, Expect="100-continue")
    assert wire.tcp.value() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_too_long_without_a_length(server: FileServer, clock: Any) -> None:
    """A body that turns out to be too long is refused amid it; the rest is dropped, and nothing is left."""
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Transfer_Encoding="chunked")
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
    wire.send(b"%x\r\n%s\r\n" % (len(form(file())[:-11]), form(file())[:-11]))
    for _ in range(20):
        wire.send(chunk)
    assert wire.response().status == 413
    assert server.names() == []
    assert not wire.tcp.is_paused
    clock.advance(LINGER_KNOWN)
    assert wire.tcp.is_aborted


def test_refused_and_read_to_its_end(server: FileServer, clock: Any) -> None:
    """A connection whose refused body came as a whole is closed, not cut, so that the answer arrives."""
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=17 * MIB)
    for _ in range(17):
        wire.send(b"x" * MIB)
    clock.advance(0)
    assert wire.tcp.disconnecting
    assert not wire.tcp.is_aborted


def test_wrong_amid_the_body(server: FileServer) -> None:
    """What is wrong with a form is answered as soon as it is seen, however little has come."""
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=10 * MIB)
    wire.send(form(part("root", "logs"), file())[:-12])
    assert wire.response().status == 403
    assert server.names("logs") == []


def test_pipelined(server: FileServer, clock: Any) -> None:
    """What comes behind an upload is answered after it, on the same connection."""
    wire = Wire(server.site)
    body = form(file())
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.send((head.encode() + body) * 2 + b"GET /server/files/gcodes/a.gcode HTTP/1.1\r\nHost: x\r\n\r\n")
    clock.pump([0, 0])
    assert wire.tcp.value().count(b"HTTP/1.1 201 Created") == 2
    assert wire.tcp.value().endswith(b"G28\n")


def test_lost(server: FileServer) -> None:
    """A connection that is lost amid an upload leaves nothing behind, and its turn to others."""
    for _ in range(10):
        wire = Wire(server.site)
        wire.head("POST", PATH, Content_Type=FORM, Content_Length=10 * MIB)
        wire.send(form(file(b"x" * PIECE))[:-20])
        assert len(server.names()) == 1
        wire.lose()
        assert server.names() == []
    assert Wire(server.site).upload(file()).status == 201
    assert not server.faults.seen


def test_whole_and_then_lost(tmp_path: Path, clock: Any) -> None:
    """A file that has come as a whole is put in place although its sender is gone."""
    disk = SlowDisk()
    server = FileServer(tmp_path, clock, disk)
    wire = Wire(server.site)
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=len(form(file())))
    wire.send(form(file()))
    finished = start(server.upload.finished())
    wire.lose()
    assert not finished.done
    disk.finish()
    assert finished.done
    assert server.names() == ["a.gcode"]


def test_slow_disk(tmp_path: Path, clock: Any) -> None:
    """While the disk is busy little is read, and however long that takes the client isn't to blame."""
    disk = SlowDisk()
    server = FileServer(tmp_path, clock, disk)
    wire = Wire(server.site)
    body = form(file(b"x" * 4 * PIECE))
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=len(body))
    wire.send(body[:1000])
    wire.send(body[1000:PIECE])
    assert not wire.tcp.is_paused
    wire.send(body[PIECE : 2 * PIECE])
    assert wire.tcp.is_paused
    wire.channel.pauseProducing()
    wire.channel.resumeProducing()
    assert wire.tcp.is_paused
    for _ in range(5):
        clock.advance(WHOLE_WITHIN)
    assert not wire.tcp.is_aborted
    assert not wire.tcp.disconnecting
    disk.work()
    assert not wire.tcp.is_paused
    wire.send(body[2 * PIECE :])
    disk.finish()
    assert wire.response().status == 201
    assert (tmp_path / "gcodes" / "a.gcode").stat().st_size == 4 * PIECE


def test_slow_sender(server: FileServer, clock: Any) -> None:
    """An upload may take its time as long as it gets on, and is cut when it doesn't."""
    wire = Wire(server.site)
    body = form(file(b"x" * MIB))
    wire.head("POST", PATH, Content_Type=FORM, Content_Length=len(body))
    for number in range(5):
        wire.send(body[number * 70_000 : (number + 1) * 70_000])
        clock.advance(WHOLE_WITHIN / 2)
        wire.send(b"")
        clock.advance(WHOLE_WITHIN / 2 - 1)
    assert not wire.tcp.is_aborted
    for _ in range(10):
        wire.send(b"x")
        clock.advance(WHOLE_WITHIN / 4)
    assert wire.tcp.is_aborted


def test_turns(server: FileServer) -> None:
    """One address uploads two files at once; a third waits unread, and goes on when one is done."""
    body = form(file(b"x" * 100))
    wires = [Wire(server.site) for _ in range(3)]
    for wire in wires:
        wire.head("POST", PATH, Content_Type=FORM, Content_Length=len(body))
    assert [wire.tcp.is_paused for wire in wires] == [False, False, True]
    wires[0].send(body)
    assert wires[0].response().status == 201
    assert not wires[2].tcp.is_paused
    wires[2].send(body)
    assert wires[2].response().status == 201


def test_lost_while_waiting(server: FileServer) -> None:
    """Who goes while it waits for its turn is forgotten; when too many wait, more are told to come later."""
    wires = [Wire(server.site) for _ in range(19)]
    for wire in wires:
        wire.head("POST", PATH, Content_Type=FORM, Content_Length=1000)
    assert wires[18].response().status == 503
    for wire in wires:
        wire.lose()
    assert Wire(server.site).upload(file()).status == 201


def test_same_name_at_once(server: FileServer, tmp_path: Path) -> None:
    """Of two uploads of one name at once the last that is whole stays, whole."""
    one, other = Wire(server.site), Wire(server.site)
    bodies = [form(file(letter * 2 * PIECE)) for letter in (b"1", b"2")]
    for wire, body in zip((one, other), bodies, strict=True):
        wire.head("POST", PATH, Content_Type=FORM, Content_Length=len(body))
        wire.send(body[:PIECE])
    other.send(bodies[1][PIECE:])
    one.send(bodies[0][PIECE:])
    assert (tmp_path / "gcodes" / "a.gcode").read_bytes() == b"1" * 2 * PIECE
    assert server.names() == ["a.gcode"]


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)]
)
def test_other_methods(server: FileServer, method: str, status: int) -> None:
    """Files are sent by POST only."""
    answer = Wire(server.site).ask(method, PATH)
    assert (answer.status, answer.headers["allow"]) == (status, "POST, OPTIONS")


def test_defect(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours is reported, told as an incident, and leaves nothing behind."""
    monkeypatch.setattr(server.uploads, "_changes", None)
    assert Wire(server.site).upload(file()).status == 500
    assert len(server.faults.seen) == 1
    assert server.names() == []


def test_below_a_prefix(tmp_path: Path, clock: Any) -> None:
    """Below a route prefix uploads have it in their path and in where the file is said to be."""
    server = FileServer(tmp_path, clock, prefix="printer1")
    answer = Wire(server.site).ask("POST", f"/printer1{PATH}?x=y", form(file()), Content_Type=FORM)
    assert answer.status == 201
    assert answer.headers["location"].endswith("/printer1/server/files/gcodes/a.gcode")
