"""Who may what: every endpoint over every transport for everybody, and logins through their life."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

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
    guarded,
    guarded_server,
    identification,
    restarted,
    serving,
)
from tests.integration.process import PATIENCE, configure, free_port, twistd
from tests.integration.websocket import WebSocket
from txraker.api.caller import Role, Transport
from txraker.api.endpoint import Endpoint
from txraker.describe import declared_endpoints

PASSWORD = "correct horse battery staple"

NOT_RUN = {"server.restart", "access.logout", "access.post_api_key"}
"""What takes no arguments that could be refused and would spoil the rest, asked only by those who may not."""

LET_IN, NOT_KNOWN, NOT_ENOUGH = "let in", "not known", "not enough"


@frozen
class Person:
    """Somebody: from where they come, and what they show."""

    role: Role
    source: str = ABROAD
    api_key: str = ""
    token: str = ""
    oneshot_of: str = ""

    def headers(self) -> dict[str, str]:
        """Return the headers of a request."""
        shown = bearer(self.token) if self.token else {}
        return {**shown, "X_Api_Key": self.api_key} if self.api_key else shown

    def path(self, server: Server, path: str) -> str:
        """Return a path with a oneshot token, if that is what the person shows."""
        if not self.oneshot_of:
            return path
        return f"{path}?token={server.oneshot(self.source, **bearer(self.oneshot_of))}"


@define
class World:
    """A server without a printer, and everybody who asks it."""

    server: Server
    people: dict[str, Person]


PEOPLE = (
    "anonymous",
    "trusted",
    "viewer",
    "operator",
    "admin",
    "API key",
    "wrong API key",
    "trusted with a wrong API key",
    "bad token",
    "expired token",
    "refresh token",
    "oneshot of the viewer",
    "oneshot of the admin",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve users of all roles."""
    with guarded_server(tmp_path_factory.mktemp("matrix")) as server:
        roles = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
        users = {name: server.add_user(name, PASSWORD) for name in roles}
        for name, role in roles.items():
            server.set_role(name, role)
        restarted(server)
        tokens = {name: user["token"] for name, user in users.items()}
        people = {name: Person(role, token=tokens[name]) for name, role in roles.items()}
        people |= {
            "anonymous": Person(Role.NOBODY),
            "trusted": Person(Role.ADMIN, HOME),
            "API key": Person(Role.ADMIN, api_key=server.admin("/access/api_key")),
            "wrong API key": Person(Role.NOBODY, api_key="0" * 32),
            "trusted with a wrong API key": Person(Role.NOBODY, HOME, api_key="0" * 32),
            "bad token": Person(Role.NOBODY, HOME, token=tokens["admin"][:-4] + "AAAA"),
            "expired token": Person(Role.NOBODY, HOME, token=server.forge("admin", -1.0)),
            "refresh token": Person(Role.NOBODY, token=users["admin"]["refresh_token"]),
            "oneshot of the viewer": Person(Role.VIEWER, oneshot_of=tokens["viewer"]),
            "oneshot of the admin": Person(Role.ADMIN, oneshot_of=tokens["admin"]),
        }
        yield World(server, people)


def expected(endpoint: Endpoint, role: Role) -> str:
    """Return what the declaration says of somebody's request."""
    if role >= endpoint.role:
        return LET_IN
    return NOT_ENOUGH if role is not Role.NOBODY else NOT_KNOWN


def refusable(endpoint: Endpoint) -> dict[str, object]:
    """Return arguments that are refused, if the endpoint has any: nothing is done by who is let in."""
    parameters = endpoint.parameters or ()
    if any(parameter.required for parameter in parameters):
        return {}
    return {parameter.name: {} for parameter in parameters}


def asked_of(transport: Transport, role: Role) -> list[Endpoint]:
    """Return the endpoints that may be asked for over a transport by somebody of a role."""
    return [
        endpoint
        for endpoint in declared_endpoints()
        if transport in endpoint.transports
        and not (endpoint.name in NOT_RUN and expected(endpoint, role) == LET_IN)
    ]


def what_http_says(status: int, body: Any) -> str:
    """Return what an HTTP response says of who asked."""
    if status == 401:
        assert body == {"error": {"code": 401, "message": "Unauthorized"}}
        return NOT_KNOWN
    return NOT_ENOUGH if status == 403 else LET_IN


def what_jsonrpc_says(answer: dict[str, Any]) -> str:
    """Return what a JSON-RPC answer says of who asked."""
    if answer.get("error") == UNAUTHORIZED:
        return NOT_KNOWN
    return NOT_ENOUGH if answer.get("error", {}).get("code") == 403 else LET_IN


def asker(world: World, person: Person, opened: ExitStack) -> Callable[[str, str, object], Any]:
    """Return a way to make many HTTP requests as somebody."""
    connection = HTTPConnection(
        "127.0.0.1", world.server.port, timeout=PATIENCE, source_address=(person.source, 0)
    )
    opened.enter_context(closing(connection))

    def ask(path: str, method: str, arguments: object) -> Any:
        return ask_on(connection, person.path(world.server, path), method, arguments, **person.headers())

    return ask


@pytest.mark.parametrize("name", PEOPLE)
def test_matrix_over_http(world: World, name: str) -> None:
    """Over HTTP everybody gets as far as the declarations say, with every verb."""
    person = world.people[name]
    with ExitStack() as opened:
        ask = asker(world, person, opened)
        for endpoint in asked_of(Transport.HTTP, person.role):
            for verb in endpoint.verbs:
                arguments = refusable(endpoint) or None
                reply = ask(endpoint.path, str(verb.name), arguments)
                said = what_http_says(reply.status, reply.json)
                assert (endpoint.name, said) == (endpoint.name, expected(endpoint, person.role))


@pytest.mark.parametrize("name", PEOPLE)
def test_matrix_over_jsonrpc_in_http(world: World, name: str) -> None:
    """By JSON-RPC in a POST everybody gets as far as the declarations say."""
    person = world.people[name]
    with ExitStack() as opened:
        ask = asker(world, person, opened)
        for endpoint in asked_of(Transport.JSONRPC_HTTP, person.role):
            call = {"jsonrpc": "2.0", "method": endpoint.name, "params": refusable(endpoint), "id": 1}
            said = what_jsonrpc_says(ask("/server/jsonrpc", "POST", call).json)
            assert (endpoint.name, said) == (endpoint.name, expected(endpoint, person.role))


def check_all(client: WebSocket, transport: Transport, role: Role) -> None:
    """Ask for everything on a connection, and compare with the declarations."""
    for endpoint in asked_of(transport, role):
        said = what_jsonrpc_says(client.call(endpoint.name, **refusable(endpoint)))
        assert (endpoint.name, said) == (endpoint.name, expected(endpoint, role))


@pytest.mark.parametrize("name", PEOPLE)
def test_matrix_over_websockets(world: World, name: str) -> None:
    """On a websocket everybody gets as far as the declarations say, by what was shown at the upgrade."""
    person = world.people[name]
    path = person.path(world.server, "/websocket")
    with closing(Visitor.come(person.source, world.server.port, path, **person.headers())) as client:
        check_all(client, Transport.WEBSOCKET, person.role)


@pytest.mark.parametrize("name", ["viewer", "operator", "admin", "API key"])
def test_matrix_after_an_identification(world: World, name: str) -> None:
    """On a websocket that was nobody's everybody gets as far by what they show when they identify."""
    person = world.people[name]
    shown = {"api_key": person.api_key} if person.api_key else {"access_token": person.token}
    with closing(Visitor.come(ABROAD, world.server.port)) as client:
        assert "result" in client.call("server.connection.identify", **identification(**shown))
        check_all(client, Transport.WEBSOCKET, person.role)


@pytest.mark.parametrize("name", ["bad token", "expired token", "refresh token", "wrong API key"])
def test_matrix_after_a_refused_identification(world: World, name: str) -> None:
    """On a websocket that was nobody's what isn't good opens nothing."""
    person = world.people[name]
    shown = {"api_key": person.api_key} if person.api_key else {"access_token": person.token}
    with closing(Visitor.come(ABROAD, world.server.port)) as client:
        error = client.call("server.connection.identify", **identification(**shown))["error"]
        assert error["code"] == -32602
        check_all(client, Transport.WEBSOCKET, Role.NOBODY)


def test_matrix_over_the_unix_socket(world: World) -> None:
    """Programs on this machine may do everything."""
    with closing(world.server.local()) as client:
        check_all(client, Transport.UNIX, Role.ADMIN)


@pytest.mark.parametrize("path", ["/klippysocket", "/klippysocket?x=1"])
@pytest.mark.parametrize("name", PEOPLE)
def test_matrix_of_the_bridge(world: World, name: str, path: str) -> None:
    """The bridge to Klippy is for administrators, who learn that Klippy isn't there."""
    person = world.people[name]
    if person.oneshot_of:
        path = "/klippysocket"
    expected_status = {Role.NOBODY: 401, Role.ADMIN: 503}.get(person.role, 403)
    with pytest.raises(AssertionError, match=f"HTTP/1.1 {expected_status} "):
        Visitor.come(person.source, world.server.port, person.path(world.server, path), **person.headers())


# What becomes of logins.


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


Come = Callable[..., Visitor]


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
    assert not agent.may()
    agent.notifications.clear()
    question = {"agent": "spy", "method": "secret", "arguments": {"x": 1}}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_from, HOME, server.port, "/server/extensions/request", "POST", question)
        heard = agent.hears(0.5)
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


def test_oneshot_token_and_a_large_body(server: Server, user: dict[str, str]) -> None:
    """A oneshot token lets a large body in, too: it is looked at once."""
    path = f"/server/jsonrpc?token={server.oneshot(**bearer(user['token']))}"
    call = {"jsonrpc": "2.0", "method": "server.info", "params": {"x": "x" * 200_000}, "id": 1}
    assert "result" in ask_from(ABROAD, server.port, path, "POST", call).json


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
        with ThreadPoolExecutor(5) as pool:
            logins = [pool.submit(server.log_in, "going", PASSWORD) for _ in range(4)]
            time.sleep(0.06)
            server.admin("/access/user", "DELETE", {"username": "going"})
            statuses = {login.result().status for login in logins}
        assert statuses <= {200, 400}
        users = [known["username"] for known in server.admin("/access/users/list")["users"]]
        assert "going" not in users
    with closing(server.database()) as database:
        assert list(database.execute("SELECT * FROM users WHERE username = 'going'")) == []


def test_password_and_logout_at_once(server: Server, user: dict[str, str]) -> None:
    """A password that changes while its user logs out is the new one afterwards."""
    for number in range(4):
        old, new = f"p{number}" if number else PASSWORD, f"p{number + 1}"
        token = server.log_in(user["username"], old, ELSEWHERE).json["result"]["token"]
        arguments = {"password": old, "new_password": new}
        with ThreadPoolExecutor(1) as pool:
            changing = pool.submit(
                ask_from, ABROAD, server.port, "/access/user/password", "POST", arguments, **bearer(token)
            )
            time.sleep(0.03 * number)
            server.log_out(token)
            assert changing.result().status == 200
        assert not server.is_let_in(**bearer(token))
        assert server.log_in(user["username"], new, ELSEWHERE).status == 200


# Configurations, and restarts.


def test_forced_logins(tmp_path: Path) -> None:
    """With force_logins trust ends when there is a user, except on the unix socket, and begins without."""
    with guarded_server(tmp_path, more="force_logins: True\n") as server:
        assert server.is_let_in(HOME)
        info = ask_from(HOME, server.port, "/access/info").json["result"]
        assert (info["login_required"], info["trusted"]) == (False, True)
        token = server.add_user("only", PASSWORD)["token"]
        assert not server.is_let_in(HOME)
        assert ask_from(HOME, server.port, "/access/info").json["result"]["login_required"] is True
        assert server.is_let_in(HOME, **bearer(token))
        assert server.is_let_in(ABROAD, **bearer(token))
        with closing(server.local()) as local:
            assert "result" in local.call("server.info")
            key = local.call("access.get_api_key")["result"]
        assert server.is_let_in(HOME, X_Api_Key=key)
        restarted(server)
        assert not server.is_let_in(HOME)
        with closing(server.local()) as local:
            assert "result" in local.call("access.delete_user", username="only")
        assert server.is_let_in(HOME)


def test_most_login_attempts(tmp_path: Path) -> None:
    """An address that has failed too often is locked out until a restart, and no other address is."""
    with guarded_server(tmp_path, more="max_login_attempts: 3\n") as server:
        server.add_user("patient", PASSWORD)
        for _ in range(3):
            assert server.log_in("patient", "wrong").json["error"] == {
                "code": 400,
                "message": "Invalid Password",
            }
        assert server.log_in("patient", PASSWORD).status == 401
        assert server.log_in("nobody", PASSWORD).status == 401
        assert server.log_in("patient", PASSWORD, ELSEWHERE).status == 200
        restarted(server)
        assert server.log_in("patient", PASSWORD).status == 200


def test_no_api_key(tmp_path: Path) -> None:
    """When the API key isn't enabled it opens nothing."""
    with guarded_server(tmp_path, more="enable_api_key: False\n") as server:
        key = server.admin("/access/api_key")
        assert not server.is_let_in(X_Api_Key=key)
        with closing(Visitor.come(ABROAD, server.port)) as client:
            assert "error" in client.call("server.connection.identify", **identification(api_key=key))
            assert not client.may()


def test_users_survive(tmp_path: Path) -> None:
    """Users, logins and the API key outlive a restart and a kill, and the end of a login does, too."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    with serving(tmp_path, data, port) as server:
        user, key = server.add_user("lasting", PASSWORD), server.admin("/access/api_key")
        restarted(server)
        assert server.is_let_in(**bearer(user["token"]))
        assert server.is_let_in(X_Api_Key=key)
        last = server.add_user("last", PASSWORD)
        server.process.terminate(signal.SIGKILL)
    with serving(tmp_path, data, port) as server:
        assert server.is_let_in(**bearer(user["token"]))
        assert server.is_let_in(**bearer(last["token"]))
        assert server.is_let_in(X_Api_Key=key)
        assert server.log_in("last", PASSWORD).status == 200
        server.log_out(user["token"])
        server.process.terminate(signal.SIGKILL)
    with serving(tmp_path, data, port) as server:
        assert not server.is_let_in(**bearer(user["token"]))


def test_nobody_is_turned_away_by_a_restart(tmp_path: Path) -> None:
    """Tokens and passwords are as good in the first moment of a new server as they are later."""
    with guarded_server(tmp_path) as server:
        token = server.add_user("hasty", PASSWORD)["token"]
        for _ in range(3):
            server.admin("/server/restart", "POST", {})
            deadline = time.monotonic() + 0.6
            while time.monotonic() < deadline:
                reply = ask_from(ABROAD, server.port, "/access/user", **bearer(token))
                assert reply.status == 200, reply.body


def test_nobody_is_turned_away_by_a_start(tmp_path: Path) -> None:
    """A token is as good in the first moment of a process as it is later."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    with serving(tmp_path, data, port) as server:
        token = server.add_user("hasty", PASSWORD)["token"]
        server.process.terminate()
    with twistd(tmp_path, "-d", str(data)) as process:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                reply = ask_from(ABROAD, port, "/access/user", **bearer(token))
            except OSError:
                continue
            assert reply.status in (200, 503), reply.body
            if reply.status == 200:
                break
        else:
            raise AssertionError(process.log.read_text())


def test_two_printers(tmp_path: Path) -> None:
    """Two printers of one process share no user, no token, no API key and no failed login."""
    ports, data = (free_port(), free_port()), (tmp_path / "one", tmp_path / "two")
    for port, folder in zip(ports, data, strict=True):
        configure(folder, guarded(port, "max_login_attempts: 2\n"))
    with twistd(tmp_path, "-d", str(data[0]), "-d", str(data[1])) as process:
        one, two = (Server(port, folder, process) for port, folder in zip(ports, data, strict=True))
        one.wait()
        two.wait()
        user, key = one.add_user("same", PASSWORD), one.admin("/access/api_key")
        assert two.admin("/access/users/list") == {"users": []}
        namesake = two.add_user("same", PASSWORD)
        assert key != two.admin("/access/api_key")
        assert one.is_let_in(**bearer(user["token"]))
        assert two.is_let_in(**bearer(namesake["token"]))
        assert not two.is_let_in(**bearer(user["token"]))
        assert not one.is_let_in(**bearer(namesake["token"]))
        assert not two.is_let_in(X_Api_Key=key)
        oneshot = f"/access/users/list?token={one.oneshot(**bearer(user['token']))}"
        assert not two.is_let_in(path=oneshot)
        assert one.is_let_in(path=oneshot)
        refresh = {"refresh_token": user["refresh_token"]}
        assert ask_from(ABROAD, two.port, "/access/refresh_jwt", "POST", refresh).status == 401
        for _ in range(2):
            one.log_in("same", "wrong")
        assert one.log_in("same", PASSWORD).status == 401
        assert two.log_in("same", PASSWORD).status == 200


def test_database_that_is_broken(tmp_path: Path) -> None:
    """With a database that can't be read nobody gets in by what they show; the trusted do, and are told."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    (data / "database").mkdir()
    (data / "database" / "txraker.db").write_bytes(b"no database at all" * 1000)
    with twistd(tmp_path, "-d", str(data)) as process:
        server = Server(port, data, process)
        warnings = process.wait_for(port)["warnings"]
        assert any("Nobody can log in" in text for text in warnings)
        for shown in ({}, {"X_Api_Key": ""}, {"X_Api_Key": "x"}, bearer("x"), bearer("")):
            assert not server.is_let_in(ABROAD, **shown)
        assert server.log_in("anybody", PASSWORD).status in (400, 503)
        new = {"username": "anybody", "password": PASSWORD}
        assert ask_from(HOME, port, "/access/user", "POST", new).status == 503
        assert "Traceback" not in process.log.read_text()
