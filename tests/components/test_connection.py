"""What a connection says of itself, once."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field

from tests.components.bench import ComponentBench, connected
from tests.tools import caller
from txraker.access import Access
from txraker.api.audit import AuditEntry
from txraker.api.caller import Transport
from txraker.authorization.accounts import open_accounts
from txraker.authorization.gate import Gate
from txraker.clients import ClientIdentity, Clients
from txraker.components.connection import ConnectionEndpoints
from txraker.errors import BadRequest, NotFound
from txraker.storage.schema import MIGRATIONS
from txraker.testing.connection import MemoryConnection
from txraker.testing.database import MemoryDatabase
from txraker.testing.threads import at_once

TYPES = ("web", "mobile", "desktop", "display", "bot", "agent", "other")


@define(eq=False)
class ConnectionBench(ComponentBench):
    """The endpoints on their bench."""

    clients: Clients = field(init=False)
    noted: list[AuditEntry] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.clients = Clients(10, self.events)
        accounts = open_accounts(MemoryDatabase(MIGRATIONS), at_once, self.clock.seconds)
        self.serve(
            ConnectionEndpoints(self.clients, Gate(Access(), accounts, self.clock.seconds), self.noted.append)
        )

    def join(self) -> MemoryConnection:
        """Let a client connect."""
        connection = MemoryConnection()
        self.clients.add(connection)
        return connection

    def identify(self, connection: MemoryConnection, **changes: object) -> Any:
        """Let a client identify itself."""
        said: dict[str, object] = {
            "client_name": "moontest",
            "version": "0.0.1",
            "type": "web",
            "url": "http://example.com",
        }
        said |= changes
        return self.call("server.connection.identify", connected(connection), **said)


@pytest.fixture
def bench() -> ConnectionBench:
    """Make a bench."""
    return ConnectionBench()


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("kind", TYPES)
def test_types(bench: ConnectionBench, kind: str, spelled: Any) -> None:
    """Every documented type is known in upper and lower case, and kept in lower case."""
    connection = bench.join()
    assert bench.identify(connection, type=spelled(kind)) == {"connection_id": connection.connection_id}
    assert connection.identity is not None
    assert connection.identity == ClientIdentity(
        "moontest", "0.0.1", connection.identity.type, "http://example.com"
    )
    assert connection.identity.type == kind


def test_only_once(bench: ConnectionBench) -> None:
    """A second identification is refused and changes nothing."""
    connection = bench.join()
    bench.identify(connection)
    with pytest.raises(BadRequest, match="already identified"):
        bench.identify(connection, client_name="other")
    assert connection.identity is not None
    assert connection.identity.client_name == "moontest"


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"type": "toaster"}, "Invalid argument 'type': must be one of 'web', 'mobile'"),
        ({"type": None}, "Missing argument 'type'"),
        ({"client_name": None}, "Missing argument 'client_name'"),
        ({"client_name": ""}, "Invalid argument 'client_name': must be at least 1 long"),
        ({"version": None}, "Missing argument 'version'"),
        ({"version": ["1"]}, "Invalid argument 'version': must be text"),
        ({"url": None}, "Missing argument 'url'"),
    ],
)
def test_a_failed_attempt_may_be_repeated(
    bench: ConnectionBench, wrong: dict[str, object], rule: str
) -> None:
    """A refused identification names what is wrong and does not count."""
    connection = bench.join()
    with pytest.raises(BadRequest) as caught:
        bench.identify(connection, **wrong)
    assert str(caught.value).startswith(rule)
    assert connection.identity is None
    assert bench.identify(connection)["connection_id"] == connection.connection_id


@pytest.mark.parametrize(
    "extra",
    [
        {"access_token": None, "api_key": None},
        {"access_token": "", "api_key": ""},
        {"surprise": 1},
        {"version": 1.5},
    ],
)
def test_lenient(bench: ConnectionBench, extra: dict[str, object]) -> None:
    """Null and empty tokens, unknown arguments and a number as version are fine."""
    bench.identify(bench.join(), **extra)


def test_agents(bench: ConnectionBench) -> None:
    """An agent's name is taken while it is connected, and free again after."""
    first, second, third = bench.join(), bench.join(), bench.join()
    bench.identify(first, type="agent", client_name="obico")
    with pytest.raises(BadRequest, match="'obico'"):
        bench.identify(second, type="agent", client_name="obico")
    bench.identify(third, type="agent", client_name="moonagent")
    bench.clients.remove(first)
    bench.identify(second, type="agent", client_name="obico")


def test_only_agents_take_names(bench: ConnectionBench) -> None:
    """Any number of other clients may have one name, an agent's included."""
    bench.identify(bench.join(), type="agent", client_name="x")
    for kind in TYPES[:-2]:
        bench.identify(bench.join(), type=kind, client_name="x")


def test_an_agent_refused_leaves_the_other(bench: ConnectionBench) -> None:
    """When a refused second agent goes, the first keeps its name."""
    first, second, third = bench.join(), bench.join(), bench.join()
    bench.identify(first, type="agent", client_name="x")
    with pytest.raises(BadRequest):
        bench.identify(second, type="agent", client_name="x")
    bench.clients.remove(second)
    with pytest.raises(BadRequest):
        bench.identify(third, type="agent", client_name="x")


def test_websocket_id(bench: ConnectionBench) -> None:
    """A connection may ask for its id."""
    connection = bench.join()
    who = connected(connection)
    assert bench.call("server.websocket.id", who) == {"websocket_id": connection.connection_id}


@pytest.mark.parametrize("method", ["server.connection.identify", "server.websocket.id"])
def test_persistent_connections_only(bench: ConnectionBench, method: str) -> None:
    """Over HTTP, and by a JSON-RPC POST, nothing of this is there."""
    for transport in (Transport.HTTP, Transport.JSONRPC_HTTP):
        with pytest.raises(NotFound):
            bench.call(method, caller(transport))
    assert all(not one.path for one in bench.dispatcher.endpoints())
