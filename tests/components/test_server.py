"""``server.info``, ``server.config`` and ``server.restart``."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from tests.components.bench import ComponentBench
from tests.tools import Logged
from txraker import __version__
from txraker.clients import Clients
from txraker.components.server import ServerEndpoints
from txraker.config.load import load
from txraker.errors import BadRequest
from txraker.server_warnings import ServerWarnings
from txraker.testing.connection import MemoryConnection

SEED_FIELDS = {
    "klippy_connected",
    "klippy_state",
    "components",
    "failed_components",
    "registered_directories",
    "warnings",
    "websocket_count",
    "moonraker_version",
    "api_version",
    "api_version_string",
}
"""The fields of the contract."""


@define(eq=False)
class ServerBench(ComponentBench):
    """The server's endpoints on their bench."""

    data: Path = Path()
    clients: Clients = field(init=False)
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))
    restarts: list[Deferred[None]] = field(factory=list)
    components: list[str] = field(factory=lambda: ["klippy_apis", "data_store"])
    failed: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.clients = Clients(10, self.events)
        configuration = load(self.data, None)
        self.serve(
            ServerEndpoints(
                self.klippy,
                self.clients,
                configuration,
                self.warnings,
                self.restart,
                self.components,
                self.failed,
            )
        )

    def restart(self) -> Deferred[None]:
        """Note that a restart was asked for."""
        restarted: Deferred[None] = Deferred()
        self.restarts.append(restarted)
        return restarted


@pytest.fixture
def bench(tmp_path: Path) -> ServerBench:
    """Make a bench with a small configuration."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "moonraker.conf").write_text("[server]\nport: 7200\n")
    return ServerBench(data=tmp_path)


def test_info(bench: ServerBench) -> None:
    """Every field of the contract is there with its type, and ours beside them."""
    info = bench.call("server.info")
    assert set(info) == SEED_FIELDS | {"missing_klippy_requirements", "server_name", "server_version"}
    assert info["klippy_connected"] is False
    assert info["klippy_state"] == "disconnected"
    assert info["components"] == ["klippy_apis", "data_store"]
    assert info["failed_components"] == []
    assert info["registered_directories"] == []
    assert info["warnings"] == []
    assert info["websocket_count"] == 0
    assert info["missing_klippy_requirements"] == []
    assert (info["api_version"], info["api_version_string"]) == ([1, 5, 0], "1.5.0")
    assert (info["server_name"], info["server_version"]) == ("txraker", __version__)


def test_version_that_clients_accept(bench: ServerBench) -> None:
    """The version reads as one of Moonraker's that is new enough for every client."""
    version = re.match(r"v?(\d+)\.(\d+)\.(\d+)", bench.call("server.info")["moonraker_version"])
    assert version is not None
    assert tuple(map(int, version.groups())) >= (0, 9, 0)


def test_info_follows_klippy(bench: ServerBench) -> None:
    """The state of Klippy is that of now."""
    bench.klippy.connect()
    assert bench.call("server.info")["klippy_state"] == "startup"
    for state in ("ready", "shutdown", "error", "startup"):
        bench.klippy.become(state)
        info = bench.call("server.info")
        assert (info["klippy_connected"], info["klippy_state"]) == (True, state)
    bench.klippy.disconnect()
    info = bench.call("server.info")
    assert (info["klippy_connected"], info["klippy_state"]) == (False, "disconnected")


@pytest.mark.parametrize(
    ("objects", "missing"),
    [
        ((), []),
        (("webhooks", "virtual_sdcard", "display_status", "pause_resume"), []),
        (("webhooks", "virtual_sdcard"), ["display_status", "pause_resume"]),
        (("webhooks",), ["virtual_sdcard", "display_status", "pause_resume"]),
    ],
)
def test_missing_requirements(bench: ServerBench, objects: tuple[str, ...], missing: list[str]) -> None:
    """What front-ends need and Klippy lacks is named as soon as Klippy's objects are known."""
    bench.klippy.loaded = objects
    bench.up()
    assert bench.call("server.info")["missing_klippy_requirements"] == missing


def test_info_counts_and_warns(bench: ServerBench) -> None:
    """Connections are counted; warnings and failed components come and go while running."""
    connection = MemoryConnection()
    bench.clients.add(connection)
    bench.warnings.put("a", "first")
    bench.warnings.put("b", "second")
    bench.warnings.put("a", "changed")
    bench.failed.append("mqtt")
    info = bench.call("server.info")
    assert (info["websocket_count"], info["warnings"]) == (1, ["changed", "second"])
    assert info["failed_components"] == ["mqtt"]
    bench.warnings.drop("a")
    bench.warnings.drop("nothing")
    bench.clients.remove(connection)
    info = bench.call("server.info")
    assert (info["websocket_count"], info["warnings"]) == (0, ["second"])


def test_config(bench: ServerBench) -> None:
    """The configuration is there as used, as written and by its files."""
    config = bench.call("server.config")
    assert set(config) == {"config", "orig", "files"}
    assert config["orig"] == {"DEFAULT": {}, "server": {"port": "7200"}}
    assert config["files"] == [{"filename": "moonraker.conf", "sections": ["server"]}]


def test_restart(bench: ServerBench) -> None:
    """A restart is answered "ok" when it can be done."""
    outcome = bench.begin("server.restart")
    assert not outcome.done
    bench.restarts[0].callback(None)
    assert outcome.result() == "ok"


def test_refused_restart(bench: ServerBench) -> None:
    """A restart that can't be done is refused with the reason."""
    outcome = bench.begin("server.restart")
    bench.restarts[0].errback(BadRequest("moonraker.conf, line 3: no"))
    with pytest.raises(BadRequest, match="line 3"):
        outcome.result()


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("server.info", "/server/info", "GET"),
        ("server.config", "/server/config", "GET"),
        ("server.restart", "/server/restart", "POST"),
    ],
)
def test_paths(bench: ServerBench, method: str, path: str, verb: str) -> None:
    """Each is at its documented path by its documented verb only."""
    assert bench.dispatcher.find_path(path, verb).name == method
    assert ("POST" in bench.dispatcher.verbs(path)) is (verb == "POST")


def test_a_warning_is_logged_once() -> None:
    """A warning is logged when it is new or says something new."""
    log = Logged()
    warnings = ServerWarnings(log.logger())
    for text in ("one", "one", "two", "two"):
        warnings.put("key", text)
    assert log.lines == ["one", "two"]
    assert msgspec.json.encode(warnings.texts()) == b'["two"]'
