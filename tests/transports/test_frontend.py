"""A front-end's files over HTTP, and the welcome page in their place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from tests.tools import Faults, Logged
from txraker.access import Access
from txraker.api.dispatch import Dispatcher
from txraker.authorization.accounts import open_accounts
from txraker.authorization.gate import Gate
from txraker.describe import declared_endpoints
from txraker.reactor import OffThread
from txraker.server_warnings import ServerWarnings
from txraker.storage.schema import MIGRATIONS
from txraker.testing.database import MemoryDatabase
from txraker.testing.threads import at_once
from txraker.transports.web.channel import LimitedSite
from txraker.transports.web.frontend import API_ROOMS, Frontend, accepted_encodings
from txraker.transports.web.frontend_files import WELCOME, WELCOME_NAMES, has_hash
from txraker.transports.web.resources import Door
from txraker.transports.web.sending import PIECE, STALLED, Sending

_T = TypeVar("_T")

YEAR = "public, max-age=31536000, immutable"

PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
"""What browsers send when a person goes to an address."""


@define(eq=False)
class Later:
    """An OffThread whose work is done when it is told to."""

    waiting: list[Callable[[], object]] = field(factory=list)

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()
        self.waiting.append(lambda: at_once(work).chainDeferred(done))
        return done

    def work(self) -> None:
        """Do what waits now."""
        waiting, self.waiting = self.waiting, []
        for do in waiting:
            do()


class Wire(StringTransport):
    """A connection that notes that it was aborted."""

    disconnected = False

    def abortConnection(self) -> None:
        """Note it."""
        self.disconnected = True


@define
class Response:
    """What was answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Bench:
    """A front-end's resource, and a site that has nothing else."""

    folder: Path | None = None
    prefix: str = ""
    off_thread: OffThread = at_once
    clock: Any = field(factory=MemoryReactorClock)
    faults: Faults = field(factory=Faults)
    logged: Logged = field(factory=Logged)
    warnings: ServerWarnings = field(init=False)
    frontend: Frontend = field(init=False)
    wire: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        accounts = open_accounts(MemoryDatabase(MIGRATIONS), at_once, self.clock.seconds)
        gate = Gate(Access(), accounts, self.clock.seconds)
        self.warnings = ServerWarnings(self.logged.logger())
        door = Door(Dispatcher(self.faults, lambda _: None, CancelledError), gate, self.faults)
        self.frontend = Frontend(
            door, Sending(self.off_thread, self.clock), self.warnings, self.folder, self.prefix
        )

    def send(self, path: str, method: str = "GET", **headers: str) -> None:
        """Send a request on a connection of its own."""
        site = LimitedSite(self.frontend, self.clock, lambda request: False, lambda address: False)
        address = IPv4Address("TCP", "192.0.2.1", 1)
        channel = site.buildProtocol(address)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        assert channel is not None
        self.wire = Wire(peerAddress=address)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        channel.makeConnection(self.wire)
        lines = [f"{method} {path} HTTP/1.1", "Host: evil.example"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        channel.dataReceived("\r\n".join([*lines, "", ""]).encode())

    def ask(self, path: str, method: str = "GET", **headers: str) -> Response:
        """Make a request, and return what is answered at once."""
        self.send(path, method, **headers)
        return self.response()

    def response(self) -> Response:
        """Return what is answered by now."""
        head, _, body = self.wire.value().partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Response(
            int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body
        )


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """Write what a build of a front-end leaves."""
    folder = tmp_path / "mainsail"
    files = {
        "index.html": "<!doctype html><title>Mainsail</title>",
        "sw.js": "// worker",
        "config.json": '{"defaultLocale":"en"}',
        "manifest.webmanifest": "{}",
        ".version": "v2.14.0",
        "release_info.json": "{}",
        "assets/index-DiwrgT4a.js": "console.log(1)",
        "assets/index-B7x_-Q2k.css": "body{}",
        "img/logo.svg": "<svg/>",
        ".git/config": "[core]",
        "sub/index.html": "sub",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/sw.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/config.json", "application/json", "no-cache"),
        ("/manifest.webmanifest", "application/manifest+json", "no-cache"),
        ("/img/logo.svg", "image/svg+xml", "no-cache"),
        ("/assets/index-DiwrgT4a.js", "text/javascript; charset=utf-8", YEAR),
        ("/assets/index-B7x_-Q2k.css", "text/css; charset=utf-8", YEAR),
    ],
)
def test_files(dist: Path, path: str, kind: str, cache: str) -> None:
    """A file is served as what it is, to be kept if its name holds a hash, and to be asked for if not."""
    response = Bench(dist).ask(path)
    assert response.status == 200
    assert response.body == (dist / (path[1:] or "index.html")).read_bytes()
    assert response.headers["content-type"] == kind
    assert response.headers["cache-control"] == cache
    assert response.headers["content-length"] == str(len(response.body))


def test_headers(dist: Path) -> None:
    """A front-end's page may run what it consists of, and isn't shown inside others' pages."""
    headers = Bench(dist).ask("/").headers
    assert "content-security-policy" not in headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("assets", "index-DiwrgT4a.js", True),
        ("assets", "index-4f3b2c1d.js", True),
        ("assets", "index-Dw-3kT_a.js.map", True),
        ("js", "chunk-vendors.4f3b2c1d.js", True),
        ("css", "app.4f3b2c1d0a9e8b7c6d5f.css", True),
        ("", "workbox-3e722498.js", True),
        ("assets", "logo-original.svg", False),
        ("assets", "Roboto-SemiBold.woff2", False),
        ("assets", "backup-20240101.json", False),
        ("img", "icon-DiwrgT4a.png", False),
        ("img", "android-chrome-512x512.png", False),
        ("", "index.html", False),
        ("", "sw.js", False),
        ("", "service-worker.js", False),
        ("", "4f3b2c1d.js", False),
        ("assets", "index-4f3b2c1d", False),
    ],
)
def test_hashes(folder: str, name: str, expected: bool) -> None:
    """A hash is told from words, dates and sizes."""
    assert has_hash(folder, name) is expected


@pytest.mark.parametrize("path", ["/dashboard", "/history", "/cam/", "/files/a/b", "/%C3%BCber"])
def test_views(dist: Path, path: str) -> None:
    """Whoever goes to a view of the single page gets the page."""
    response = Bench(dist).ask(path, **PAGE)
    assert (response.status, response.body) == (200, (dist / "index.html").read_bytes())
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/dashboard", {}),
        ("/dashboard", {"Accept": "*/*"}),
        ("/assets/index-gone1234.js", PAGE),
        ("/favicon.ico", {"Accept": "image/*"}),
        ("/img", {}),
        ("/index.html/", {}),
    ],
)
def test_not_there(dist: Path, path: str, headers: dict[str, str]) -> None:
    """What isn't there, and is no view, is told to be missing, and that isn't kept."""
    response = Bench(dist).ask(path, **headers)
    assert response.status == 404
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("application/json")


TRAVERSALS = [
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e%2fsecret.txt",
    "/assets/../../secret.txt",
    "/assets/%2e%2e/%2e%2e/secret.txt",
    "/..%5csecret.txt",
    "/%252e%252e/secret.txt",
    "/..%c0%afsecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/..;/secret.txt",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/assets//../../secret.txt",
    "/secret.txt%00.js",
    "/index.html%00",
    "/./index.html",
    "/.version",
    "/%2eversion",
    "/.git/config",
    "/assets/../.version",
    "/link.txt",
    "/outside/secret.txt",
    "/hidden.txt",
    "/loop",
    "/" + "a" * 300,
    "/" + "a/" * 3000,
    "/pipe",
    "/%ff%fe",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_traversal(dist: Path, path: str) -> None:
    """Nothing outside of the folder, nothing hidden and nothing that is no file can be reached."""
    (dist / "link.txt").symlink_to("../secret.txt")
    (dist / "outside").symlink_to("..")
    (dist / "hidden.txt").symlink_to(".version")
    (dist / "loop").symlink_to("loop")
    os.mkfifo(dist / "pipe")
    bench = Bench(dist)
    response = bench.ask(path)
    assert response.status == 404
    assert not bench.faults.seen


def test_links_inside(dist: Path, tmp_path: Path) -> None:
    """The folder may be a link, and so may files that lead to others in it."""
    (dist / "same.svg").symlink_to("img/logo.svg")
    (tmp_path / "current").symlink_to("mainsail")
    assert Bench(tmp_path / "current").ask("/same.svg").body == b"<svg/>"


def test_known(dist: Path) -> None:
    """A browser that has a file already is told so, however it names it among others."""
    bench = Bench(dist)
    etag = bench.ask("/").headers["etag"]
    for shown in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = bench.ask("/", If_None_Match=shown)
        assert (response.status, response.body) == (304, b"")
        assert response.headers["etag"] == etag
        assert "content-type" not in response.headers
    assert bench.ask("/", If_None_Match='"other"').status == 200


def test_replaced(dist: Path) -> None:
    """A file that was replaced, even by one as long, isn't known any more."""
    bench = Bench(dist)
    etag = bench.ask("/").headers["etag"]
    os.utime(dist / "index.html", (1, 1))
    assert bench.ask("/", If_None_Match=etag).status == 200


def test_head(dist: Path) -> None:
    """HEAD tells of a file what GET does, without the file."""
    bench = Bench(dist)
    full, head = bench.ask("/sw.js"), bench.ask("/sw.js", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert full.headers == head.headers


def test_empty(dist: Path) -> None:
    """A file without content is served as such."""
    (dist / "empty.css").touch()
    response = Bench(dist).ask("/empty.css")
    assert (response.status, response.headers["content-length"], response.body) == (200, "0", b"")


def test_compressed(dist: Path) -> None:
    """A file that is there compressed is sent so to who takes it, under another tag but as the same thing."""
    (dist / "sw.js.gz").write_bytes(b"gzipped")
    (dist / "sw.js.br").write_bytes(b"br")
    bench = Bench(dist)
    plain, zipped = bench.ask("/sw.js"), bench.ask("/sw.js", Accept_Encoding="gzip, deflate")
    best = bench.ask("/sw.js", Accept_Encoding="gzip, deflate, br, zstd")
    assert (plain.body, zipped.body, best.body) == (b"// worker", b"gzipped", b"br")
    assert "content-encoding" not in plain.headers
    assert (zipped.headers["content-encoding"], best.headers["content-encoding"]) == ("gzip", "br")
    assert {r.headers["content-type"] for r in (plain, zipped, best)} == {plain.headers["content-type"]}
    assert len({r.headers["etag"] for r in (plain, zipped, best)}) == 3
    assert {r.headers["vary"] for r in (plain, zipped, best)} == {"Accept-Encoding"}


def test_stale_compressed(dist: Path) -> None:
    """A compressed file that is older than what it was made from isn't used."""
    packed = dist / "sw.js.gz"
    packed.write_bytes(b"old")
    os.utime(packed, (1, 1))
    assert Bench(dist).ask("/sw.js", Accept_Encoding="gzip").body == b"// worker"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ()),
        ([""], ()),
        (["gzip, deflate"], ("gzip",)),
        (["gzip", "br"], ("br", "gzip")),
        (["GZIP;q=0.5,br;Q=0.4"], ("gzip", "br")),
        (["br;q=0, gzip"], ("gzip",)),
        (["*"], ("br", "gzip")),
        (["*, br;q=0"], ("gzip",)),
        (["gzip;q=abc"], ()),
        (["identity"], ()),
    ],
)
def test_encodings(values: list[str], expected: tuple[str, ...]) -> None:
    """Codings are used as their weights say, and brotli before gzip otherwise."""
    assert accepted_encodings(values) == expected


def test_large(dist: Path) -> None:
    """A large file is read piece by piece, outside of the reactor's thread, and comes as a whole."""
    content = os.urandom(3 * PIECE + 17)
    (dist / "large.wasm").write_bytes(content)
    later = Later()
    bench = Bench(dist, off_thread=later)
    bench.send("/large.wasm")
    later.work()
    assert b"\r\n\r\n" not in bench.wire.value()
    for pieces in range(1, 4):
        later.work()
        assert len(bench.response().body) == pieces * PIECE
    later.work()
    assert bench.response().body == content
    assert not later.waiting


def test_slow(dist: Path) -> None:
    """Of a large file nothing is read while the client doesn't take it, and the rest when it does."""
    (dist / "large.wasm").write_bytes(bytes(3 * PIECE))
    later = Later()
    bench = Bench(dist, off_thread=later)
    paused(bench, later)
    bench.wire.producer.resumeProducing()
    later.work()
    assert len(bench.response().body) == 3 * PIECE


def test_stalled(dist: Path) -> None:
    """A client that takes nothing for a minute is cut off."""
    (dist / "large.wasm").write_bytes(bytes(3 * PIECE))
    later = Later()
    bench = Bench(dist, off_thread=later)
    paused(bench, later)
    bench.clock.advance(STALLED - 1)
    assert not bench.wire.disconnected
    bench.clock.advance(2)
    assert bench.wire.disconnected
    assert not bench.faults.seen


def paused(bench: Bench, later: Later) -> None:
    """Ask for a file of three pieces, and take no more after two."""
    bench.send("/large.wasm")
    later.work()
    later.work()
    bench.wire.producer.pauseProducing()
    later.work()
    assert len(bench.response().body) == 2 * PIECE
    assert not later.waiting


def test_gone(dist: Path) -> None:
    """When a client hangs up nothing more is read for it, and that is no fault."""
    (dist / "large.wasm").write_bytes(bytes(3 * PIECE))
    later = Later()
    bench = Bench(dist, off_thread=later)
    paused(bench, later)
    bench.wire.producer.connectionLost(Failure(ConnectionDone()))
    later.work()
    assert not later.waiting
    assert not bench.faults.seen


def test_replaced_while_sent(dist: Path) -> None:
    """A file that is replaced while it is sent comes as it was: no two halves are put together."""
    path = dist / "large.wasm"
    path.write_bytes(bytes(2 * PIECE))
    later = Later()
    bench = Bench(dist, off_thread=later)
    bench.send("/large.wasm")
    later.work()
    path.unlink()
    path.write_bytes(b"x" * 2 * PIECE)
    later.work()
    later.work()
    later.work()
    assert bench.response().body == bytes(2 * PIECE)


def test_nothing_is_warned_of(dist: Path) -> None:
    """A front-end that is there is no reason for a warning."""
    assert Bench(dist).warnings.texts() == []


def test_no_folder(tmp_path: Path) -> None:
    """A folder that isn't there is a warning, and the welcome page, until it is."""
    folder = tmp_path / "fluidd"
    bench = Bench(folder)
    ((warning),) = bench.warnings.texts()
    assert str(folder) in warning
    assert bench.ask("/").body == (WELCOME / "index.html").read_bytes()
    assert bench.ask("/dashboard", **PAGE).status == 404
    folder.mkdir()
    (folder / "index.html").write_text("Fluidd")
    assert bench.ask("/").body == b"Fluidd"
    assert bench.warnings.texts() == []


def test_folder_without_page(tmp_path: Path) -> None:
    """A folder without a page in it is no front-end: nothing of it is served."""
    (tmp_path / "moonraker.conf").write_text("secret")
    bench = Bench(tmp_path)
    assert bench.ask("/moonraker.conf").status == 404
    assert len(bench.warnings.texts()) == 1


@pytest.mark.parametrize("names", sorted(WELCOME_NAMES))
def test_welcome(names: tuple[str, ...]) -> None:
    """Without a front-end each file of the welcome page is served, and may use nothing but ourselves."""
    bench = Bench()
    path = "/" + "/".join(names)
    assert bench.frontend.takes(b"GET", path.encode())
    response = bench.ask(path)
    assert response.status == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-cache"


def test_welcome_is_small() -> None:
    """The welcome page has less than 40 KB, in files that are all served."""
    files = list(WELCOME.iterdir())
    assert {(file.name,) for file in files} | {()} == WELCOME_NAMES
    assert sum(file.stat().st_size for file in files) < 40_000


def test_welcome_writes_no_markup() -> None:
    """The welcome page never makes markup or code of text."""
    for file in WELCOME.glob("*.js"):
        text = file.read_text()
        for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
            assert risky not in text


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("GET", "", True),
        ("POST", "/", False),
        ("OPTIONS", "/", False),
        ("GET", "/dashboard", False),
        ("GET", "/server/info", False),
        ("GET", "/app.js/", False),
    ],
)
def test_takes_without_front_end(method: str, path: str, expected: bool) -> None:
    """Without a front-end every path but the welcome page's is the API's."""
    assert Bench().frontend.takes(method.encode(), path.encode()) is expected


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/dashboard", True),
        ("HEAD", "/assets/x.js", True),
        ("GET", "/servers", True),
        ("POST", "/dashboard", False),
        ("GET", "/server", False),
        ("GET", "/server/nosuch", False),
        ("GET", "/%73erver/nosuch", False),
        ("GET", "/printer/nosuch", False),
        ("GET", "/websocket", False),
        ("GET", "/klippysocket", False),
        ("GET", "/api/version", False),
    ],
)
def test_takes_with_front_end(dist: Path, method: str, path: str, expected: bool) -> None:
    """With a front-end the paths below the API's own names are the API's, known or not."""
    assert Bench(dist).frontend.takes(method.encode(), path.encode()) is expected


def test_api_rooms() -> None:
    """No endpoint that is declared has a path that a front-end could take."""
    paths = {endpoint.path for endpoint in declared_endpoints() if endpoint.path}
    assert {path.split("/")[1] for path in paths} <= API_ROOMS


def test_prefix(dist: Path) -> None:
    """Below a route prefix files are found without it, and the prefix itself leads to its page."""
    bench = Bench(dist, "/moonraker/printer1")
    assert bench.ask("/moonraker/printer1/sw.js").body == b"// worker"
    response = bench.ask("/moonraker/printer1?a=b")
    assert (response.status, response.headers["location"]) == (307, "printer1/")
