"""A Klippy in memory, a clock, and the endpoints of components, called as clients call them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from tests.tools import Faults, Outcome, caller, start
from txraker.api.caller import Caller, Transport
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import endpoints_of
from txraker.components.klippy_apis import unknown_path
from txraker.events import Events
from txraker.testing.connection import MemoryConnection
from txraker.testing.klippy import MemoryKlippy


@define(eq=False)
class ComponentBench:
    """What components are made of."""

    clock: Clock = field(factory=Clock)
    faults: Faults = field(factory=Faults)
    status: dict[str, dict[str, Any]] = field(factory=dict)
    events: Events = field(init=False)
    klippy: MemoryKlippy = field(init=False)
    dispatcher: Dispatcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.events = Events(self.faults)
        self.klippy = MemoryKlippy(self.clock, self.events, self.faults)
        self.klippy.answers["objects/subscribe"] = self.subscribed
        self.dispatcher = Dispatcher(self.faults, partial(unknown_path, self.klippy), CancelledError)

    def serve(self, component: object) -> None:
        """Make a component's endpoints reachable."""
        self.dispatcher.add(endpoints_of(component))

    def subscribed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Be Klippy, subscribed to."""
        status = {}
        for name, fields in params["objects"].items():
            known = self.status.get(name, {})
            status[name] = dict(known) if fields is None else {key: known.get(key) for key in fields}
            if name not in self.status:
                status[name] = {}
        return {"eventtime": self.clock.seconds(), "status": status}

    def up(self) -> None:
        """Let Klippy come and be ready, and a turn of the reactor pass."""
        self.klippy.connect()
        self.klippy.become("ready")
        self.turn()

    def turn(self) -> None:
        """Let the reactor turn a few times, in no time."""
        for _ in range(4):
            self.clock.advance(0)

    def change(self, **objects: dict[str, Any]) -> None:
        """Let printer objects change, and Klippy report it."""
        for name, fields in objects.items():
            self.status.setdefault(name, {}).update(fields)
        self.klippy.status.changed({"status": objects, "eventtime": self.clock.seconds()})

    def begin(self, name: str, who: Caller | None = None, /, **arguments: object) -> Outcome[object]:
        """Begin to call a method."""
        who = who or caller()
        found = self.dispatcher.find_method(name, who.transport)
        return start(self.dispatcher.call(found, who, arguments))

    def call(self, name: str, who: Caller | None = None, /, **arguments: object) -> Any:
        """Call a method; its result as a client sees it."""
        return msgspec.json.decode(msgspec.json.encode(self.begin(name, who, **arguments).result()))


def connected(connection: MemoryConnection | None = None) -> Caller:
    """Make a caller on a connection."""
    return caller(Transport.WEBSOCKET, connection=connection or MemoryConnection())
