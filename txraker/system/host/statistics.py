"""What this process and its machine are using, measured once a second at little cost.

Contract: "Get process statistics" of Moonraker's documentation of machine administration.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from attrs import define, field

from txraker.system.host.counters import BandwidthMeter, CpuMeter, memory_usage, resident_pages
from txraker.system.host.files import HotFile
from txraker.system.host.temperature import Thermometer
from txraker.system.host.usage import InterfaceUsage, MemoryUsage

_PAGE_KILOBYTES = os.sysconf("SC_PAGE_SIZE") // 1024


def boot_clock() -> float:
    """Return the seconds since the machine was started, those it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Measurement(msgspec.Struct, frozen=True, eq=False):
    """What is used: of one core by this process (percent) and of memory (kB), and by the whole machine.

    What can't be measured, or wasn't yet, is None or empty.
    """

    process_cpu: float = 0.0
    process_memory: int | None = None
    cpu_temp: float | None = None
    network: dict[str, InterfaceUsage] = msgspec.field(default_factory=dict)
    system_cpu_usage: dict[str, float] = msgspec.field(default_factory=dict)
    system_memory: MemoryUsage = msgspec.field(default_factory=MemoryUsage)


@define(eq=False, repr=False)
class HostStatistics:
    """Measures, below a root, what happened since it did so before.

    The clocks give seconds: of this process's CPU, and of real time that nobody sets.
    """

    _root: Path
    _process_clock: Callable[[], float] = time.process_time
    _clock: Callable[[], float] = time.monotonic
    _files: dict[str, HotFile] = field(factory=dict, init=False)
    _thermometer: Thermometer = field(init=False)
    _cores: CpuMeter = field(factory=CpuMeter, init=False)
    _interfaces: BandwidthMeter = field(factory=BandwidthMeter, init=False)
    _before: tuple[float, float] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("stat", "meminfo", "net/dev", "self/statm"):
            self._files[name] = HotFile(self._root / "proc" / name)
        self._thermometer = Thermometer(self._root)

    def measure(self) -> Measurement:
        """Return what is used now; the first time there is no usage of processors yet, and no bandwidth."""
        used, now = self._process_clock(), self._clock()
        used_before, before = self._before or (used, now)
        self._before = (used, now)
        seconds = now - before
        pages = resident_pages(self._files["self/statm"].read())
        return Measurement(
            process_cpu=round(100 * (used - used_before) / seconds, 2) if seconds > 0 else 0.0,
            process_memory=None if pages is None else pages * _PAGE_KILOBYTES,
            cpu_temp=self._thermometer.read(),
            network=self._interfaces.usage(self._files["net/dev"].read(), seconds),
            system_cpu_usage=self._cores.usage(self._files["stat"].read()),
            system_memory=memory_usage(self._files["meminfo"].read()),
        )

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()
        self._thermometer.close()
