"""The description of the API: it says all that is served, and in the form it claims."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogPublisher

from tests.tools import Faults
from txraker.assembly import Lasting, assemble
from txraker.authorization.audit import AuditLog
from txraker.config.configuration import Configuration
from txraker.describe import declared_endpoints, documents
from txraker.events import NOTIFICATIONS
from txraker.kept import Kept
from txraker.system.logfile import LogFile
from txraker.testing.threads import at_once


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The documents, decoded where they are JSON."""
    return {
        name: msgspec.json.decode(text) if name.endswith(".json") else text
        for name, text in documents().items()
    }


async def no_restart() -> None:
    """Do nothing."""


def test_everything_served_is_described(tmp_path: Path) -> None:
    """A server answers just the endpoints that the description is made from."""
    reactor = MemoryReactorClock()
    file = LogFile(tmp_path / "x.log", str, print)
    assembly = assemble(
        reactor,  # type: ignore[arg-type]  # it provides what a Reactor is
        Configuration.defaults(tmp_path),
        Lasting(
            Logger(observer=LogPublisher()),
            file,
            Kept(reactor, tmp_path, lambda _key, _text: None, Faults()),  # type: ignore[arg-type]  # as above
            AuditLog(file, time.monotonic),
            at_once,
        ),
        no_restart,
        has_debug_features=True,
    )
    assert {endpoint.name for endpoint in assembly.endpoints()} == {
        endpoint.name for endpoint in declared_endpoints()
    }


def test_openrpc(described: dict[str, Any]) -> None:
    """Each method has its parameters, each with a schema and words, and references lead somewhere."""
    document = described["openrpc.json"]
    methods = {method["name"]: method for method in document["methods"]}
    assert set(methods) == {endpoint.name for endpoint in declared_endpoints()}
    for method in methods.values():
        assert method["summary"]
        for parameter in method["params"]:
            assert parameter["description"]
            assert "schema" in parameter
    schemas = document["components"]["schemas"]
    assert methods["server.info"]["result"]["schema"] == {"$ref": "#/components/schemas/ServerInfo"}
    assert "klippy_state" in schemas["ServerInfo"]["properties"]
    (count,) = methods["server.gcode_store"]["params"]
    assert (count["required"], count["schema"]) == (False, {"type": "integer", "default": 0})


def test_openapi(described: dict[str, Any]) -> None:
    """Each path has its verbs; a GET takes arguments in its query, a POST in its body."""
    paths = described["openapi.json"]["paths"]
    assert set(paths["/printer/gcode/script"]) == {"get", "post"}
    (script,) = paths["/printer/gcode/script"]["get"]["parameters"]
    assert (script["name"], script["in"], script["required"]) == ("script", "query", True)
    body = paths["/printer/gcode/script"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["script"]
    names = [operation["operationId"] for verbs in paths.values() for operation in verbs.values()]
    assert len(names) == len(set(names))


def test_overview(described: dict[str, Any]) -> None:
    """The page for people names every endpoint and every notification."""
    for endpoint in declared_endpoints():
        assert f"`{endpoint.name}`" in described["README.md"]
    for notification in NOTIFICATIONS:
        assert f"`{notification.wire_name}`" in described["README.md"]
