"""The history of every temperature sensor, one sample a second. Pure: it is told when a second has passed.

Contract: "Request Cached Temperature Data" of the server administration document.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from attrs import define, field

SENSOR_FIELDS = ("temperature", "target", "power", "speed")
"""The fields of a sensor's printer object that have a history."""

MOST_UNUSED = 512
"""Bytes of samples that are too old which a series may still have."""

_MISSING = math.nan


class SensorHistory(msgspec.Struct, frozen=True):
    """A sensor's samples, oldest first; what a sensor doesn't report is left out.

    Temperatures and targets are in degrees Celsius, powers and speeds between 0 and 1. A temperature is
    null where a monitor had no measurement.
    """

    temperatures: list[float | None] | msgspec.UnsetType = msgspec.UNSET
    targets: list[float] | msgspec.UnsetType = msgspec.UNSET
    powers: list[float] | msgspec.UnsetType = msgspec.UNSET
    speeds: list[float] | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, series: Mapping[str, msgspec.Raw]) -> SensorHistory:
        """Return the history whose lists, by their fields, are JSON already."""
        return cls(**{f"{name}s": text for name, text in series.items()})  # type: ignore[arg-type]  # as said


@define(repr=False)
class _Series:
    """The newest samples of one field, at most ``size`` of them, as JSON: a comma before each.

    They are asked for much more often than one is added, and need no more room than as numbers.
    """

    size: int
    _text: bytearray = field(factory=bytearray, init=False)
    _begin: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    def append(self, sample: float) -> None:
        self._text += b"," + msgspec.json.encode(sample)
        if self._count < self.size:
            self._count += 1
            return
        self._begin = self._text.index(b",", self._begin + 1)
        if self._begin >= MOST_UNUSED:
            del self._text[: self._begin]
            self._begin = 0

    def newest(self) -> msgspec.Raw:
        """Return them as a JSON array; a number that JSON hasn't is null."""
        return msgspec.Raw(b"[" + self._text[self._begin + 1 :] + b"]")


class _Sensor(msgspec.Struct):
    is_monitor: bool = False
    values: dict[str, float | None] = msgspec.field(default_factory=dict)
    series: dict[str, _Series] = msgspec.field(default_factory=dict)

    def merge(self, fields: Mapping[str, Any]) -> None:
        for name in SENSOR_FIELDS:
            if name in fields:
                value = fields[name]
                self.values[name] = float(value) if isinstance(value, int | float) else None

    def sample(self, size: int) -> None:
        for name in SENSOR_FIELDS:
            value = self.values.get(name)
            if value is not None:
                sample = round(value, 2)
            elif name == "temperature" and (self.is_monitor or name in self.series):
                sample = _MISSING
            else:
                self.series.pop(name, None)
                continue
            self.series.setdefault(name, _Series(size)).append(sample)

    def history(self) -> SensorHistory:
        return SensorHistory.of({name: series.newest() for name, series in self.series.items()})


@define(repr=False)
class TemperatureStore:
    """The histories; ``size`` is how many samples each keeps."""

    _size: int
    _sensors: dict[str, _Sensor] = field(factory=dict, init=False)

    def track(self, sensors: Iterable[str], monitors: Iterable[str]) -> None:
        """Keep just these sensors from now on; one that stays keeps its history."""
        monitored = set(monitors)
        known = self._sensors
        self._sensors = {}
        for name in (*sensors, *monitored):
            sensor = known.get(name) or _Sensor()
            sensor.is_monitor = name in monitored
            self._sensors.setdefault(name, sensor)

    def merge(self, status: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what Klippy says of printer objects; those that are no sensors are left aside."""
        for name, fields in status.items():
            sensor = self._sensors.get(name)
            if sensor is not None:
                sensor.merge(fields)

    def sample(self, *, new_only: bool = False) -> None:
        """A second has passed: add what every sensor says now to its history.

        With ``new_only`` it has not, and just the sensors without a history get their first sample.
        """
        for sensor in self._sensors.values():
            if not (new_only and sensor.series):
                sensor.sample(self._size)

    def histories(self, *, include_monitors: bool) -> dict[str, SensorHistory]:
        """Return the history of every sensor that has one."""
        return {
            name: sensor.history()
            for name, sensor in self._sensors.items()
            if sensor.series and (include_monitors or not sensor.is_monitor)
        }
