"""``machine.proc_stats`` and its notifications: what this process and its machine are using.

Contract: "Get process statistics" of Moonraker's documentation of machine administration. Clients take the
notification each second as a sign of life: some reconnect when none comes for ten seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from txraker.api.caller import Caller
from txraker.api.endpoint import GET, endpoint
from txraker.events import CpuThrottled, Events, ProcStatUpdate
from txraker.faults import FaultReport
from txraker.interfaces import IComponent
from txraker.system.host.statistics import HostStatistics, Measurement, boot_clock
from txraker.system.host.throttling import ThrottledBits, ThrottleWatch
from txraker.system.host.usage import HostUsage, InterfaceUsage, MemoryUsage, ProcessSample, ThrottledState

SAMPLE_INTERVAL = 1.0
"""Seconds between two samples."""

MOST_SAMPLES = 30
"""Samples of this process that are kept."""


class ProcStatsReply(msgspec.Struct, frozen=True):
    """What this process used of late, oldest first, and what its machine is using.

    ``cpu_temp`` is in degrees Celsius and ``system_uptime`` in seconds. ``throttled_state`` is null on
    anything but a Raspberry Pi. ``network`` maps interfaces to what goes over them, and ``system_cpu_usage``
    maps ``cpu`` (all cores) and each core, ``cpu0`` and so on, to percent.
    """

    moonraker_stats: list[ProcessSample]
    throttled_state: ThrottledState | None
    cpu_temp: float | None
    network: dict[str, InterfaceUsage]
    system_cpu_usage: dict[str, float]
    system_uptime: float
    system_memory: MemoryUsage
    websocket_connections: int


@implementer(IComponent)
@define(eq=False, repr=False)
class ProcStats:
    """Measures once a second; ``wall_clock`` gives Unix time and ``boot_clock`` the seconds since boot."""

    _wall_clock: IReactorTime
    _statistics: HostStatistics
    _throttled_bits: ThrottledBits
    _events: Events
    _websocket_connections: Callable[[], int]
    _report_fault: FaultReport
    _log: Logger
    _boot_clock: Callable[[], float] = boot_clock
    _sampling: LoopingCall = field(init=False)
    _throttling: ThrottleWatch = field(init=False)
    _samples: deque[ProcessSample] = field(factory=lambda: deque(maxlen=MOST_SAMPLES), init=False)
    _newest: Measurement = field(factory=Measurement, init=False)
    _is_faulty: bool = field(default=False, init=False)

    name = "proc_stats"

    def __attrs_post_init__(self) -> None:
        self._sampling = LoopingCall(self._sample)
        self._sampling.clock = self._wall_clock
        self._throttling = ThrottleWatch(self._throttled_bits, self._tell_throttled, self._log)

    def start(self) -> None:
        self._sampling.start(SAMPLE_INTERVAL)

    def stop(self) -> None:
        if self._sampling.running:
            self._sampling.stop()
        self._throttling.close()
        self._statistics.close()

    @endpoint("machine.proc_stats", GET, "/machine/proc_stats")
    async def proc_stats(self, caller: Caller) -> ProcStatsReply:
        """Return what this process and its machine are using, as of the last second."""
        newest = self._newest
        return ProcStatsReply(
            moonraker_stats=list(self._samples),
            throttled_state=self._throttling.state,
            cpu_temp=newest.cpu_temp,
            network=newest.network,
            system_cpu_usage=newest.system_cpu_usage,
            system_uptime=self._boot_clock(),
            system_memory=newest.system_memory,
            websocket_connections=self._websocket_connections(),
        )

    def _sample(self) -> None:
        """Measure, and tell clients whatever comes of it, because they wait for that."""
        try:
            self._newest = self._statistics.measure()
            self._throttling.poll()
        except Exception as fault:
            self._report_once(fault)
        newest, memory = self._newest, self._newest.process_memory
        units = None if memory is None else "kB"
        sample = ProcessSample(self._wall_clock.seconds(), newest.process_cpu, memory, units)
        self._samples.append(sample)
        usage = HostUsage(
            moonraker_stats=sample,
            cpu_temp=newest.cpu_temp,
            network=newest.network,
            system_cpu_usage=newest.system_cpu_usage,
            system_memory=newest.system_memory,
            websocket_connections=self._websocket_connections(),
        )
        self._events.emit(ProcStatUpdate(usage))

    def _report_once(self, fault: Exception) -> None:
        if not self._is_faulty:
            self._is_faulty = True
            self._report_fault("measuring what is used", fault)

    def _tell_throttled(self, state: ThrottledState) -> None:
        self._events.emit(CpuThrottled(state))
