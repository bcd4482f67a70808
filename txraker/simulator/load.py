"""Pure: load mode - printer objects that change and console lines, at any rate a measurement asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from attrs import define, field

from txraker.simulator.feature import Provider, Status
from txraker.simulator.options import LoadOptions

_BURST_SECONDS: Final = 0.02


@define
class Load:
    """The extra objects and the extra console lines; ``write`` puts a line on the console.

    Fields change in turn, each object's first field before any object's second. A reader that misses an
    update is left with wrong values for some while, which tells.
    """

    options: LoadOptions
    write: Callable[[str], None]
    steps: int = 0
    _objects: dict[str, Status] = field(init=False)
    _sensors: dict[str, Status] = field(init=False)
    _slots: list[tuple[Status, str]] = field(init=False)
    _turn: int = 0
    _lines: int = 0
    _flood_began: float = 0.0
    _flood_lines: int = 0
    _next_burst: float | None = None

    def __attrs_post_init__(self) -> None:
        names = [f"value_{number}" for number in range(self.options.fields)]
        self._objects = {f"load {i}": dict.fromkeys(names, 0.0) for i in range(self.options.objects)}
        self._sensors = {
            f"temperature_sensor load {i}": {
                "temperature": 25.0,
                "measured_min_temp": 25.0,
                "measured_max_temp": 25.0,
            }
            for i in range(self.options.sensors)
        }
        self._slots = [(status, name) for name in names for status in self._objects.values()]

    @property
    def next_burst(self) -> float | None:
        """When :meth:`flood` is due, None while the console has no extra lines."""
        return self._next_burst

    def objects(self) -> Mapping[str, Provider]:
        """``load 0`` and so on, and the temperature sensors."""
        return {name: partial(dict, status) for name, status in (self._objects | self._sensors).items()}

    def announced(self, heaters: Provider) -> Provider:
        """Return the printer's object ``heaters`` with the load's sensors among those available."""

        def announce() -> Status:
            status = heaters()
            return {**status, "available_sensors": [*status["available_sensors"], *self._sensors]}

        return announce

    def start(self, now: float, options: LoadOptions) -> None:
        """Begin with the load that ``options`` describe; the objects remain those there were at first."""
        self.options = options
        self._flood_began, self._flood_lines = now, 0
        self._plan_burst(now)

    def step(self) -> None:
        """Change the fields whose turn it is to values that they don't have yet."""
        if not self.options.rate:
            return
        self.steps += 1
        slots, total = self._slots, len(self._slots)
        for turn in range(self._turn, self._turn + min(self.options.changed, total)):
            status, name = slots[turn % total]
            # 7919 is prime to 900,000, so a value comes back after that many steps only.
            status[name] = (100_000 + (self.steps * 7919 + turn * 31) % 900_000) / 100
        self._turn = (self._turn + self.options.changed) % total
        for number, sensor in enumerate(self._sensors.values()):
            _warm(sensor, (2000 + (self.steps * 7919 + number * 31) % 8000) / 100)

    def flood(self, now: float) -> int:
        """Write the console lines that are due and return how many they were."""
        due = int((now - self._flood_began) * self.options.console_rate + 1e-6) - self._flood_lines
        for number in range(self._lines, self._lines + due):
            self.write(f"// load {number:09d} ".ljust(self.options.console_bytes, "."))
        self._lines += due
        self._flood_lines += due
        self._plan_burst(now)
        return due

    def _plan_burst(self, now: float) -> None:
        if self.options.console_rate:
            following = self._flood_began + (self._flood_lines + 1) / self.options.console_rate
            self._next_burst = max(now + _BURST_SECONDS, following)
        else:
            self._next_burst = None


def _warm(sensor: Status, temperature: float) -> None:
    """Let a sensor measure a temperature, in degrees Celsius."""
    sensor["temperature"] = temperature
    sensor["measured_min_temp"] = min(sensor["measured_min_temp"], temperature)
    sensor["measured_max_temp"] = max(sensor["measured_max_temp"], temperature)
