"""A front-end on port 80 and txraker behind it: the real nginx, with the documented configuration."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest
from attrs import define

from tests.files.bench import MIB
from tests.integration.nginx import SECONDS, Nginx, nginx, outside_address
from tests.integration.people import (
    HOME,
    Server,
    Visitor,
    ask_from,
    bearer,
    guarded,
    guarded_server,
    raw_from,
    serving,
)
from tests.integration.process import PATIENCE, Reply, ask, configure, free_port
from tests.integration.test_uploads import BLOCK, answer, wait_for
from tests.transports.wire import FORM, file, form, part

LARGE = int(os.environ.get("TXRAKER_NGINX_UPLOAD_MIB", "200"))
"""MiB of the large upload."""
LARGEST = 256
"""MiB that an upload may have."""
BUFFERS = 40 * MIB
"""What may be under way between a client and txraker: the kernel's buffers of two connections."""
INDEX = "<!doctype html><title>front-end</title>"
ALLOWED = "http://good.example"


@define
class Setup:
    """A front-end and a server behind nginx, whose port is what clients know."""

    nginx: Nginx
    server: Server
    camera: socket.socket

    @property
    def port(self) -> int:
        """The port that clients use."""
        return self.nginx.port

    def calls_of(self, address: str) -> list[str]:
        """Return what the audit log says that somebody at an address has called."""
        lines = (self.server.data / "audit" / "audit.log").read_text().splitlines()
        return [entry["call"] for entry in map(json.loads, lines) if entry["address"] == address]


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """Serve a virtual printer behind nginx; only this machine's loopback address is trusted."""
    folder = tmp_path_factory.mktemp("nginx")
    front_end = folder / "front-end"
    (front_end / "assets").mkdir(parents=True)
    (front_end / "index.html").write_text(INDEX)
    (front_end / "assets" / "app.js").write_text("let text = '';\n" * 1000)
    more = f"cors_domains:\n    {ALLOWED}\n"
    with (
        socket.create_server(("127.0.0.1", 0)) as camera,
        guarded_server(folder, "--simulate", more=more, server=f"max_upload_size: {LARGEST}\n") as server,
        nginx(folder / "nginx", server.port, camera.getsockname()[1], front_end) as running,
    ):
        server.process.wait_for(server.port, "ready")
        yield Setup(running, server, camera)


def test_front_end(setup: Setup) -> None:
    """The front-end's page is at every address of its own, its files are where they are, and may be kept."""
    for path in ("/", "/dashboard", "/settings/general?a=b"):
        reply = ask(setup.port, path)
        assert (reply.status, reply.body.decode()) == (200, INDEX)
        assert reply.headers["cache-control"] == "no-cache"
    script = ask(setup.port, "/assets/app.js", headers={"Accept-Encoding": "gzip"})
    assert (script.status, script.headers["content-encoding"]) == (200, "gzip")
    again = ask(setup.port, "/assets/app.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status == 304


@pytest.mark.parametrize("path", ["/server/info", "/printer/info", "/api/version", "/machine/system_info"])
def test_api(setup: Setup, path: str) -> None:
    """The API is where it is without nginx."""
    there, here = ask(setup.port, path), ask(setup.server.port, path)
    assert (there.status, there.headers["content-type"]) == (here.status, here.headers["content-type"])
    assert there.json.keys() == here.json.keys()


def test_names_of_files(setup: Setup) -> None:
    """What is odd in an address comes as the client has written it."""
    folder = setup.server.data / "gcodes"
    (folder / "odd").mkdir()
    (folder / "odd" / "a b%c+d#é.gcode").write_text("M117")
    reply = ask(setup.port, "/server/files/gcodes/odd/a%20b%25c+d%23%C3%A9.gcode")
    assert (reply.status, reply.body) == (200, b"M117")
    assert ask(setup.port, "/server/files/gcodes/..%2f..%2fdatabase%2ftxraker.db").status in (400, 403, 404)


def test_websocket(setup: Setup) -> None:
    """Calls are answered and notifications come by a websocket."""
    with closing(Visitor.come(HOME, setup.port)) as client:
        assert client.call("server.info")["result"]["klippy_state"] == "ready"
        client.call("printer.objects.subscribe", objects={"toolhead": None})
        assert client.wait_for("notify_status_update")["params"][0]


def test_silent_websocket(setup: Setup) -> None:
    """A websocket by which nothing comes stays open, for longer than nginx would wait by itself."""
    with closing(Visitor.come(outside_address(), setup.port)) as stranger:
        assert stranger.hears(SECONDS + 1) == []
        assert not stranger.may()


def test_long_call(setup: Setup) -> None:
    """A call that takes its time is answered when it is done."""
    began = time.monotonic()
    script = {"script": f"G4 P{(SECONDS + 1) * 1000:.0f}\nM400"}
    assert ask_from(HOME, setup.port, "/printer/gcode/script", "POST", script).json == {"result": "ok"}
    assert time.monotonic() - began > SECONDS


def test_large_upload(setup: Setup) -> None:
    """A large file comes to txraker as it is sent, and nothing of it waits in nginx."""
    begin, end, digest = *form(file(b"@@", "large.gcode")).split(b"@@"), hashlib.sha256()
    end = end[: -len(form()) - 2] + b"\r\n" + form(part("checksum", "@" * 64))
    before = setup.nginx.memory()
    with socket.create_connection(("127.0.0.1", setup.port), timeout=PATIENCE) as client:
        client.sendall(head(len(begin) + LARGE * MIB + len(end)) + begin)
        for number in range(LARGE):
            client.sendall(BLOCK)
            digest.update(BLOCK)
            if number == 16:
                wait_for(lambda: arrived(setup) > 8 * MIB, "the beginning of the file")
            if number % 16 == 0:
                assert (number + 1) * MIB - arrived(setup) < BUFFERS
                assert setup.nginx.spooled() == 0
                assert setup.nginx.memory() - before < 4 * MIB
        client.sendall(end.replace(b"@" * 64, digest.hexdigest().encode()))
        status, body = answer(client)
    assert status == 201, body
    assert json.loads(body)["item"]["size"] == LARGE * MIB


def head(length: int) -> bytes:
    """Return the head of an upload, as a page of the front-end sends it."""
    lines = ("Host: printer.local", "Origin: http://printer.local", f"Content-Type: {FORM}")
    request = ("POST /server/files/upload HTTP/1.1", *lines, f"Content-Length: {length}", "", "")
    return "\r\n".join(request).encode()


def arrived(setup: Setup) -> int:
    """Return how much of a file is on txraker's disk."""
    parts = (setup.server.data / "gcodes").glob(".txraker-*")
    return sum(found.stat().st_size for found in parts)


def test_upload_while_txraker_stands_still(setup: Setup) -> None:
    """A client isn't told that it gets on with its upload while txraker takes nothing; then it goes on."""
    begin, end = form(file(b"@@", "slow.gcode")).split(b"@@")
    process, size = setup.server.process.process, 100 * MIB
    with socket.create_connection(("127.0.0.1", setup.port), timeout=PATIENCE) as client:
        client.sendall(head(len(begin) + size + len(end)) + begin + BLOCK)
        wait_for(lambda: arrived(setup) > 0, "the beginning of the file")
        process.send_signal(signal.SIGSTOP)
        try:
            taken = MIB + sent_until_it_stops(client, size - MIB, SECONDS + 1)
        finally:
            process.send_signal(signal.SIGCONT)
        assert taken < BUFFERS
        for _ in range((size - taken) // MIB):
            client.sendall(BLOCK)
        client.sendall(BLOCK[: (size - taken) % MIB] + end)
        assert answer(client)[0] == 201


def sent_until_it_stops(client: socket.socket, most: int, seconds: float) -> int:
    """Send until nothing has been taken for so long; return how many bytes were."""
    taken = 0
    client.settimeout(seconds)
    with suppress(TimeoutError):
        while taken < most:
            taken += client.send(BLOCK[: most - taken])
    client.settimeout(PATIENCE)
    return taken


@pytest.mark.parametrize("sends_all", [True, False])
def test_too_large_upload(setup: Setup, sends_all: bool) -> None:
    """Of a file that is too large a client is told by txraker, whether it reads before it has sent all."""
    begin, _ = form(file(b"@@", "huge.gcode")).split(b"@@")
    with socket.create_connection(("127.0.0.1", setup.port), timeout=PATIENCE) as client:
        client.sendall(head((LARGEST + 10) * MIB) + begin)
        for _ in range(40 if sends_all else 1):
            client.sendall(BLOCK)
        status, body = answer(client)
    assert status == 413
    assert "max_upload_size" in json.loads(body)["error"]["message"]


def test_slow_download(setup: Setup) -> None:
    """A file that a client doesn't read isn't copied to nginx's disk."""
    size = 64 * MIB
    with (setup.server.data / "gcodes" / "unread.gcode").open("wb") as unread:
        unread.truncate(size)
    with socket.create_connection(("127.0.0.1", setup.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /server/files/gcodes/unread.gcode HTTP/1.0\r\nHost: printer.local\r\n\r\n")
        read = len(client.recv(1000))
        time.sleep(1)
        assert setup.nginx.spooled() == 0
        while data := client.recv(MIB):
            read += len(data)
    assert read > size


def test_real_addresses(setup: Setup) -> None:
    """It is the client's address that counts, and that is noted, and not nginx's."""
    outside = outside_address()
    for source, trusted in ((HOME, True), (outside, False)):
        assert ask_from(source, setup.port, "/access/info").json["result"]["trusted"] is trusted
    assert ask_from(outside, setup.port, "/server/info").status == 401
    assert ask_from(outside, setup.port, "/server/restart", "POST").status == 401
    assert setup.calls_of(outside) == ["server.restart"]
    token = setup.server.add_token("slicer", "operator")
    assert ask_from(outside, setup.port, "/server/info", **bearer(token)).status == 200


LIES = [
    *([(name, value)] for name in ("X-Forwarded-For", "X-Real-IP") for value in (
        "127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.1, 127.0.0.1", "", ",", "unknown", "127.0.0.1:80",
        "[::1]", "OUTSIDE", "OUTSIDE, 127.0.0.1",
    )),
    [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")],
    [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1")],
    [("X-Real-IP", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")],
    [("X_Forwarded_For", "127.0.0.1"), ("X_Real_IP", "127.0.0.1")],
    [("Connection", "close, X-Real-IP, X-Forwarded-For")],
    [("Forwarded", "for=127.0.0.1")],
    [("X-Scheme", "unix")],
]  # fmt: skip


@pytest.mark.parametrize("lies", LIES)
def test_made_up_addresses(setup: Setup, lies: list[tuple[str, str]]) -> None:
    """Whatever a stranger says of where it comes from, it stays a stranger, at its own address."""
    outside = outside_address()
    lines = ["GET /access/users/list HTTP/1.1", "Host: printer.local"]
    lines += [f"{name}: {value.replace('OUTSIDE', outside)}" for name, value in lies]
    if not any(name == "Connection" for name, _ in lies):
        lines.append("Connection: close")
    assert status_of(raw_from(outside, setup.port, "\r\n".join([*lines, "", ""]).encode())) == 401


def test_made_up_addresses_of_websockets(setup: Setup) -> None:
    """A websocket doesn't make a stranger somebody else, either."""
    lies = {"X_Forwarded_For": "127.0.0.1", "X_Real_IP": "127.0.0.1"}
    with closing(Visitor.come(outside_address(), setup.port, **lies)) as stranger:
        assert not stranger.may()


def test_somebody_trusted_who_speaks_for_others(setup: Setup) -> None:
    """Who is trusted and says to ask for somebody else is trusted no more than that one."""
    other = {"X_Forwarded_For": "203.0.113.9"}
    assert ask_from(HOME, setup.port, "/server/info", **other).status == 401


def status_of(response: bytes) -> int:
    """Return the status of a response."""
    return int(response.split()[1])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "printer.local"}, 200),
        ({"Host": "printer.local", "Origin": "http://printer.local"}, 200),
        ({"Host": "192.168.1.7", "Origin": "http://192.168.1.7"}, 200),
        ({"Host": "printer.local", "Origin": "https://printer.local"}, 200),
        ({"Host": "printer.local:8080", "Origin": "http://printer.local:8080"}, 200),
        ({"Host": "printer.local", "Origin": "http://printer.local:8080"}, 403),
        ({"Host": "printer.local", "Origin": "http://evil.example"}, 403),
        ({"Host": "printer.local", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "printer.local", "Origin": ALLOWED}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example", "X-Forwarded-Host": "printer.local"}, 403),
    ],
)
def test_pages_of_others(setup: Setup, headers: dict[str, str], status: int) -> None:
    """On port 80 as on its own, txraker knows its own pages and allowed ones from all others."""
    assert ask(setup.port, "/printer/gcode/script?script=M115", "POST", headers=headers).status == status
    assert status_of_handshake(setup.port, headers) == (101 if status == 200 else status)


def status_of_handshake(port: int, headers: dict[str, str]) -> int:
    """Return what is answered to who wants a websocket."""
    shown = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", **headers}
    lines = ["GET /websocket HTTP/1.1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines += [f"{name}: {value}" for name, value in shown.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return status_of(client.recv(65536))


def test_allowed_pages_read(setup: Setup) -> None:
    """A page of an allowed origin may read the answers, one of another may not."""
    for origin, allowed in ((ALLOWED, ALLOWED), ("http://evil.example", None)):
        reply = ask(setup.port, "/server/info", headers={"Origin": origin})
        assert reply.headers.get("access-control-allow-origin") == allowed


def test_camera(setup: Setup) -> None:
    """A camera's pictures come as it sends them."""
    sent: list[bytes] = []

    def film() -> None:
        connection, _ = setup.camera.accept()
        with connection:
            connection.settimeout(PATIENCE)
            sent.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\nfirst")
            connection.recv(1)

    filming = Thread(target=film)
    filming.start()
    with socket.create_connection(("127.0.0.1", setup.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /webcam/?action=stream HTTP/1.1\r\nHost: printer.local\r\n\r\n")
        received = b""
        while b"first" not in received:
            received += client.recv(65536)
    filming.join(PATIENCE)
    assert sent[0].startswith(b"GET /?action=stream HTTP/1.1\r\n")


def test_restart(setup: Setup) -> None:
    """While txraker restarts every request is answered, and websockets are told why they end."""
    with closing(Visitor.come(HOME, setup.port)) as client:
        assert ask(setup.port, "/server/restart", "POST").json == {"result": "ok"}
        replies: list[Reply] = []
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            replies.append(ask(setup.port, "/server/info"))
        assert {reply.status for reply in replies} == {200}
        assert client.drain() == 1001
    with closing(Visitor.come(HOME, setup.port)) as client:
        assert client.may()


def test_without_txraker(tmp_path: Path) -> None:
    """While txraker isn't there the front-end is, and the API is answered by 502; it is back with txraker."""
    (tmp_path / "index.html").write_text(INDEX)
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    with nginx(tmp_path / "nginx", port, free_port(), tmp_path) as running:
        for path in ("/server/info", "/websocket", "/server/files/upload"):
            assert ask(running.port, path).status == 502
        assert ask(running.port, "/").body.decode() == INDEX
        with serving(tmp_path, data, port):
            assert ask(running.port, "/server/info").status == 200
