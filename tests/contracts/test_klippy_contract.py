"""What IKlippy and IStatusFeed promise, kept by the one in memory and by the one on a socket alike."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from tests.tools import Faults, Logged, start
from txraker.errors import KlippyDisconnected, KlippyError, KlippyNotConnected
from txraker.events import EndpointsLearned, Events, GcodeResponse, KlippyReady, KlippyShutdown
from txraker.events import KlippyDisconnected as DisconnectedEvent
from txraker.interfaces import IKlippy, IStatusFeed
from txraker.klippy.client import KlippyClient
from txraker.klippy.socket import PatientUnixEndpoint
from txraker.klippy.subscriptions import Wish
from txraker.server_warnings import ServerWarnings
from txraker.simulator.options import SimulatorOptions
from txraker.simulator.service import SimulatorService
from txraker.testing.connection import MemoryConnection
from txraker.testing.klippy import MemoryKlippy

_T = TypeVar("_T")

EVENTS = (EndpointsLearned, KlippyReady, KlippyShutdown, DisconnectedEvent, GcodeResponse)
PATIENCE = 10.0
"""Seconds after which what is waited for is taken to never come."""


class Setting(Protocol):
    """A Klippy, and the means to make things happen to it."""

    klippy: Any
    events: Events
    faults: Faults
    heard: list[object]

    async def begin(self) -> None:
        """Let Klippy come, and begin to start."""

    async def finish_startup(self) -> None:
        """Let Klippy become ready."""

    async def go(self) -> None:
        """Let Klippy go away."""

    async def stop_the_printer(self) -> None:
        """Let Klippy report shutdown."""

    async def say(self, text: str) -> None:
        """Let Klippy write to its console."""

    async def set_fan(self, speed: float) -> None:
        """Let a printer object change."""

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""

    async def close(self) -> None:
        """Let go of everything."""


def note_events(events: Events, heard: list[object]) -> None:
    """Keep all events."""
    for event in EVENTS:
        events.on(event, heard.append)


@define(eq=False)
class InMemory:
    """The fake, on a clock."""

    clock: Clock = field(factory=Clock)
    faults: Faults = field(factory=Faults)
    heard: list[object] = field(factory=list)
    fan: dict[str, Any] = field(factory=lambda: {"speed": 0.0, "rpm": None})
    events: Events = field(init=False)
    klippy: MemoryKlippy = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.events = Events(self.faults)
        note_events(self.events, self.heard)
        self.klippy = MemoryKlippy(self.clock, self.events, self.faults, loaded=("webhooks", "fan"))
        self.klippy.answers |= {
            "info": lambda _: {"state": self.klippy.state},
            "objects/list": lambda _: {"objects": ["webhooks", "fan"]},
            "objects/query": self.status,
            "objects/subscribe": self.status,
            "gcode/script": self.run,
        }

    def status(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a query or a subscription."""
        known = {"fan": self.fan}
        status = {
            name: dict(known.get(name, {}))
            if fields is None
            else {key: known[name].get(key) for key in fields}
            if name in known
            else {}
            for name, fields in params["objects"].items()
        }
        return {"eventtime": self.clock.seconds(), "status": status}

    def run(self, params: Mapping[str, Any]) -> dict[str, Any] | Deferred[dict[str, Any]]:
        """Run gcode."""
        if params["script"].startswith("G4"):
            return Deferred()
        if params["script"].startswith("G1"):
            raise KlippyError("Must home axis first")
        return {}

    async def begin(self) -> None:
        self.klippy.connect()

    async def finish_startup(self) -> None:
        self.klippy.become("ready")

    async def go(self) -> None:
        self.klippy.disconnect()

    async def stop_the_printer(self) -> None:
        self.klippy.become("shutdown")

    async def say(self, text: str) -> None:
        self.klippy.say(f"echo: {text}")

    async def set_fan(self, speed: float) -> None:
        self.fan["speed"] = speed
        self.klippy.status.changed({"eventtime": self.clock.seconds(), "status": {"fan": {"speed": speed}}})

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(100):
            if holds():
                return
            self.clock.advance(0.1)
        raise AssertionError("it never holds")

    async def close(self) -> None:
        if self.klippy.connected:
            self.klippy.disconnect()


@define(eq=False)
class OnASocket:
    """The real client and a virtual printer, on a unix socket."""

    folder: Path
    faults: Faults = field(factory=Faults)
    heard: list[object] = field(factory=list)
    events: Events = field(init=False)
    klippy: KlippyClient = field(init=False)
    printer: SimulatorService = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.events = Events(self.faults)
        note_events(self.events, self.heard)
        log, socket = Logged().logger(), self.folder / "klippy.sock"
        endpoint = PatientUnixEndpoint(reactor, lambda: socket, log, ServerWarnings(log))
        self.klippy = KlippyClient(reactor, endpoint, self.events, self.faults, log)
        self.printer = SimulatorService(
            reactor,
            socket,
            self.folder,
            options=SimulatorOptions(speed=50, startup_seconds=0.3, restart_seconds=0.1),
        )

    async def begin(self) -> None:
        self.printer.startService()
        if not self.klippy.service.running:
            self.klippy.service.startService()
        await self.until(lambda: self.klippy.connected)

    async def finish_startup(self) -> None:
        await self.until(lambda: self.klippy.state == "ready")

    async def go(self) -> None:
        await self.printer.stopService()
        await self.until(lambda: not self.klippy.connected)

    async def stop_the_printer(self) -> None:
        self.printer.fail("for a test")
        await self.until(lambda: self.klippy.state == "shutdown")

    async def say(self, text: str) -> None:
        await self.klippy.request("gcode/script", {"script": f"M118 {text}"})

    async def set_fan(self, speed: float) -> None:
        await self.klippy.request("gcode/script", {"script": f"M106 S{round(speed * 255)}"})

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(round(PATIENCE / 0.01)):
            if holds():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("it never holds")

    async def close(self) -> None:
        if self.klippy.service.running:
            await self.klippy.service.stopService()
        if self.printer.running:
            await self.printer.stopService()


@pytest.fixture(params=["in memory", "on a socket"])
def making(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Setting]:
    """Say how to make each kind of setting."""
    return InMemory if request.param == "in memory" else lambda: OnASocket(tmp_path)


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def setting(making: Callable[[], Setting]) -> AsyncIterator[Setting]:
    """Make a setting whose Klippy isn't there yet."""
    setting = making()
    yield setting
    await setting.close()
    assert setting.faults.seen == []


async def ready(setting: Setting) -> None:
    """Let Klippy come and be ready."""
    await setting.begin()
    await setting.finish_startup()


async def outcome(setting: Setting, awaitable: Awaitable[_T]) -> _T:
    """Wait for something that is no matter of the reactor alone."""
    started = start(awaitable)
    await setting.until(lambda: started.done)
    return started.result()


def names(setting: Setting) -> list[str]:
    """Return the names of the events so far, console output excepted."""
    return [type(event).__name__ for event in setting.heard if not isinstance(event, GcodeResponse)]


def test_provides(making: Callable[[], Setting]) -> None:
    """Both provide what they say."""
    made = making()
    assert verifyObject(IKlippy, made.klippy)
    assert verifyObject(IStatusFeed, made.klippy.status)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_before_klippy_comes(setting: Setting) -> None:
    """Without a connection nothing is known, and a request fails at once."""
    assert (setting.klippy.state, setting.klippy.connected) == ("disconnected", False)
    assert setting.klippy.endpoints is None
    assert tuple(setting.klippy.objects) == ()
    with pytest.raises(KlippyNotConnected):
        setting.klippy.request("info")
    assert setting.heard == []


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_startup(setting: Setting) -> None:
    """A Klippy that came is in startup, and has no objects yet."""
    await setting.begin()
    assert (setting.klippy.state, setting.klippy.connected) == ("startup", True)
    assert tuple(setting.klippy.objects) == ()


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_ready(setting: Setting) -> None:
    """When Klippy is ready its endpoints and objects are known, and who hears of it finds it so."""
    found: list[tuple[object, ...]] = []
    klippy = setting.klippy

    def look(_: KlippyReady) -> None:
        found.append((klippy.state, "fan" in klippy.objects, "info" in klippy.endpoints))

    setting.events.on(KlippyReady, look)
    await ready(setting)
    assert found == [("ready", True, True)]
    assert names(setting)[0] == "EndpointsLearned"
    assert names(setting)[-1] == "KlippyReady"
    assert names(setting).count("KlippyReady") == 1
    learned = [event for event in setting.heard if isinstance(event, EndpointsLearned)][-1]
    assert learned.methods == klippy.endpoints


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_request(setting: Setting) -> None:
    """A request is answered with Klippy's result, a dict."""
    await ready(setting)
    assert (await outcome(setting, setting.klippy.request("info")))["state"] == "ready"
    assert await outcome(setting, setting.klippy.request("gcode/script", {"script": "M117"})) == {}


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_error(setting: Setting) -> None:
    """Klippy's error is raised with Klippy's words."""
    await ready(setting)
    with pytest.raises(KlippyError, match="Must home axis first"):
        await outcome(setting, setting.klippy.request("gcode/script", {"script": "G1 X5 Y5"}))


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_loss(setting: Setting) -> None:
    """When Klippy goes who waits is told, it is announced once, and nothing is known any more."""
    await ready(setting)
    waiting = [start(setting.klippy.request("gcode/script", {"script": "G4 P900000"})) for _ in range(3)]
    await setting.go()
    for one in waiting:
        with pytest.raises(KlippyDisconnected):
            one.result()
    assert (setting.klippy.state, setting.klippy.connected) == ("disconnected", False)
    assert setting.klippy.endpoints is None
    assert tuple(setting.klippy.objects) == ()
    assert names(setting)[-1] == "KlippyDisconnected"
    assert names(setting).count("KlippyDisconnected") == 1
    with pytest.raises(KlippyNotConnected):
        setting.klippy.request("info")


def test_an_answer_after_the_loss() -> None:
    """An answer that the fake's test gives when Klippy is gone already is ignored, as one that never came."""
    setting = InMemory()
    late: Deferred[dict[str, Any]] = Deferred()
    setting.klippy.answers["late"] = lambda _: late
    setting.klippy.connect()
    waiting = start(setting.klippy.request("late"))
    setting.klippy.disconnect()
    assert isinstance(waiting.error, KlippyDisconnected)
    with capturedLogs() as logged:
        late.callback({})
        gc.collect()
    assert logged == []


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_loss_as_it_is_announced(setting: Setting) -> None:
    """Who hears that Klippy is gone finds it so."""
    found: list[tuple[object, ...]] = []
    klippy = setting.klippy
    setting.events.on(
        DisconnectedEvent, lambda _: found.append((klippy.state, klippy.connected, klippy.endpoints))
    )
    await ready(setting)
    await setting.go()
    assert found == [("disconnected", False, None)]


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_again(setting: Setting) -> None:
    """A Klippy that comes again is as new."""
    for number in range(1, 3):
        await ready(setting)
        assert names(setting).count("KlippyReady") == number
        assert (await outcome(setting, setting.klippy.request("info")))["state"] == "ready"
        await setting.go()


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_shutdown(setting: Setting) -> None:
    """A printer that is stopped is announced, and Klippy is still there."""
    await ready(setting)
    await setting.stop_the_printer()
    assert (setting.klippy.state, setting.klippy.connected) == ("shutdown", True)
    assert names(setting)[-1] == "KlippyShutdown"
    assert "fan" in setting.klippy.objects


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_console(setting: Setting) -> None:
    """What Klippy writes to its console is heard."""
    await ready(setting)
    await setting.say("hello")
    await setting.until(lambda: GcodeResponse("echo: hello") in setting.heard)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_subscription(setting: Setting) -> None:
    """A subscriber gets all it wished for, then what changes of it, until it wishes for nothing."""
    await ready(setting)
    client = MemoryConnection()
    feed = setting.klippy.status
    answer = await outcome(setting, feed.subscribe(client, Wish.of({"fan": ["speed", "no"], "nosuch": None})))
    assert answer.status == {"fan": {"speed": 0.0, "no": None}, "nosuch": {}}
    assert isinstance(answer.eventtime, float)
    await setting.set_fan(1.0)
    await setting.until(lambda: client.messages)
    assert client.messages[0]["method"] == "notify_status_update"
    assert client.messages[0]["params"][0] == {"fan": {"speed": 1.0}}
    assert (await outcome(setting, feed.subscribe(client, Wish()))).status == {}
    heard = len(client.messages)
    await setting.set_fan(0.0)
    other = MemoryConnection()
    answer = await outcome(setting, feed.subscribe(other, Wish.of({"fan": ["speed"]})))
    assert set(answer.status) == {"fan"}
    assert len(client.messages) == heard


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_unsubscribed(setting: Setting) -> None:
    """Who unsubscribed hears no more; somebody unknown may unsubscribe, too."""
    await ready(setting)
    gone, stays = MemoryConnection(), MemoryConnection()
    feed = setting.klippy.status
    for client in (gone, stays):
        await outcome(setting, feed.subscribe(client, Wish.of({"fan": None})))
    feed.unsubscribe(gone)
    feed.unsubscribe(MemoryConnection())
    await setting.set_fan(1.0)
    await setting.until(lambda: stays.messages)
    assert gone.messages == []


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_subscribing_without_klippy(setting: Setting) -> None:
    """Without Klippy there is nothing to subscribe to."""
    with pytest.raises(KlippyNotConnected):
        await outcome(setting, setting.klippy.status.subscribe(MemoryConnection(), Wish.of({"fan": None})))


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_loss_ends_subscriptions(setting: Setting) -> None:
    """A subscription ends with the connection, and one that waits for its answer fails."""
    await ready(setting)
    before, during = MemoryConnection(), MemoryConnection()
    feed = setting.klippy.status
    await outcome(setting, feed.subscribe(before, Wish.of({"fan": None})))
    waiting = start(feed.subscribe(during, Wish.of({"fan": None, "toolhead": None})))
    await setting.go()
    assert isinstance(waiting.error, KlippyDisconnected | KlippyNotConnected)
    await ready(setting)
    heard = len(before.messages)
    await setting.set_fan(1.0)
    third = MemoryConnection()
    await outcome(setting, feed.subscribe(third, Wish.of({"fan": None})))
    assert len(before.messages) == heard
