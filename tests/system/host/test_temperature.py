"""The processor's sensor among all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.host.machines import ORANGE_PI, PC, PI_3, Tree, grow
from txraker.system.host.temperature import Thermometer

ZONES = "sys/class/thermal/thermal_zone"
CHIPS = "sys/class/hwmon/hwmon"

Make = Callable[..., Thermometer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give thermometers of machines, and put them away."""
    made: list[Thermometer] = []

    def make(*trees: Tree) -> Thermometer:
        made.append(Thermometer(grow(tmp_path, *trees)))
        return made[-1]

    yield make
    for thermometer in made:
        thermometer.close()


@pytest.mark.parametrize(
    ("machine", "degrees"), [(PI_3, 45.622), (ORANGE_PI, 51.0), (PC, 48.125), ({}, None)]
)
def test_machines(make: Make, machine: Tree, degrees: float | None) -> None:
    """Boards tell by their zone, a PC by its processor's chip and not its mainboard's zone."""
    assert make(machine).read() == degrees


def test_zone_that_names_the_processor(make: Make) -> None:
    """A zone that names the processor is taken before others, the first of several."""
    zones = {
        f"{ZONES}0/type": "gpu-thermal",
        f"{ZONES}0/temp": "1000",
        f"{ZONES}2/type": "CPU-therm",
        f"{ZONES}2/temp": "2000",
        f"{ZONES}10/type": "cpu1-thermal",
        f"{ZONES}10/temp": "10000",
    }
    assert make(zones).read() == 2.0


@pytest.mark.parametrize("kind", ["soc-thermal", "soc_thermal", "x86_pkg_temp"])
def test_zone_of_the_chip(make: Make, kind: str) -> None:
    """The zone of the chip that the processor is a part of does, too."""
    zones = {
        f"{ZONES}0/type": "acpitz",
        f"{ZONES}0/temp": "1000",
        f"{ZONES}1/type": kind,
        f"{ZONES}1/temp": "-2500",
    }
    assert make(zones).read() == -2.5


def test_first_zone_is_the_last_resort(make: Make) -> None:
    """Without anything better the first zone is taken."""
    zones = {
        f"{ZONES}0/type": "acpitz",
        f"{ZONES}0/temp": "27800",
        f"{ZONES}1/type": "iwlwifi",
        f"{ZONES}1/temp": "1",
    }
    assert make(zones, {f"{CHIPS}0/name": "nvme", f"{CHIPS}0/temp1_input": "5"}).read() == 27.8


def test_intel_chip(make: Make) -> None:
    """Of a chip with many sensors the first is taken: the package's."""
    chip = {f"{CHIPS}1/name": "coretemp\n", f"{CHIPS}1/temp2_input": "2000", f"{CHIPS}1/temp1_input": "1000"}
    assert make(chip, {f"{CHIPS}1/temp1_crit": "100000"}).read() == 1.0


def test_sensor_that_does_not_answer(make: Make) -> None:
    """A sensor without a number is passed over for one that has it."""
    zones = {f"{ZONES}0/type": "cpu", f"{ZONES}0/temp": "", f"{ZONES}1/type": "cpu", f"{ZONES}1/temp": "7000"}
    assert make(zones).read() == 7.0


def test_each_reading_is_new(make: Make, tmp_path: Path) -> None:
    """The temperature is the one of now; a sensor that fails for a while is null meanwhile."""
    thermometer = make(PI_3)
    readings = []
    for text in ("50000\n", "\n", "51234\n"):
        grow(tmp_path, {f"{ZONES}0/temp": text})
        readings.append(thermometer.read())
    assert readings == [50.0, None, 51.234]


def test_driver_that_comes_later(make: Make, tmp_path: Path) -> None:
    """A sensor that appears later is found within a minute."""
    thermometer = make()
    assert thermometer.read() is None
    grow(tmp_path, PI_3)
    assert [thermometer.read() for _ in range(60)] == [None] * 59 + [45.622]
