"""How hot the processor is.

Contract: the kernel's documentation, ``thermal/sysfs-api`` and ``hwmon/sysfs-interface``. Sensors tell
thousandths of a degree.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from txraker.system.host.files import HotFile, children, read_text

_SEARCH_EVERY = 60
_PROCESSOR_CHIPS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})


@define(eq=False, repr=False)
class Thermometer:
    """Reads the processor's sensor; while there is none it is searched for once in a while."""

    _root: Path
    _sensor: HotFile | None = field(default=None, init=False)
    _readings_until_search: int = field(default=0, init=False)

    def read(self) -> float | None:
        """Return degrees Celsius; None if there is no sensor, or it doesn't answer."""
        if self._sensor is None:
            self._search()
        return None if self._sensor is None else _degrees(self._sensor.read())

    def close(self) -> None:
        """Let go of the sensor."""
        if self._sensor is not None:
            self._sensor.close()

    def _search(self) -> None:
        """Take the first sensor that answers: drivers may be loaded after us."""
        if self._readings_until_search > 0:
            self._readings_until_search -= 1
            return
        self._readings_until_search = _SEARCH_EVERY - 1
        for path in _sensors(self._root):
            sensor = HotFile(path)
            if _degrees(sensor.read()) is not None:
                self._sensor = sensor
                return
            sensor.close()


def _sensors(root: Path) -> Iterator[Path]:
    """Yield the files to look at, the best first.

    The first zone often is the mainboard's on a PC, which is why it comes last.
    """
    zones = children(root / "sys/class/thermal", "thermal_zone")
    kinds = {zone: read_text(zone / "type").lower() for zone in zones}
    yield from (zone / "temp" for zone in zones if "cpu" in kinds[zone])
    yield from (zone / "temp" for zone in zones if kinds[zone].startswith(("x86_pkg_temp", "soc")))
    for chip in children(root / "sys/class/hwmon", "hwmon"):
        if read_text(chip / "name") in _PROCESSOR_CHIPS:
            yield from (path for path in children(chip, "temp") if path.name.endswith("_input"))
    yield from (zone / "temp" for zone in zones if zone.name == "thermal_zone0")


def _degrees(text: bytes) -> float | None:
    try:
        return int(text) / 1000
    except ValueError:
        return None
