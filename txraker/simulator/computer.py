"""Pure: what the printer reports about its micro-controller and the computer it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

import msgspec
from attrs import define, field

from txraker.simulator.feature import Provider, Status
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.timeline import Timeline

SOFTWARE_VERSION = "v0.13.0-730-g0000000-simulator"


class HostInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the result of ``info`` that stays the same."""

    hostname: str = "virtual-printer"
    klipper_path: str = "/home/pi/klipper"
    python_path: str = "/home/pi/klippy-env/bin/python"
    process_id: int = 1
    user_id: int = 1000
    group_id: int = 1000
    log_file: str = "/home/pi/printer_data/logs/klippy.log"
    config_file: str = "/home/pi/printer_data/config/printer.cfg"
    software_version: str = SOFTWARE_VERSION
    cpu_info: str = "4 core simulated processor"


@define
class Computer:
    """The objects ``mcu`` and ``system_stats``; their figures change once a second."""

    timeline: Timeline
    _random: Random = field(factory=lambda: Random(7))
    _second: int = -1
    _load: float = 0.25
    _memory: int = 2_400_000

    def objects(self) -> Mapping[str, Provider]:
        """``mcu`` and ``system_stats``."""
        return {"mcu": self._mcu, "system_stats": self._system}

    def commands(self) -> Iterable[CommandSpec]:
        """None."""
        return ()

    def _refresh(self) -> int:
        second = int(self.timeline.now)
        if second != self._second:
            self._second = second
            self._load = round(min(2.0, max(0.05, self._load + self._random.gauss(0.0, 0.02))), 6)
            self._memory += self._random.randint(-64, 64)
        return second

    def _mcu(self) -> Status:
        second = self._refresh()
        return {
            "mcu_version": SOFTWARE_VERSION,
            "mcu_build_versions": "simulated",
            "mcu_constants": {
                "ADC_MAX": 4095,
                "CLOCK_FREQ": 50000000,
                "MCU": "simulated",
                "PWM_MAX": 32768,
                "STATS_SUMSQ_BASE": 256,
            },
            "last_stats": {
                "mcu_awake": 0.002,
                "mcu_task_avg": 1.6e-05,
                "mcu_task_stddev": 1.5e-05,
                "bytes_write": 1700 + 24 * second,
                "bytes_read": 14000 + 180 * second,
                "bytes_retransmit": 9,
                "bytes_invalid": 0,
                "send_seq": 190 + 2 * second,
                "receive_seq": 190 + 2 * second,
                "retransmit_seq": 2,
                "srtt": 0.0,
                "rttvar": 0.0,
                "rto": 0.025,
                "ready_bytes": 0,
                "upcoming_bytes": 0,
                "freq": 50000000 + self._second % 7,
            },
        }

    def _system(self) -> Status:
        second = self._refresh()
        return {
            "sysload": self._load,
            "cputime": round(4.0 + 0.009 * second, 9),
            "memavail": self._memory,
        }
