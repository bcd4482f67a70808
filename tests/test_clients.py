"""Who is connected."""

from __future__ import annotations

import pytest
from attrs import define
from zope.interface.verify import verifyObject

from txraker.clients import ClientIdentity, Clients
from txraker.errors import BadRequest
from txraker.events import GcodeResponse
from txraker.interfaces import IConnection
from txraker.testing.connection import MemoryConnection


@define(eq=False)
class Leaver(MemoryConnection):
    """A connection that is gone when it is sent something."""

    clients: Clients | None = None

    def send(self, text: bytes) -> None:
        """Leave."""
        assert self.clients is not None
        self.clients.remove(self)


def test_ids() -> None:
    """Ids are never given twice, and any JavaScript client can hold them."""
    for _ in range(20):
        clients = Clients(1)
        ids = [clients.new_id() for _ in range(500)]
        assert all(0 <= one < 2**53 for one in ids)
        assert len(set(ids)) == len(ids)


def test_limit() -> None:
    """There is room until the limit, and again when somebody has left."""
    clients = Clients(2)
    first, second = MemoryConnection(), MemoryConnection()
    for number, connection in enumerate((first, second)):
        assert (len(clients), clients.is_full) == (number, False)
        clients.add(connection)
    assert (len(clients), clients.is_full) == (2, True)
    clients.remove(first)
    assert (list(clients), clients.is_full) == ([second], False)
    clients.remove(first)
    assert len(clients) == 1


def test_no_room_at_all() -> None:
    """A limit of none lets nobody in."""
    assert Clients(0).is_full


def test_broadcast() -> None:
    """Everybody hears, those too whose neighbours leave meanwhile."""
    clients = Clients(10)
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
    clients = Clients(10)
    connection = MemoryConnection()
    mainsail = ClientIdentity("mainsail", "2", "web", "")
    clients.identify(connection, mainsail)
    assert connection.identity == mainsail
    with pytest.raises(BadRequest, match="already identified"):
        clients.identify(connection, mainsail)


def test_an_agent_that_was_refused_by_identity() -> None:
    """A web client that tries to become an agent later takes no name."""
    clients = Clients(10)
    web, agent = MemoryConnection(), MemoryConnection()
    clients.identify(web, ClientIdentity("x", "1", "web", ""))
    with pytest.raises(BadRequest):
        clients.identify(web, ClientIdentity("x", "1", "agent", ""))
    clients.identify(agent, ClientIdentity("x", "1", "agent", ""))
    clients.remove(web)
    with pytest.raises(BadRequest):
        clients.identify(MemoryConnection(), ClientIdentity("x", "1", "agent", ""))
