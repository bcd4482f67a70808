"""The kernel's counters, read out of its texts, and what happened between two readings. Pure.

Contract: proc(5): ``/proc/stat``, ``/proc/meminfo``, ``/proc/net/dev``, ``/proc/self/statm``.
"""

from __future__ import annotations

import re

from attrs import define, field

from txraker.system.host.usage import InterfaceUsage, MemoryUsage

_MEMORY = re.compile(rb"^(MemTotal|MemAvailable): *(\d+) kB", re.MULTILINE)
_INTERFACE_COLUMNS = 16


def memory_usage(meminfo: bytes) -> MemoryUsage:
    """Return what ``/proc/meminfo`` says; what is neither free nor can be freed is used."""
    found = {name: int(number) for name, number in _MEMORY.findall(meminfo)}
    total, available = found.get(b"MemTotal"), found.get(b"MemAvailable")
    if total is None:
        return MemoryUsage()
    if available is None:
        return MemoryUsage(total=total)
    return MemoryUsage(total, available, total - available)


def resident_pages(statm: bytes) -> int | None:
    """Return how many pages of memory a process has, by its ``statm``."""
    columns = statm.split()
    return int(columns[1]) if len(columns) > 1 and columns[1].isdigit() else None


@define(repr=False)
class CpuMeter:
    """Tells how busy the processor's cores were since it was told of their time before."""

    _before: dict[str, tuple[int, int]] = field(factory=dict, init=False)

    def usage(self, stat: bytes) -> dict[str, float]:
        """Take ``/proc/stat`` and return percent by core, and of all together; nothing the first time."""
        before, self._before = self._before, _core_times(stat)
        return {core: _busy(times, before[core]) for core, times in self._before.items() if core in before}


def _core_times(stat: bytes) -> dict[str, tuple[int, int]]:
    """Return by core its time in all and, of that, the time it was idle or waited for disks."""
    found = {}
    for line in stat.partition(b"\nintr")[0].splitlines():
        if line.startswith(b"cpu"):
            name, *columns = line.split()
            times = _numbers(columns[:8])
            if len(times) >= 4:
                found[name.decode("ascii", "replace")] = (sum(times), sum(times[3:5]))
    return found


def _busy(now: tuple[int, int], before: tuple[int, int]) -> float:
    passed, idle = now[0] - before[0], now[1] - before[1]
    if passed <= 0:
        return 0.0
    return round(min(max(100.0 * (passed - idle) / passed, 0.0), 100.0), 2)


@define(repr=False)
class BandwidthMeter:
    """Tells what goes over network interfaces, and how fast."""

    _before: dict[str, InterfaceUsage] = field(factory=dict, init=False)

    def usage(self, net_dev: bytes, seconds: float) -> dict[str, InterfaceUsage]:
        """Take ``/proc/net/dev`` and how long ago that was done before, and return the interfaces.

        The bandwidth is 0 the first time, and when a counter began anew.
        """
        before, self._before = self._before, {}
        for line in net_dev.splitlines():
            name, _, columns = line.partition(b":")
            counters = _numbers(columns.split())
            if len(counters) == _INTERFACE_COLUMNS:
                interface = name.strip().decode("utf-8", "replace")
                self._before[interface] = _interface(counters, before.get(interface), seconds)
        return self._before


def _interface(counters: list[int], before: InterfaceUsage | None, seconds: float) -> InterfaceUsage:
    received, sent = counters[0], counters[8]
    speed = 0.0
    if before is not None and seconds > 0 and received >= before.rx_bytes and sent >= before.tx_bytes:
        speed = round((received - before.rx_bytes + sent - before.tx_bytes) / seconds, 2)
    return InterfaceUsage(
        rx_bytes=received,
        tx_bytes=sent,
        rx_packets=counters[1],
        tx_packets=counters[9],
        rx_errs=counters[2],
        tx_errs=counters[10],
        rx_drop=counters[3],
        tx_drop=counters[11],
        bandwidth=speed,
    )


def _numbers(columns: list[bytes]) -> list[int]:
    try:
        return [int(column) for column in columns]
    except ValueError:
        return []
