"""Logins through their life: what opens with them, and what ends when they do."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.people import (
    ABROAD,
    ELSEWHERE,
    HOME,
    UNAUTHORIZED,
    Server,
    Visitor,
    ask_from,
    bearer,
    guarded_server,
    identification,
)

PASSWORD = "correct horse battery staple"

Come = Callable[..., Visitor]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a virtual printer."""
    with guarded_server(tmp_path_factory.mktemp("logins"), "--simulate") as served:
        served.process.wait_for(served.port, "ready")
        yield served


@pytest.fixture
def user(server: Server, request: pytest.FixtureRequest) -> dict[str, str]:
    """Make a user who is logged in, one for each test."""
    return server.add_user(request.node.name, PASSWORD)


@pytest.fixture
def come(server: Server) -> Iterator[Callable[..., Visitor]]:
    """Open websockets from ABROAD that are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda path="/websocket", source=ABROAD, **headers: opened.enter_context(
            closing(Visitor.come(source, server.port, path, **headers))
        )


def test_life_of_a_login(server: Server, user: dict[str, str]) -> None:
    """A login opens the door until it is logged out, and with it end all of its tokens."""
    name = user["username"]
    reply = server.log_in(name, PASSWORD)
    assert reply.status == 200
    login = reply.json["result"]
    assert set(login) == {"username", "token", "refresh_token", "source", "action"}
    assert (login["username"], login["source"], login["action"]) == (name, "moonraker", "user_logged_in")
    assert server.is_let_in(**bearer(login["token"]))
    assert server.is_let_in(path=f"/access/users/list?access_token={login['token']}")
    assert server.is_let_in(X_Access_Token=login["token"])
    refresh = {"refresh_token": login["refresh_token"]}
    refreshed = ask_from(ELSEWHERE, server.port, "/access/refresh_jwt", "POST", refresh).json["result"]
    assert set(refreshed) == {"username", "token", "source", "action"}
    assert server.is_let_in(ELSEWHERE, **bearer(refreshed["token"]))
    server.log_out(refreshed["token"])
    for token in (user["token"], login["token"], refreshed["token"]):
        assert not server.is_let_in(**bearer(token))
    assert ask_from(ABROAD, server.port, "/access/refresh_jwt", "POST", refresh).status == 401
    again = server.log_in(name, PASSWORD).json["result"]
    assert server.is_let_in(**bearer(again["token"]))
    assert not server.is_let_in(**bearer(login["token"]))


def test_logout_is_everywhere(server: Server, user: dict[str, str], come: Come) -> None:
    """Whoever logs out on one connection may do nothing on all others; other users stay."""
    token = bearer(user["token"])
    by_header, by_oneshot = come(**token), come(f"/websocket?token={server.oneshot(**token)}")
    identified, logged_in = come(), come(source=ELSEWHERE)
    assert "result" in identified.call(
        "server.connection.identify", **identification(access_token=user["token"])
    )
    assert "result" in logged_in.call("access.login", username=user["username"], password=PASSWORD)
    other = come(**bearer(server.add_user("stays", PASSWORD)["token"]))
    theirs = [by_header, by_oneshot, identified, logged_in]
    assert all(client.may() for client in theirs)
    assert logged_in.call("access.logout")["result"]["action"] == "user_logged_out"
    assert [client.may() for client in theirs] == [False] * 4
    assert other.may()
    said = other.wait_for("notify_user_logged_out")
    assert said["params"] == [{"username": user["username"]}]


def test_delete_ends_connections(server: Server, user: dict[str, str], come: Come) -> None:
    """Who is deleted may do nothing any more, on the connections there are, either."""
    client = come(**bearer(user["token"]))
    assert client.may()
    server.admin("/access/user", "DELETE", {"username": user["username"]})
    assert not client.may()
    assert not server.is_let_in(**bearer(user["token"]))
    assert server.log_in(user["username"], PASSWORD).status == 400


def test_logout_ends_subscriptions(server: Server, user: dict[str, str], come: Come) -> None:
    """Who has logged out hears nothing more of the printer that they subscribed to."""
    client = come(**bearer(user["token"]))
    client.call("printer.objects.subscribe", objects={"toolhead": None, "display_status": None})
    server.log_out(user["token"])
    assert not client.may()
    client.notifications.clear()
    for text in ("one", "two"):
        server.admin("/printer/gcode/script", "POST", {"script": f"M117 {text}"})
    assert client.hears(1.0) == []


def test_logout_ends_bridges(server: Server, user: dict[str, str], come: Come) -> None:
    """The bridge to Klippy of somebody who has logged out ends."""
    bridge = come("/klippysocket", **bearer(user["token"]))
    bridge.send(json.dumps({"id": 1, "method": "info", "params": {}}))
    assert bridge.receive()["id"] == 1
    bridge._socket.settimeout(3.0)
    server.log_out(user["token"])
    assert bridge.ends()


def test_logout_ends_agents(server: Server, user: dict[str, str], come: Come) -> None:
    """An agent whose user has logged out is asked nothing any more."""
    agent = come()
    shown = identification(access_token=user["token"], client_name="spy", type="agent")
    assert "result" in agent.call("server.connection.identify", **shown)
    server.log_out(user["token"])
    agent.notifications.clear()
    question = {"agent": "spy", "method": "secret", "arguments": {"x": 1}}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_from, HOME, server.port, "/server/extensions/request", "POST", question)
        heard = [method for method in agent.hears(0.5) if not method.startswith("notify_")]
        agent.close()
        assert asking.result().status in (400, 503)
    assert heard == []


def test_logout_where_it_is_trusted(user: dict[str, str], come: Come) -> None:
    """Who logs in and out again on a connection from a trusted address is who they were before."""
    client = come(source=HOME)
    assert "result" in client.call("access.login", username=user["username"], password=PASSWORD)
    assert client.call("access.get_user")["result"]["username"] == user["username"]
    assert "result" in client.call("access.logout")
    assert client.may()


def test_logout_ends_oneshot_tokens(server: Server, user: dict[str, str]) -> None:
    """A oneshot token is good for nothing once its user has logged out."""
    path = f"/access/users/list?token={server.oneshot(**bearer(user['token']))}"
    server.log_out(user["token"])
    assert not server.is_let_in(path=path)


def test_logout_within_a_batch(user: dict[str, str], come: Come) -> None:
    """What comes after a logout in a batch isn't done."""
    client = come(**bearer(user["token"]))
    calls = [
        {"jsonrpc": "2.0", "method": method, "id": method} for method in ("access.logout", "server.info")
    ]
    client.send(json.dumps(calls))
    answers = client.receive()
    while not isinstance(answers, list):
        answers = client.receive()
    assert [answer.get("error") for answer in answers] == [None, UNAUTHORIZED]


def test_identify_within_a_batch(user: dict[str, str], come: Come) -> None:
    """What comes after an identification in a batch is done by who has identified, as Moonraker does it."""
    client = come()
    shown = identification(access_token=user["token"])
    calls = [("server.connection.identify", shown), ("server.info", {})]
    client.send(
        json.dumps(
            [{"jsonrpc": "2.0", "method": method, "params": params, "id": 1} for method, params in calls]
        )
    )
    assert [answer.get("error") for answer in client.receive()] == [None, None]


def test_password_change(server: Server, user: dict[str, str], come: Come) -> None:
    """A new password counts at once, the old one doesn't, and whoever is logged in stays so."""
    client = come(**bearer(user["token"]))
    wrong = client.call("access.user.password", password="wrong", new_password="x")
    assert wrong["error"] == {"code": 400, "message": "Invalid Password"}
    assert "result" in client.call("access.user.password", password=PASSWORD, new_password="another")
    assert client.may()
    assert server.log_in(user["username"], PASSWORD).status == 400
    assert server.log_in(user["username"], "another").status == 200


def test_oneshot_token(server: Server, user: dict[str, str]) -> None:
    """A oneshot token is good once, and only where it was asked for; a thief doesn't use it up."""
    for shown in (bearer(user["token"]), {"X_Api_Key": server.admin("/access/api_key")}):
        path = f"/access/users/list?token={server.oneshot(**shown)}"
        assert not server.is_let_in(ELSEWHERE, path)
        assert server.is_let_in(ABROAD, path)
        assert not server.is_let_in(ABROAD, path)


def test_oneshot_token_of_a_websocket(server: Server, user: dict[str, str], come: Come) -> None:
    """A oneshot token opens one websocket, which is its user's; another one of it is nobody's."""
    path = f"/websocket?token={server.oneshot(**bearer(user['token']))}"
    first, second = come(path), come(path)
    assert first.call("access.get_user")["result"]["username"] == user["username"]
    assert not second.may()


def test_oneshot_token_beside_arguments(server: Server, user: dict[str, str]) -> None:
    """A oneshot token in a query is no argument of what is asked for."""
    path = f"/printer/objects/query?webhooks&token={server.oneshot(**bearer(user['token']))}"
    reply = ask_from(ABROAD, server.port, path)
    assert set(reply.json["result"]["status"]) == {"webhooks"}


def test_large_bodies(server: Server, user: dict[str, str]) -> None:
    """A large body is read from who shows something good, and refused without being read otherwise."""
    call = {"jsonrpc": "2.0", "method": "server.info", "params": {"x": "x" * 200_000}, "id": 1}
    reply = ask_from(ABROAD, server.port, "/server/jsonrpc", "POST", call, **bearer(user["token"]))
    assert "result" in reply.json
    token = server.oneshot(**bearer(user["token"]))
    for query, status in (("", 401), ("?token=X", 401), (f"?token={token}", 200), (f"?token={token}", 401)):
        reply = ask_from(ABROAD, server.port, f"/server/jsonrpc{query}", "POST", call)
        assert (query, reply.status) == (query, status)


def test_what_is_shown_wrongly(server: Server) -> None:
    """A wrong key or token shuts the door even where it would be open; a wrong oneshot token is ignored."""
    assert server.is_let_in(HOME)
    assert not server.is_let_in(HOME, X_Api_Key="wrong")
    assert not server.is_let_in(HOME, **bearer("wrong"))
    assert not server.is_let_in(HOME, path="/access/users/list?access_token=wrong")
    assert server.is_let_in(HOME, path="/access/users/list?token=WRONG")
    assert not server.is_let_in(ABROAD, path="/access/users/list?token=WRONG")


def test_new_api_key(server: Server) -> None:
    """A new API key counts at once, and the old one no more."""
    old = server.admin("/access/api_key")
    assert server.is_let_in(X_Api_Key=old)
    new = server.admin("/access/api_key", "POST", {})
    assert new != old
    assert not server.is_let_in(X_Api_Key=old)
    assert server.is_let_in(X_Api_Key=new)


def test_identify_later(server: Server, user: dict[str, str], come: Come) -> None:
    """A websocket that is nobody's can find out how to get in, and get in when it identifies."""
    shown = {"access_token": user["token"]}, {"api_key": server.admin("/access/api_key")}
    for right, wrong in zip(shown, ({"access_token": "wrong"}, {"api_key": "wrong"}), strict=True):
        client = come()
        info = client.call("access.info")["result"]
        assert (info["trusted"], info["login_required"]) == (False, False)
        assert "result" in client.call("server.websocket.id")
        assert client.call("server.connection.identify", **identification())["error"] == UNAUTHORIZED
        assert client.call("server.connection.identify", **identification(**wrong))["error"]["code"] == -32602
        assert not client.may()
        assert "result" in client.call("server.connection.identify", **identification(**right))
        assert client.may()


def test_nobody_hears_anything(server: Server, come: Come) -> None:
    """No notification reaches a websocket that is nobody's, whatever happens."""
    nobody, friend = come(), come(source=HOME)
    for client in (nobody, friend):
        client.call("printer.objects.subscribe", objects={"toolhead": None, "display_status": None})
    login = server.add_user("noisy", PASSWORD)
    server.admin("/printer/gcode/script", "POST", {"script": "M117 hello"})
    server.admin("/printer/gcode/script", "POST", {"script": "M118 hello"})
    server.log_out(login["token"])
    server.admin("/access/user", "DELETE", {"username": "noisy"})
    for method in ("created", "logged_out", "deleted"):
        friend.wait_for(f"notify_user_{method}")
    assert nobody.hears(1.5) == []


def test_one_of_a_name(server: Server) -> None:
    """Of those who create the same user at the same time one succeeds, and it is that one's password."""
    passwords = [f"password {number}" for number in range(6)]

    def create(password: str) -> int:
        arguments = {"username": "contested", "password": password}
        return ask_from(HOME, server.port, "/access/user", "POST", arguments).status

    with ThreadPoolExecutor(len(passwords)) as pool:
        statuses = list(pool.map(create, passwords))
    assert sorted(statuses) == [200, 400, 400, 400, 400, 400]
    assert server.log_in("contested", passwords[statuses.index(200)], ELSEWHERE).status == 200


def test_deleted_while_logging_in(server: Server) -> None:
    """A login that is under way when its user is deleted fails like any other, and brings nobody back."""
    for _ in range(3):
        server.add_user("going", PASSWORD)
        with ThreadPoolExecutor(4) as pool:
            logins = [pool.submit(server.log_in, "going", PASSWORD, f"127.0.3.{end}") for end in range(1, 5)]
            time.sleep(0.06)
            server.admin("/access/user", "DELETE", {"username": "going"})
            statuses = {login.result().status for login in logins}
        assert statuses <= {200, 400}
        users = [known["username"] for known in server.admin("/access/users/list")["users"]]
        assert "going" not in users
    with closing(server.database()) as database:
        assert list(database.execute("SELECT * FROM users WHERE username = 'going'")) == []


def test_password_and_logout_at_once(server: Server, user: dict[str, str]) -> None:
    """A password that changes while its user logs out is the new one afterwards if that is what was said."""
    old = PASSWORD
    for number in range(4):
        new = f"p{number + 1}"
        token = server.log_in(user["username"], old, ELSEWHERE).json["result"]["token"]
        arguments = {"password": old, "new_password": new}
        with ThreadPoolExecutor(1) as pool:
            changing = pool.submit(
                ask_from, ABROAD, server.port, "/access/user/password", "POST", arguments, **bearer(token)
            )
            time.sleep(0.03 + 0.03 * number)
            server.log_out(token)
            # Logged out before the change: 401; while it is being written: 503, and it hasn't happened.
            assert changing.result().status in (200, 401, 503)
        old = new if changing.result().status == 200 else old
        assert not server.is_let_in(**bearer(token))
        assert server.log_in(user["username"], old, ELSEWHERE).status == 200


def test_audit(tmp_path: Path) -> None:
    """The audit log says who did what, from where, over which transport, and who wasn't let."""
    script = "printer.gcode.script"
    with guarded_server(tmp_path, "--simulate") as server:
        server.process.wait_for(server.port, "ready")
        user, key = server.add_user("ann", PASSWORD), server.add_token("slicer", "operator")
        assert ask_from(ABROAD, server.port, "/printer/restart", "POST", {}, X_Api_Key=key).status == 200
        assert ask_from(ABROAD, server.port, "/access/api_key", "POST", {}, X_Api_Key=key).status == 403
        assert ask_from(ELSEWHERE, server.port, "/server/restart", "POST", {}).status == 401
        server.log_in("ann", "wrong")
        with closing(Visitor.come(ABROAD, server.port, **bearer(user["token"]))) as client:
            client.call("server.connection.identify", **identification())
            client.call(script, script="M117 ho")
            client.call("server.info")
        with closing(server.local()) as local:
            local.call(script, script="M117 hum")
        file = server.data / "audit" / "audit.log"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    keys = ("outcome", "call", "who", "address", "transport", "arguments", "client", "status")
    said = [tuple(line.get(key) for key in keys) for line in lines]
    for expected in (
        ("asked", "printer.restart", "slicer", ABROAD, "http", None, None, None),
        ("refused", "access.post_api_key", "slicer", ABROAD, "http", None, None, 403),
        ("refused", "server.restart", "", ELSEWHERE, "http", None, None, 401),
        ("asked", "access.login", "", ABROAD, "http", {"username": "ann"}, None, None),
        ("failed", "access.login", "", ABROAD, "http", {"username": "ann"}, None, 400),
        ("asked", script, "ann", ABROAD, "websocket", {"script": "M117 ho"}, "test 1", None),
    ):
        assert expected in said
    hum = {"script": "M117 hum"}
    (local_line,) = [line for line in lines if line["outcome"] == "asked" and line.get("arguments") == hum]
    assert (local_line["transport"], local_line["role"]) == ("unix", "admin")
    assert re.fullmatch(r"process \d+ of user \d+", local_line["address"])
    assert all(line["call"] != "server.info" for line in lines)


def test_api_token_on_a_websocket(server: Server, come: Come) -> None:
    """An API token identifies a websocket, which is nobody's as soon as the token is taken back."""
    token = server.add_token("display", "viewer")
    client = come()
    assert not client.may()
    assert "result" in client.call("server.connection.identify", **identification(api_key=token))
    assert client.may()
    assert "result" in client.call("printer.objects.subscribe", objects={"toolhead": None})
    assert client.call("printer.gcode.script", script="M112")["error"]["code"] == 403
    server.admin("/access/token", "DELETE", {"name": "display"})
    assert not client.may()


@pytest.mark.parametrize("path", ["/server/info", "/nosuch", "/access/api_key", "/websocket"])
def test_headers_that_keep_browsers_in_check(server: Server, path: str) -> None:
    """No answer is to be framed, guessed at, kept, or to tell where it was linked from."""
    headers = ask_from(ABROAD, server.port, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_preflight_uses_nothing_up(server: Server, user: dict[str, str]) -> None:
    """A browser's preflight leaves a oneshot token to the request that follows."""
    path = f"/server/info?token={server.oneshot(**bearer(user['token']))}"
    assert ask_from(ABROAD, server.port, path, "OPTIONS").status == 204
    assert ask_from(ABROAD, server.port, path).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_of_a_token(server: Server, scheme: str) -> None:
    """However the scheme is written, a wrong token is let in nowhere."""
    assert not server.is_let_in(HOME, Authorization=f"{scheme} x")


def test_audit_of_what_is_refused_at_the_door(tmp_path: Path) -> None:
    """Forged origins and names, and who may not have the bridge, are in the audit log."""
    with guarded_server(tmp_path) as server:
        viewer = server.add_token("looking", "viewer")
        for source, headers in (
            (HOME, {"Origin": "http://evil.example"}),
            (HOME, {"Host": "evil.example"}),
        ):
            assert ask_from(source, server.port, "/server/restart", "POST", {}, **headers).status == 403
        with pytest.raises(AssertionError, match=" 403 "):
            Visitor.come(ABROAD, server.port, "/klippysocket", X_Api_Key=viewer)
        file = server.data / "audit" / "audit.log"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    refused = [(line["call"], line["who"], line["status"]) for line in lines if line["outcome"] == "refused"]
    assert refused == [
        ("POST /server/restart", "_TRUSTED_USER_", 403),
        ("POST /server/restart", "", 403),
        ("GET /klippysocket", "looking", 403),
    ]
