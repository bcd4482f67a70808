"""``server.temperature_store`` and ``server.gcode_store``: the stores fed by Klippy and asked by clients."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from txraker.api.caller import Caller
from txraker.api.endpoint import GET, endpoint
from txraker.components.data_store.console import ConsoleEntry, ConsoleStore
from txraker.components.data_store.temperatures import SENSOR_FIELDS, SensorHistory, TemperatureStore
from txraker.config.options import DataStoreOptions
from txraker.errors import ApiError
from txraker.events import (
    Events,
    GcodeCommand,
    GcodeResponse,
    KlippyDisconnected,
    KlippyReady,
    KlippyShutdown,
)
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IComponent, IStatusFeed, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery, Wish

SAMPLE_INTERVAL = 1.0
"""Seconds between two samples."""

_SENSOR_LISTS = {"heaters": ["available_sensors", "available_monitors"]}


class GcodeStore(msgspec.Struct, frozen=True):
    """Console entries, oldest first."""

    gcode_store: list[ConsoleEntry]


@implementer(IComponent, IStatusSubscriber)
@define(eq=False, repr=False)
class DataStore:
    """Keeps temperatures and the console; ``wall_clock`` gives Unix time and calls back each second."""

    _options: DataStoreOptions
    _wall_clock: IReactorTime
    _status: IStatusFeed
    _events: Events
    _report_fault: FaultReport
    _temperatures: TemperatureStore = field(init=False)
    _console: ConsoleStore = field(init=False)
    _sampling: LoopingCall = field(init=False)
    _sampled_at: float = field(default=-math.inf, init=False)
    _preparing: Deferred[None] | None = field(default=None, init=False)

    name = "data_store"

    def __attrs_post_init__(self) -> None:
        self._temperatures = TemperatureStore(self._options.temperature_store_size)
        self._console = ConsoleStore(self._options.gcode_store_size)
        self._sampling = LoopingCall(self._sample)
        self._sampling.clock = self._wall_clock

    def start(self) -> None:
        self._events.on(KlippyReady, self._klippy_is_up)
        self._events.on(KlippyShutdown, self._klippy_is_up)
        self._events.on(KlippyDisconnected, self._klippy_is_gone)
        self._events.on(GcodeCommand, self._remember_command)
        self._events.on(GcodeResponse, self._remember_response)

    def stop(self) -> None:
        self._pause()

    @endpoint("server.temperature_store", GET, "/server/temperature_store")
    async def temperature_store(
        self,
        caller: Caller,
        *,
        include_monitors: Annotated[
            bool, Meta(description="Whether temperature monitors, which may lack measurements, are included.")
        ] = False,
    ) -> dict[str, SensorHistory]:
        """Return the history of every sensor Klippy reports, one sample a second, oldest first."""
        return self._temperatures.histories(include_monitors=include_monitors)

    @endpoint("server.gcode_store", GET, "/server/gcode_store")
    async def gcode_store(
        self,
        caller: Caller,
        *,
        count: Annotated[int, Meta(description="How many of the newest entries; 0 for all.")] = 0,
    ) -> GcodeStore:
        """Return the newest console entries, oldest first."""
        return GcodeStore(self._console.newest(count))

    def status_changed(self, delivery: Delivery) -> None:
        self._temperatures.merge(delivery.update.status)

    def _remember_command(self, event: GcodeCommand) -> None:
        if event.script.strip():
            self._console.add(ConsoleEntry(event.script, self._wall_clock.seconds(), "command"))

    def _remember_response(self, event: GcodeResponse) -> None:
        self._console.add(ConsoleEntry(event.response, self._wall_clock.seconds(), "response"))

    def _klippy_is_up(self, _event: KlippyReady | KlippyShutdown) -> None:
        if self._preparing is None or self._preparing.called:
            self._preparing = run_aside(
                self._prepare(), "the temperature store", self._report_fault, ApiError
            )

    async def _prepare(self) -> None:
        """Find the sensors, follow them, and take the first sample at once."""
        lists = (await self._status.subscribe(self, Wish.of(_SENSOR_LISTS))).status["heaters"]
        sensors, monitors = (lists.get(name) or [] for name in _SENSOR_LISTS["heaters"])
        wish = {name: list(SENSOR_FIELDS) for name in (*sensors, *monitors)}
        self._temperatures.track(sensors, monitors)
        if wish:
            self._temperatures.merge((await self._status.subscribe(self, Wish.of(wish))).status)
            is_due = self._wall_clock.seconds() >= self._sampled_at + SAMPLE_INTERVAL
            if not is_due:
                self._temperatures.sample(new_only=True)
            await self._sampling.start(SAMPLE_INTERVAL, now=is_due)

    def _sample(self) -> None:
        self._sampled_at = self._wall_clock.seconds()
        self._temperatures.sample()

    def _klippy_is_gone(self, _event: KlippyDisconnected) -> None:
        self._pause()

    def _pause(self) -> None:
        if self._sampling.running:
            self._sampling.stop()
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
