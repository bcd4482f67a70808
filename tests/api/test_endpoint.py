"""Endpoints are declared once, completely or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define

from tests.tools import caller, result_of
from txraker.api.caller import Caller, Role, Transport
from txraker.api.endpoint import (
    DELETE,
    GET,
    NOT_HTTP,
    POST,
    Verb,
    declared_by,
    endpoint,
    endpoints_of,
)


@define(eq=False)
class Greeter:
    """Declares endpoints of every kind."""

    greeting: str

    @endpoint("greet.read", GET, "/greet/read")
    async def read(self, caller: Caller, *, name: str = "you") -> str:
        """Greet somebody.

        With some more words.
        """
        return f"{self.greeting} {name}"

    @endpoint("greet.write", POST, "/greet/write")
    async def write(self, caller: Caller) -> str:
        """Change something."""
        return "ok"

    @endpoint("greet.both", GET | POST | DELETE, "/greet/both", role=Role.NOBODY)
    async def both(self, caller: Caller) -> dict[str, int]:
        """Do either."""
        return {}

    @endpoint("greet.asked", GET | POST, "/greet/asked", reads_only=True)
    async def asked(self, caller: Caller) -> str:
        """Read by either verb."""
        return "ok"

    @endpoint("greet.heard")
    async def heard(self, caller: Caller) -> str:
        """Be there on persistent connections."""
        return "ok"

    async def not_one(self, caller: Caller) -> str:
        """Be no endpoint."""
        return "ok"


def declared() -> dict[str, Any]:
    """Return the greeter's endpoints by name."""
    return {one.name: one for one in declared_by(Greeter)}


def test_order() -> None:
    """A class's endpoints come in the order of their declaration, and nothing else does."""
    assert list(declared()) == ["greet.read", "greet.write", "greet.both", "greet.asked", "greet.heard"]


def test_what_a_declaration_says() -> None:
    """Name, verb, path, parameters, result and documentation come from the declaration."""
    read = declared()["greet.read"]
    assert (read.name, read.verbs, read.path) == ("greet.read", Verb.GET, "/greet/read")
    assert [parameter.name for parameter in read.parameters] == ["name"]
    assert read.result is str
    assert read.documentation == "Greet somebody.\n\nWith some more words."
    assert declared()["greet.both"].result == dict[str, int]


def test_defaults() -> None:
    """What has a path is on every transport and for the trusted; without a path it is for connections."""
    endpoints = declared()
    assert endpoints["greet.read"].transports == Transport.ALL
    assert endpoints["greet.heard"].transports == Transport.PERSISTENT
    assert (endpoints["greet.heard"].verbs, endpoints["greet.heard"].path) == (NOT_HTTP, "")
    assert endpoints["greet.read"].role is Role.VIEWER
    assert endpoints["greet.both"].role is Role.NOBODY


def test_reads_only() -> None:
    """GET alone reads; everything else may change something, unless it is declared not to."""
    reading = {name for name, one in declared().items() if one.reads_only}
    assert reading == {"greet.read", "greet.asked"}


def test_binding() -> None:
    """Endpoints of an object call that object."""
    hello, bye = (next(iter(endpoints_of(Greeter(greeting)))) for greeting in ("hello", "bye"))
    assert result_of(hello.handler(caller(), name="Ada")) == "hello Ada"
    assert result_of(bye.handler(caller(), name="Ada")) == "bye Ada"


def test_methods_stay_methods() -> None:
    """A declared method can be called as any other."""
    assert result_of(Greeter("hi").read(caller())) == "hi you"


def test_undocumented() -> None:
    """An endpoint without a docstring can't be declared."""
    with pytest.raises(TypeError, match=r"x\.y: an endpoint is documented"):

        @endpoint("x.y", GET, "/x/y")
        async def undocumented(self: object, caller: Caller) -> str:
            return ""


@pytest.mark.parametrize(("verbs", "path"), [(GET, ""), (NOT_HTTP, "/x/y"), (GET | POST, "")])
def test_verb_and_path_belong_together(verbs: Verb, path: str) -> None:
    """A path without a verb, and a verb without a path, can't be declared."""
    with pytest.raises(TypeError, match="an HTTP verb needs a path, and a path needs a verb"):
        endpoint("x.y", verbs, path)


def test_undeclarable_parameter() -> None:
    """A parameter of a type that no argument can have is found when the declaration is read."""

    class Odd:
        @endpoint("x.y", GET, "/x/y")
        async def odd(self, caller: Caller, *, odd: bytes) -> str:
            """Be odd."""
            return ""

    (declaration,) = declared_by(Odd)
    with pytest.raises(TypeError, match="can't be the type"):
        _ = declaration.parameters
