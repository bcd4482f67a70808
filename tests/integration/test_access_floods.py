"""Attackers who guess passwords, or want others out, by doing much at once."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.integration.people import (
    ABROAD,
    ELSEWHERE,
    HOME,
    UNAUTHORIZED,
    Server,
    Visitor,
    ask_from,
    ask_on,
    bearer,
    guarded_server,
)
from tests.integration.process import PATIENCE
from tests.integration.websocket import Closed
from txraker.api.caller import Transport
from txraker.describe import declared_endpoints

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer, and one user, to attackers."""
    with guarded_server(tmp_path_factory.mktemp("floods"), "--simulate") as served:
        served.process.wait_for(served.port, "ready")
        served.add_user("admin", PASSWORD)
        yield served


METHODS = sorted(
    endpoint.name for endpoint in declared_endpoints() if Transport.WEBSOCKET in endpoint.transports
)
OPEN = {endpoint.name for endpoint in declared_endpoints() if not endpoint.role}


def test_a_stranger_who_asks_many_things(server: Server) -> None:
    """Who isn't known hears Unauthorized of everything but the way in, be it there or not."""
    odd = ["access.get_api_key ", " access.get_api_key", "access.get_api_key\0", "ACCESS.GET_API_KEY"]
    odd += [
        "access.get_api_ke\u0443",
        "",
        "access",
        "rpc.discover",
        "printer.nosuch",
        "__class__",
        "x" * 10_000,
    ]
    with closing(Visitor.come(ABROAD, server.port)) as stranger:
        for method in (*METHODS, *odd):
            if method not in OPEN:
                assert (method, stranger.call(method).get("error")) == (method, UNAUTHORIZED)
        calls = [
            {"jsonrpc": "2.0", "method": METHODS[number % len(METHODS)], "id": number}
            for number in range(250)
        ]
        stranger.send(json.dumps([call for call in calls if call["method"] not in OPEN]))
        assert {json.dumps(answer["error"]) for answer in stranger.receive()} == {json.dumps(UNAUTHORIZED)}
        stranger.send(json.dumps({"jsonrpc": "2.0", "method": "printer.emergency_stop"}))
        stranger.send(json.dumps({"jsonrpc": "2.0", "result": "forged", "id": 1}))
        assert stranger.call("access.info")["result"]["trusted"] is False
    assert server.admin("/printer/info")["state"] == "ready"


def test_login_tells_nothing(server: Server) -> None:
    """A login says of a user who isn't there what it says of a wrong password, and takes as long."""
    times: dict[str, list[float]] = {"admin": [], "nobody": []}
    said = set()
    for number in range(8):
        for name, taken in times.items():
            if number == 4:
                assert server.log_in("admin", PASSWORD, ELSEWHERE).status == 200
            began = time.monotonic()
            source = f"127.0.1.{10 + number}"
            reply = server.log_in(name, "wrong", source)
            taken.append(time.monotonic() - began)
            said.add((reply.status, reply.body))
    assert said == {(400, b'{"error":{"code":400,"message":"Invalid Password"}}')}
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert 0.5 < known / unknown < 2.0


def test_guesses_are_slowed_down(server: Server) -> None:
    """Who guesses passwords is told to wait, even with the right one, and nobody else has to."""
    statuses = [server.log_in("admin", f"guess {number}", "127.0.2.1").status for number in range(10)]
    assert statuses == [400] * 5 + [429] * 5
    assert server.log_in("admin", PASSWORD, "127.0.2.1").status == 429
    assert server.log_in("admin", PASSWORD, ELSEWHERE).status == 200
    assert ask_from("127.0.2.1", server.port, "/access/info").status == 200


def test_guesses_at_once(server: Server) -> None:
    """Guesses that are made at the same time are no more than those made one after the other."""
    statuses: list[int] = []

    def guess() -> None:
        statuses.append(server.log_in("admin", "wrong", "127.0.2.2").status)

    threads = [Thread(target=guess) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(statuses) == 40
    assert statuses.count(400) <= 8


def flood(port: int, headers: Callable[[], dict[str, str]], stop: Event) -> list[int]:
    """Try wrong passwords as fast as the server answers, and return the statuses."""
    statuses: list[int] = []
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(ABROAD, 0))
    with closing(connection):
        for number in count():
            if stop.is_set():
                return statuses
            guess = {"username": f"user{number % 50}", "password": "x" * 1000}
            with suppress(OSError, HTTPException):
                statuses.append(ask_on(connection, "/access/login", "POST", guess, **headers()).status)
    return statuses


def response_times(port: int, seconds: float) -> list[float]:
    """Return how long answers take that somebody from HOME gets, in order."""
    times = []
    deadline = time.monotonic() + seconds
    with closing(Visitor.come(HOME, port)) as client:
        while time.monotonic() < deadline:
            began = time.monotonic()
            assert "result" in client.call("printer.objects.query", objects={"webhooks": None})
            times.append(time.monotonic() - began)
            time.sleep(0.002)
    return sorted(times)


@pytest.mark.parametrize("is_one", [True, False], ids=["one address", "many addresses"])
def test_login_flood(server: Server, is_one: bool) -> None:
    """While eight connections try passwords as fast as they can, others are answered as they are else."""
    addresses = count()

    def headers() -> dict[str, str]:
        number = next(addresses)
        return {} if is_one else {"X_Forwarded_For": f"198.51.{number // 250 % 250}.{number % 250}"}

    idle = response_times(server.port, 1.5)
    stop = Event()
    statuses: list[int] = []
    threads = [
        Thread(target=lambda: statuses.extend(flood(server.port, headers, stop)), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    try:
        busy = response_times(server.port, 3.0)
        began = time.monotonic()
        login = server.log_in("admin", PASSWORD, ELSEWHERE)
        took = time.monotonic() - began
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(statuses) > 50
    assert set(statuses) <= {400, 429, 503}
    assert busy[len(busy) * 99 // 100] < max(0.1, 10 * idle[len(idle) * 99 // 100])
    assert busy[-1] < max(0.5, 10 * idle[-1])
    assert login.status == 200
    assert took < 3.0


def test_strangers_who_take_room(tmp_path: Path) -> None:
    """Websockets of one address that nobody knows leave room for a user who logs in from another."""
    with guarded_server(tmp_path) as server, ExitStack() as opened:
        server.add_user("real", PASSWORD)
        taken = 0
        for _ in range(200):
            with suppress(AssertionError):
                opened.enter_context(closing(Visitor.come(ABROAD, server.port)))
                taken += 1
        assert 0 < taken < 50
        with pytest.raises(AssertionError, match=" 503 "):
            Visitor.come(ABROAD, server.port)
        real = opened.enter_context(closing(Visitor.come(ELSEWHERE, server.port)))
        began = time.monotonic()
        assert "result" in real.call("access.login", username="real", password=PASSWORD)
        assert time.monotonic() - began < 2.0
        assert real.may()
        friend = opened.enter_context(closing(Visitor.come(HOME, server.port)))
        assert friend.may()
        user = server.log_in("real", PASSWORD).json["result"]
        neighbour = opened.enter_context(closing(Visitor.come(ABROAD, server.port, **bearer(user["token"]))))
        assert neighbour.may()


def test_websocket_flood_of_logins(server: Server) -> None:
    """Unauthenticated websockets that send passwords without waiting make nobody wait, and get no further."""
    with ExitStack() as opened:
        strangers = [opened.enter_context(closing(Visitor.come(ABROAD, server.port))) for _ in range(5)]
        idle = response_times(server.port, 1.0)
        guess = {"username": "admin", "password": "wrong"}
        for number in range(200):
            call = {"jsonrpc": "2.0", "method": "access.login", "params": guess, "id": number}
            for stranger in strangers:
                stranger.send(json.dumps(call))
        busy = response_times(server.port, 2.0)
        assert busy[len(busy) * 99 // 100] < max(0.1, 10 * idle[len(idle) * 99 // 100])
        for stranger in strangers:
            codes = {stranger.receive()["error"]["code"] for _ in range(200)}
            assert codes <= {400, 429, 503}
            assert not stranger.may()


def test_connections_that_are_cut_while_they_log_in(server: Server) -> None:
    """Who hangs up in the middle of a login leaves nothing behind that breaks."""
    for _ in range(10):
        client = Visitor.come(ABROAD, server.port)
        call = {"jsonrpc": "2.0", "method": "access.login", "id": 1}
        client.send(json.dumps({**call, "params": {"username": "admin", "password": PASSWORD}}))
        client.close()
    with closing(Visitor.come(ELSEWHERE, server.port)) as client, suppress(Closed):
        assert "result" in client.call("access.login", username="admin", password=PASSWORD)
