"""What is noted of a call: who asked for what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError

from tests.tools import Faults, caller, start
from txraker.api.audit import LONGEST, AuditEntry, audit_entry
from txraker.api.caller import NOBODY, Caller, Role, Transport, Who
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import GET, POST, endpoint, endpoints_of
from txraker.clients import ClientIdentity
from txraker.errors import BadRequest
from txraker.testing.connection import MemoryConnection


class Things:
    """A component of which some calls are noted."""

    @endpoint("thing.get", GET, "/thing")
    async def get(self, caller: Caller) -> int:
        """Read a thing."""
        return 1

    @endpoint("thing.set", POST, "/thing", audit=("name",))
    async def set(self, caller: Caller, *, name: str, secret: str = "") -> str:
        """Write a thing."""
        if name == "bad":
            raise BadRequest("a bad name")
        if name == "defect":
            raise ZeroDivisionError
        return "ok"

    @endpoint("thing.turn", POST, "/thing/turn")
    async def turn(self, caller: Caller, *, secret: str = "") -> str:
        """Turn a thing."""
        return "ok"

    @endpoint("thing.hear", audit=None)
    async def hear(self, caller: Caller) -> str:
        """Change what nobody wants to read about."""
        return "ok"


@define(eq=False)
class Bench:
    """A dispatcher, and what is noted."""

    noted: list[AuditEntry] = field(factory=list)

    def call(self, method: str, who: Caller, **arguments: object) -> None:
        """Call an endpoint, whatever comes of it."""
        dispatcher = Dispatcher(Faults(), lambda _: None, CancelledError, audit=self.noted.append)
        dispatcher.add(endpoints_of(Things()))
        assert start(dispatcher.call(dispatcher.find_method(method, who.transport), who, arguments)).done

    def said(self) -> list[tuple[str, str, Mapping[str, Any], int | None]]:
        """Return the essence of what was noted."""
        return [(entry.outcome, entry.call, entry.arguments, entry.status) for entry in self.noted]


@pytest.fixture
def bench() -> Bench:
    """Make a dispatcher."""
    return Bench()


def test_changes(bench: Bench) -> None:
    """What changes something is noted when it begins, with the arguments that are no secrets."""
    bench.call("thing.set", caller(), name="x", secret="y")
    bench.call("thing.turn", caller(), secret="y")
    assert bench.said() == [("asked", "thing.set", {"name": "x"}, None), ("asked", "thing.turn", {}, None)]


def test_what_is_not_noted(bench: Bench) -> None:
    """Who only reads isn't noted, nor is what is declared so, be it refused or not."""
    for who in (caller(), caller(who=NOBODY)):
        bench.call("thing.get", who)
        bench.call("thing.hear", who)
    assert bench.noted == []


@pytest.mark.parametrize(("name", "status"), [("bad", 400), ("defect", 500), (None, 400)])
def test_failures(bench: Bench, name: str | None, status: int) -> None:
    """What fails is noted once more, with its status."""
    arguments = {"name": name} if name else {}
    bench.call("thing.set", caller(), **arguments)
    assert bench.said() == [
        ("asked", "thing.set", arguments, None),
        ("failed", "thing.set", arguments, status),
    ]


@pytest.mark.parametrize(("role", "status"), [(Role.NOBODY, 401), (Role.VIEWER, 403)])
def test_refusals(bench: Bench, role: Role, status: int) -> None:
    """Who may not is noted as refused, and hasn't asked."""
    bench.call("thing.set", caller(who=Who("eve", role)), name="x")
    assert bench.said() == [("refused", "thing.set", {"name": "x"}, status)]


def test_who() -> None:
    """An entry says who asked, from all addresses that were claimed, over what, with which application."""
    connection = MemoryConnection(identity=ClientIdentity("Mainsail", "2.14", "web", ""))
    who = Caller(
        Transport.WEBSOCKET, "192.0.2.1", Who("ann", Role.OPERATOR), connection, others=("10.0.0.1",)
    )
    assert audit_entry("asked", "thing.set", who) == AuditEntry(
        "asked",
        "thing.set",
        "ann",
        "moonraker",
        "operator",
        "192.0.2.1, 10.0.0.1",
        "websocket",
        client="Mainsail 2.14",
    )


def test_long_things() -> None:
    """Of anything long the middle is left out, and what is no simple value is shown as text."""
    script = "; " + "-" * 400 + "\nM117 hidden"
    long_name = MemoryConnection(identity=ClientIdentity("x" * 256, "y" * 1000, "web", ""))
    entry = audit_entry(
        "asked", "x" * 5000, caller(connection=long_name), {"script": script, "list": [1, "a"], "number": 5}
    )
    shown = entry.arguments["script"]
    assert isinstance(shown, str)
    assert shown.endswith("M117 hidden")
    assert " 114 characters " in shown
    assert (entry.arguments["list"], entry.arguments["number"]) == ("[1, 'a']", 5)
    assert entry.client is not None
    assert max(len(shown), len(entry.client), len(entry.call)) < LONGEST + 50
