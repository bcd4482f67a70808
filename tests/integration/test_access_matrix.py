"""Who may what: every endpoint over every transport for everybody, as the declarations say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import Any

import pytest
from attrs import define, frozen

from tests.integration.people import (
    ABROAD,
    HOME,
    UNAUTHORIZED,
    Server,
    Visitor,
    ask_on,
    bearer,
    guarded,
    identification,
    serving,
)
from tests.integration.process import PATIENCE, configure, free_port
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
    "API token of a viewer",
    "API token of an operator",
    "API token of an admin",
    "API token that was taken back",
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
    folder = tmp_path_factory.mktemp("matrix")
    port, data = free_port(), folder / "data"
    configure(data, guarded(port))
    roles = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
    with serving(folder, data, port, "--debug-features") as server:
        users = {name: server.add_user(name, PASSWORD, name) for name in roles}
        gone = server.add_token("gone", "admin")
        server.admin("/access/token", "DELETE", {"name": "gone"})
        tokens = {name: user["token"] for name, user in users.items()}
        people = {name: Person(role, token=tokens[name]) for name, role in roles.items()}
        people |= {
            "anonymous": Person(Role.NOBODY),
            "trusted": Person(Role.ADMIN, HOME),
            "API key": Person(Role.ADMIN, api_key=server.admin("/access/api_key")),
            "API token of a viewer": Person(Role.VIEWER, api_key=server.add_token("see", "viewer")),
            "API token of an operator": Person(Role.OPERATOR, token=server.add_token("do", "operator")),
            "API token of an admin": Person(Role.ADMIN, api_key=server.add_token("all", "admin")),
            "API token that was taken back": Person(Role.NOBODY, HOME, api_key=gone),
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
    assert status not in (404, 405, 500), body
    return NOT_ENOUGH if status == 403 else LET_IN


def what_jsonrpc_says(answer: dict[str, Any]) -> str:
    """Return what a JSON-RPC answer says of who asked."""
    if answer.get("error") == UNAUTHORIZED:
        return NOT_KNOWN
    code = answer.get("error", {}).get("code")
    assert code not in (-32601, 404, 500), answer
    return NOT_ENOUGH if code == 403 else LET_IN


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


@pytest.mark.parametrize(
    "name", ["viewer", "admin", "API key", "API token of a viewer", "API token of an operator"]
)
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
