"""Who is connected."""

from __future__ import annotations

import pytest
from attrs import define
from zope.interface.verify import verifyObject

from tests.tools import Faults
from txraker.api.caller import TRUSTED, Transport
from txraker.clients import ClientIdentity, Clients
from txraker.errors import BadRequest
from txraker.events import AgentConnected, AgentDisconnected, Events, GcodeResponse
from txraker.interfaces import IConnection
from txraker.outgoing import Outgoing
from txraker.testing.connection import MemoryConnection


@define(eq=False)
class Leaver(MemoryConnection):
    """A connection that is gone when it is sent something."""

    clients: Clients | None = None

    def tell(self, outgoing: Outgoing) -> None:
        """Leave."""
        assert self.clients is not None
        self.clients.remove(self)


def make(limit: int = 10) -> Clients:
    """Make a registry nobody listens to."""
    return Clients(limit, Events(Faults()))


class Bridge:
    """A websocket that takes no part in the API."""

    address = "192.0.2.1"
    who = TRUSTED

    def close(self, code: int, reason: str) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""


def test_ids() -> None:
    """Ids are never given twice, and any JavaScript client can hold them."""
    for _ in range(20):
        clients = make(1)
        ids = [clients.new_id() for _ in range(500)]
        assert all(0 <= one < 2**53 for one in ids)
        assert len(set(ids)) == len(ids)


def test_limit() -> None:
    """There is room until the limit, and again when somebody has left."""
    clients = make(2)
    first, second = MemoryConnection(), MemoryConnection()
    for number, connection in enumerate((first, second)):
        assert (len(clients), clients.websocket_count) == (number, number)
        assert clients.has_room("127.0.0.1", is_local=True)
        clients.add(connection)
    assert (len(clients), clients.websocket_count) == (2, 2)
    assert not clients.has_room("127.0.0.1", is_local=True)
    clients.remove(first)
    assert (list(clients), clients.websocket_count) == ([second], 1)
    assert clients.has_room("127.0.0.1", is_local=True)
    clients.remove(first)
    assert len(clients) == 1


def test_no_room_at_all() -> None:
    """A limit of none lets nobody in."""
    assert not make(0).has_room("127.0.0.1", is_local=True)
    assert not make(0).has_room("192.0.2.1", is_local=False)


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 10, 50, 101])
def test_room_for_others(limit: int) -> None:
    """One address gets half of the connections, all but this machine nine tenths of them."""
    clients = make(limit)
    counts: dict[str, int] = {}
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
        while clients.has_room(address, is_local=False):
            clients.add(MemoryConnection(address=address))
            counts[address] = counts.get(address, 0) + 1
    assert counts["192.0.2.1"] == max(1, limit // 2)
    assert clients.websocket_count == limit - limit // 10
    while clients.has_room("127.0.0.1", is_local=True):
        clients.add(MemoryConnection(address="127.0.0.1"))
    assert clients.websocket_count == limit


def test_what_counts() -> None:
    """Bridges count against the limit; programs on the unix socket don't."""
    clients = make(2)
    bridge = Bridge()
    clients.bridges.add(bridge)
    clients.add(MemoryConnection(transport=Transport.UNIX))
    assert (len(clients), clients.websocket_count) == (1, 1)
    clients.bridges.add(Bridge())
    assert not clients.has_room("127.0.0.1", is_local=True)
    clients.bridges.discard(bridge)
    assert clients.has_room("127.0.0.1", is_local=True)


def test_bridges_count_for_their_address() -> None:
    """An address that opens nothing but bridges gets no more of them than of other websockets."""
    clients = make(10)
    for _ in range(5):
        clients.bridges.add(Bridge())
    assert not clients.has_room("192.0.2.1", is_local=False)


def test_broadcast() -> None:
    """Everybody hears, those too whose neighbours leave meanwhile."""
    clients = make()
    others = [MemoryConnection(), MemoryConnection()]
    for connection in (others[0], Leaver(clients=clients), others[1]):
        assert verifyObject(IConnection, connection)
        clients.add(connection)
    clients.broadcast(GcodeResponse("// hi"))
    message = {"jsonrpc": "2.0", "method": "notify_gcode_response", "params": ["// hi"]}
    assert [connection.messages for connection in others] == [[message], [message]]
    assert list(clients) == others


def test_identify() -> None:
    """A connection has the identity it told, once."""
    clients = make()
    connection = MemoryConnection()
    mainsail = ClientIdentity("mainsail", "2", "web", "")
    clients.identify(connection, mainsail)
    assert connection.identity == mainsail
    with pytest.raises(BadRequest, match="already identified"):
        clients.identify(connection, mainsail)


def test_an_agent_that_was_refused_by_identity() -> None:
    """A web client that tries to become an agent later takes no name."""
    clients = make()
    web, agent = MemoryConnection(), MemoryConnection()
    clients.identify(web, ClientIdentity("x", "1", "web", ""))
    with pytest.raises(BadRequest):
        clients.identify(web, ClientIdentity("x", "1", "agent", ""))
    clients.identify(agent, ClientIdentity("x", "1", "agent", ""))
    clients.remove(web)
    with pytest.raises(BadRequest):
        clients.identify(MemoryConnection(), ClientIdentity("x", "1", "agent", ""))


def test_agents_come_and_go() -> None:
    """An agent is announced when it has its name and when it leaves; one refused or of another type isn't."""
    events = Events(Faults())
    heard: list[object] = []
    events.on(AgentConnected, heard.append)
    events.on(AgentDisconnected, heard.append)
    clients = Clients(10, events)
    web, agent, refused = MemoryConnection(), MemoryConnection(), MemoryConnection()
    clients.identify(web, ClientIdentity("x", "1", "web", ""))
    clients.identify(agent, ClientIdentity("x", "1", "agent", ""))
    with pytest.raises(BadRequest, match="already connected"):
        clients.identify(refused, ClientIdentity("x", "1", "agent", ""))
    assert (clients.agent("x"), clients.agent("y")) == (agent, None)
    assert clients.agents() == [agent.identity]
    for connection in (web, refused, agent, agent):
        clients.remove(connection)
    assert heard == [AgentConnected(agent), AgentDisconnected(agent)]
    assert (clients.agent("x"), clients.agents()) == (None, [])


def test_broadcast_to_others() -> None:
    """Who is left out of a broadcast doesn't hear it."""
    clients = make()
    one, other = MemoryConnection(), MemoryConnection()
    clients.add(one)
    clients.add(other)
    clients.broadcast(GcodeResponse("// hi"), except_for=one)
    assert (len(one.messages), len(other.messages)) == (0, 1)
