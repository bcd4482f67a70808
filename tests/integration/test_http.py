"""HTTP as clients use it and as nobody should: one server on a virtual printer, asked over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import Connect
from tests.integration.process import ask, configure, free_port, post, trusting, twistd

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a virtual printer for all tests of this module."""
    folder = tmp_path_factory.mktemp("http")
    chosen = free_port()
    configure(
        folder / "data", trusting(chosen, "cors_domains:\n    http://good.local\n    *://*.example.com\n")
    )
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(chosen, "ready")
        yield chosen


def raw(port: int, request: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def test_server_info(port: int) -> None:
    """``server.info`` has every field of the contract, and our own name and version."""
    info = ask(port, "/server/info").json["result"]
    assert info["klippy_connected"] is True
    assert info["klippy_state"] == "ready"
    assert info["components"] == [
        "klippy_apis",
        "data_store",
        "extensions",
        "proc_stats",
        "machine",
        "database",
        "file_manager",
        "webcam",
        "announcements",
        "authorization",
    ]
    assert info["failed_components"] == []
    assert info["registered_directories"] == ["config", "logs", "gcodes"]
    assert info["missing_klippy_requirements"] == []
    assert info["api_version"] == [1, 5, 0]
    assert info["api_version_string"] == "1.5.0"
    assert tuple(map(int, info["moonraker_version"].split("."))) >= (0, 8, 1)
    assert info["server_name"] == "txraker"
    assert info["websocket_count"] == 0


@pytest.mark.parametrize("path", ["/nosuch", "/server", "/server/info/", "//server/info", "/printer/nosuch"])
def test_unknown_path(port: int, path: str) -> None:
    """A path nobody declared is 404, said in JSON."""
    reply = ask(port, path)
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json == {"error": {"code": 404, "message": "Not Found"}}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/server/info", "GET, HEAD, OPTIONS"),
        ("GET", "/printer/print/start", "POST, OPTIONS"),
        ("PUT", "/printer/gcode/script", "GET, POST, OPTIONS"),
        ("HEAD", "/printer/emergency_stop", "GET, POST, OPTIONS"),
        ("GET", "/server/jsonrpc", "POST, OPTIONS"),
    ],
)
def test_wrong_verb(port: int, method: str, path: str, allow: str) -> None:
    """A wrong verb is 405 and tells the right ones; HEAD never does what GET would do."""
    reply = ask(port, path, method)
    assert reply.status == 405
    assert reply.headers["allow"] == allow
    assert ask(port, "/printer/info").json["result"]["state"] == "ready"


def test_head_and_options(port: int) -> None:
    """HEAD is GET without the body; OPTIONS says what is allowed."""
    reply = ask(port, "/server/info", "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 100
    reply = ask(port, "/server/info", "OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    assert ask(port, "/nosuch", "OPTIONS").status == 404


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/printer/gcode/script?script=M117+x", None, {}),
        ("/printer/gcode/script?script=M117+1&script=M117+x", None, {}),
        ("/printer/gcode/script", "script=M117+x", FORM),
        ("/printer/gcode/script?script=M117+1", "script=M117+x", FORM),
        ("/printer/gcode/script?script=M117+1", '{"script": "M117 x"}', JSON),
        ("/printer/gcode/script", '{"script": "M117 x"}', {"Content-Type": "application/json;charset=utf-8"}),
        ("/printer/gcode/script", '{"script": "M117 x", "unknown": [1]}', {}),
        ("/printer/gcode/script?script:json=%22M117%20x%22", None, {}),
    ],
)
def test_arguments(port: int, path: str, body: str | None, headers: dict[str, str]) -> None:
    """Arguments come by query string, form or JSON; the body wins, and of repeated keys the last."""
    assert ask(port, path, "POST", body, headers).json == {"result": "ok"}
    assert (
        ask(port, "/server/gcode_store?count:int=1").json["result"]["gcode_store"][0]["message"] == "M117 x"
    )


@pytest.mark.parametrize(
    ("path", "body", "headers", "words"),
    [
        ("/printer/gcode/script", None, {}, "script"),
        ("/printer/gcode/script", "{bad", JSON, "JSON"),
        ("/printer/gcode/script", "[1]", JSON, "object"),
        ("/printer/print/start", '{"filename": ""}', JSON, "filename"),
        ("/printer/print/start", '{"filename": "a\\nM112"}', JSON, "control characters"),
        ("/server/logs/rollover?application=foo", None, {}, "Unknown application foo"),
        ("/printer/objects/query", '{"objects": {"toolhead": 5}}', JSON, "toolhead"),
    ],
)
def test_bad_request(port: int, path: str, body: str | None, headers: dict[str, str], words: str) -> None:
    """Bad input is 400 and names what is wrong."""
    reply = ask(port, path, "POST", body, headers)
    assert reply.status == 400
    assert reply.json["error"]["code"] == 400
    assert words in reply.json["error"]["message"]


@pytest.mark.parametrize("count", ["abc", "1.5", ""])
def test_count_is_an_integer(port: int, count: str) -> None:
    """A ``count`` that is no integer is 400 and names the argument."""
    reply = ask(port, f"/server/gcode_store?count={count}")
    assert reply.status == 400
    assert "count" in reply.json["error"]["message"]


def test_query_of_objects(port: int) -> None:
    """Query arguments name objects and fields, credentials never do; unknown things are empty or null."""
    query = "webhooks&toolhead=homed_axes,nosuch&none&token=x&connection_id=1"
    status = ask(port, f"/printer/objects/query?{query}").json["result"]["status"]
    assert set(status) == {"webhooks", "toolhead", "none"}
    assert status["webhooks"]["state"] == "ready"
    assert status["toolhead"] == {"homed_axes": status["toolhead"]["homed_axes"], "nosuch": None}
    assert status["none"] == {}
    reply = post(port, "/printer/objects/query", {"objects": {"webhooks": "state"}})
    assert reply.json["result"]["status"] == {"webhooks": {"state": "ready"}}


def test_klippy_endpoints_at_run_time(port: int) -> None:
    """What Klippy registers is there by GET and POST; what streams or is ours alone is not."""
    for method in ("GET", "POST"):
        assert ask(port, "/printer/bed_mesh/dump_mesh", method).status == 200
    for path in (
        "list_endpoints",
        "register_remote_method",
        "gcode/subscribe_output",
        "motion_report/dump_trapq",
    ):
        assert ask(port, f"/printer/{path}").status == 404


def test_klippy_error_is_passed_on(port: int) -> None:
    """Klippy's error is 400 with Klippy's own words, newlines included."""
    reply = post(port, "/printer/gcode/script", {"script": "G1 X9999"})
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith(("Must home axis first", "Move out of range"))


def test_body_over_the_limit(port: int) -> None:
    """A body over the limit is 413 before it is read, whether its length was told or not."""
    head = b"POST /printer/gcode/script HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for request in (
        head + b"Content-Length: 6000000\r\n\r\n{",
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"100000\r\n"
        + b"x" * 0x100000
        + b"\r\n"
        + b"600000\r\n"
        + b"x" * 0x500000,
    ):
        answer = raw(port, request)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == 413
    assert ask(port, "/server/info").status == 200


def test_headers_over_the_limit(port: int) -> None:
    """One header over the limit is 431, many that are too long together are 400; the connection ends."""
    answer = raw(port, b"GET /server/info HTTP/1.1\r\nX-Long: " + b"x" * 20000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    answer = raw(port, b"GET /server/info HTTP/1.1\r\n" + b"X-Many: xxxxxxxxxxxxxxxx\r\n" * 900 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_connections_are_kept(port: int) -> None:
    """Requests on one connection are answered in order, pipelined ones too."""
    request = b"GET /server/info HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /nosuch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = raw(port, request + request + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"HTTP/1.1 404 ") == 1


def test_many_pipelined_requests(port: int) -> None:
    """A client that pipelines and doesn't read is not read from either; when it reads it gets everything."""
    count = 3000
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.settimeout(0.5)
        requests = b"GET /server/config HTTP/1.1\r\nHost: x\r\n\r\n" * count
        sent = 0
        with suppress(TimeoutError):
            while sent < len(requests):
                sent += connection.send(requests[sent : sent + 65536])
        connection.settimeout(20)
        sender = threading.Thread(target=connection.sendall, args=(requests[sent:],))
        sender.start()
        answer, seen = b"", 0
        while seen < count:
            answer += connection.recv(1 << 20)
            seen += answer.count(b"HTTP/1.1 200 OK")
            answer = answer[-14:].replace(b"HTTP/1.1 200 OK", b"")
        sender.join()
    assert seen == count


@pytest.mark.parametrize("name", ["Origin", "X-Forwarded-For", "Content-Type", "Upgrade"])
def test_headers_of_any_bytes(port: int, name: str) -> None:
    """A header whose bytes are no text is nobody's defect: the request is answered, in JSON."""
    head = b"POST /server/jsonrpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
    answer = raw(port, head + name.encode() + b": http://a\xff\xfe\r\n\r\n{}")
    assert answer.split(b" ", 2)[1] in (b"200", b"401", b"403")
    json.loads(answer.partition(b"\r\n\r\n")[2])


def test_absolute_target(port: int) -> None:
    """A request target with scheme and host means the same as without."""
    answer = raw(port, b"GET http://printer/server/info?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_jsonrpc_over_http(port: int) -> None:
    """JSON-RPC in a POST is answered with 200 whatever it comes to; persistent methods aren't there."""

    def rpc(text: str) -> object:
        reply = ask(port, "/server/jsonrpc", "POST", text, JSON)
        assert reply.status == 200
        return reply.json

    answer = rpc('{"jsonrpc": "2.0", "method": "printer.info", "id": 0}')
    assert isinstance(answer, dict)
    assert answer["id"] == 0
    assert answer["result"]["state"] == "ready"
    assert rpc("{")["error"]["code"] == -32700  # type: ignore[index]  # an object
    batch = rpc(
        '[{"jsonrpc": "2.0", "method": "server.info", "id": "a"},'
        ' {"jsonrpc": "2.0", "method": "server.info"}, 5,'
        ' {"jsonrpc": "2.0", "method": "printer.objects.subscribe", "params": {"objects": {}}, "id": -1}]'
    )
    assert isinstance(batch, list)
    assert [entry["id"] for entry in batch] == ["a", None, -1]
    assert [entry.get("error", {}).get("code") for entry in batch] == [None, -32600, -32601]
    notification = ask(port, "/server/jsonrpc", "POST", '{"jsonrpc": "2.0", "method": "server.info"}', JSON)
    assert (notification.status, notification.body) == (204, b"")


def test_cross_origin(port: int) -> None:
    """Pages of allowed origins may read answers, and preflights are told what may be sent; others not."""
    for origin in ("http://good.local", "https://a.example.com", "http://127.0.0.1:8080"):
        assert (
            ask(port, "/nosuch", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
        )
    assert (
        "access-control-allow-origin"
        not in ask(port, "/server/info", headers={"Origin": "http://e.com"}).headers
    )
    preflight = ask(port, "/printer/gcode/script", "OPTIONS", headers={"Origin": "http://good.local"})
    assert preflight.status == 204
    assert "X-Api-Key" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]


def test_log_rollover(port: int) -> None:
    """Our own log is rolled over; Klipper's is listed as failed, with the documented reason."""
    result = post(port, "/server/logs/rollover", {}).json["result"]
    assert result["rolled_over"] == ["moonraker"]
    assert result["failed"] == {"klipper": "Unable to detect Klipper Service, cannot perform manual rollover"}
    assert post(port, "/server/logs/rollover", {"application": "moonraker"}).json["result"]["failed"] == {}


@pytest.mark.parametrize(
    "authorization",
    ["", "[authorization]\n", "[authorization]\ntrusted_clients:\n    10.0.0.0/8\n    host.lan\n"],
)
def test_nobody_is_trusted_by_default(tmp_path: Path, authorization: str, connect: Connect) -> None:
    """With a file that doesn't trust them clients get 401 everywhere, whatever they say of themselves."""
    port = free_port()
    configure(tmp_path / "data", f"[server]\nhost: 127.0.0.1\nport: {port}\n{authorization}")
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        while b"starting on" not in process.log.read_bytes():
            assert process.process.poll() is None
        for headers in ({}, {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1"}):
            if headers and "10.0.0.0" in authorization:
                continue
            for path in ("/server/info", "/nosuch", "/printer/info", "/printer/print/start"):
                reply = ask(port, path, headers=headers)
                assert reply.json == {"error": {"code": 401, "message": "Unauthorized"}}
                assert reply.status == 401
            client = connect(port, **headers)
            assert client.call("server.info")["error"] == {"code": -32602, "message": "Unauthorized"}
            assert ask(port, "/klippysocket", headers={"Upgrade": "websocket", **headers}).status == 401
        rpc = ask(
            port, "/server/jsonrpc", "POST", '{"jsonrpc": "2.0", "method": "server.info", "id": 1}', JSON
        )
        assert rpc.json["error"] == {"code": -32602, "message": "Unauthorized"}
        assert ask(port, "/server/info", "OPTIONS").status == 204


def test_proxy_on_this_machine(tmp_path: Path) -> None:
    """Behind a proxy on this machine it is the proxy's client that must be trusted, not the proxy."""
    port = free_port()
    configure(
        tmp_path / "data",
        f"[server]\nhost: 127.0.0.1\nport: {port}\n"
        "[authorization]\ntrusted_clients:\n  127.0.0.1\n  10.0.0.0/8\n",
    )
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        assert ask(port, "/server/info", headers={"X-Forwarded-For": "1.2.3.4, 10.0.0.9"}).status == 200
        assert ask(port, "/server/info", headers={"X-Forwarded-For": "10.0.0.9, 1.2.3.4"}).status == 401
        assert ask(port, "/server/info", headers={"X-Real-IP": "nonsense"}).status == 401


def test_route_prefix(tmp_path: Path) -> None:
    """With a route prefix everything is below it, and nothing is beside it."""
    port = free_port()
    configure(tmp_path / "data", trusting(port).replace("[auth", "route_prefix: /printer1/api/\n[auth"))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        while b"starting on" not in process.log.read_bytes():
            assert process.process.poll() is None
        assert ask(port, "/printer1/api/server/info").status == 200
        assert ask(port, "/printer1/api/websocket").status == 400
        assert ask(port, "/server/info").status == 404
        assert ask(port, "/printer1/apiserver/info").status == 404


def test_every_interface(tmp_path: Path) -> None:
    """``host: all`` answers on IPv4 and, where there is IPv6, on IPv6; trust knows them apart."""
    port = free_port()
    configure(tmp_path / "data", trusting(port).replace("127.0.0.1\n", "all\n"))
    with twistd(tmp_path, "-d", str(tmp_path / "data")) as process:
        process.wait_for(port)
        if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
            assert ask(port, "/server/info", host="::1").status == 401
