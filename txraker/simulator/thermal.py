"""Pure: heated bodies, the sensors on them, and the control of their heaters."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from attrs import define, field

AMBIENT: Final = 24.0
"""Temperature of the room in degrees Celsius."""

STEP: Final = 0.3
"""Seconds between two readings of a sensor, and two decisions of a controller."""

_GAIN: Final = 0.2


@define
class Body:
    """Something that heats up: degrees a second at full power, and the share of its excess lost a second."""

    heating: float
    loss: float
    temperature: float = AMBIENT
    power: float = 0.0

    def step(self, seconds: float, surroundings: float = AMBIENT) -> None:
        """Let time pass."""
        gain = self.power * self.heating - (self.temperature - surroundings) * self.loss
        self.temperature += gain * seconds

    def holding_power(self, target: float) -> float:
        """The power that keeps the body at a temperature."""
        return self.loss * (target - AMBIENT) / self.heating


@define
class Sensor:
    """Reads a body's temperature with a little noise; the reading has two decimals."""

    body: Body
    noise: float
    random: Random
    temperature: float = 0.0
    lowest: float = 99999999.0
    highest: float = 0.0

    def read(self) -> None:
        """Take a reading."""
        self.temperature = round(self.body.temperature + self.random.gauss(0.0, self.noise), 2)
        self.lowest = min(self.lowest, self.temperature)
        self.highest = max(self.highest, self.temperature)


@define
class Heater:
    """A body whose temperature is controlled; limits are inclusive, in degrees Celsius."""

    sensor: Sensor
    maximum: float
    minimum: float = 0.0
    target: float = 0.0

    @property
    def temperature(self) -> float:
        """The last reading."""
        return self.sensor.temperature

    @property
    def power(self) -> float:
        """Share of full power, 0 to 1."""
        return self.sensor.body.power

    @property
    def busy(self) -> bool:
        """Whether the heater is still on its way to its target."""
        return self.target > 0.0 and abs(self.temperature - self.target) > 1.0

    def control(self) -> None:
        """Set the power that brings the body to its target."""
        body = self.sensor.body
        if self.target <= 0.0:
            body.power = 0.0
            return
        demand = body.holding_power(self.target) + _GAIN * (self.target - self.temperature)
        body.power = min(1.0, max(0.0, demand))


@define
class Plant:
    """The hardware's heat: it outlives restarts of the host software.

    ``bodies`` are "extruder", "heater_bed", "chamber", "host", "electronics" and "driver".
    """

    random: Random = field(factory=lambda: Random(3))
    bodies: Mapping[str, Body] = field(
        factory=lambda: {
            "extruder": Body(heating=12.0, loss=0.022),
            "heater_bed": Body(heating=1.9, loss=0.019),
            "chamber": Body(heating=0.0, loss=0.01),
            "host": Body(heating=0.0, loss=0.0, temperature=45.0),
            "electronics": Body(heating=0.2, loss=0.01, temperature=30.0),
            "driver": Body(heating=1.0, loss=0.03),
        }
    )
    _last: float = 0.0

    def sensor(self, name: str, noise: float = 0.02) -> Sensor:
        """A new sensor on a body, already read once."""
        sensor = Sensor(self.bodies[name], noise, self.random)
        sensor.read()
        return sensor

    def power_off(self) -> None:
        """Cut the power of every body."""
        for body in self.bodies.values():
            body.power = 0.0

    def due(self, now: float) -> bool:
        """Let one step pass if it is due; call again while it answers True."""
        if now - self._last < STEP:
            return False
        self._last += STEP
        bed = self.bodies["heater_bed"].temperature
        warm_air = AMBIENT + 0.15 * (bed - AMBIENT)
        for name, body in self.bodies.items():
            body.step(STEP, warm_air if name == "chamber" else AMBIENT)
        return True
