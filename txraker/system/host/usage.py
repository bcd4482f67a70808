"""What this process and its machine are using, as clients are told.

Contract: "Get Moonraker Process Stats" of Moonraker's machine API, and its notifications.
"""

from __future__ import annotations

import msgspec


class ProcessSample(msgspec.Struct, frozen=True):
    """What this process used: CPU in percent of one core, resident memory in ``mem_units``.

    ``time`` is Unix time in seconds. Memory and its units are null where they can't be read.
    """

    time: float
    cpu_usage: float
    memory: int | None
    mem_units: str | None


class InterfaceUsage(msgspec.Struct, frozen=True):
    """What went over a network interface since it came up; ``bandwidth`` is bytes a second, both ways."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errs: int
    tx_errs: int
    rx_drop: int
    tx_drop: int
    bandwidth: float


class MemoryUsage(msgspec.Struct, frozen=True):
    """The machine's memory in kB; what isn't known is left out."""

    total: int | msgspec.UnsetType = msgspec.UNSET
    available: int | msgspec.UnsetType = msgspec.UNSET
    used: int | msgspec.UnsetType = msgspec.UNSET


class ThrottledState(msgspec.Struct, frozen=True):
    """What a Raspberry Pi's firmware says of power and heat: its bits, and their names."""

    bits: int
    flags: list[str]


class HostUsage(msgspec.Struct, frozen=True):
    """What this process and its machine are using.

    ``cpu_temp`` is in degrees Celsius, or null. ``network`` maps interfaces to what goes over them, and
    ``system_cpu_usage`` maps ``cpu`` (all cores) and each core, ``cpu0`` and so on, to percent.
    """

    moonraker_stats: ProcessSample
    cpu_temp: float | None
    network: dict[str, InterfaceUsage]
    system_cpu_usage: dict[str, float]
    system_memory: MemoryUsage
    websocket_connections: int
