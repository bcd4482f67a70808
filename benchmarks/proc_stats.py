"""What ``machine.proc_stats`` costs while nobody does anything: ``python benchmarks/proc_stats.py``.

Prints the CPU microseconds of this process, system calls included, for one measurement of this machine, and
for what happens every second as a whole: measure, keep the sample, encode the notification once. Both are
measured in a row, and with a pause before each, after which the processor's caches are cold, as they are in
a server that is idle. A thousand microseconds a second are 0.1 % of a core.

``--pauses`` says how many measurements with a pause there are, ``--seconds`` how long each pause is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import Logger

from txraker.components.proc_stats import SAMPLE_INTERVAL, ProcStats
from txraker.events import Events, ProcStatUpdate
from txraker.faults import fault_report
from txraker.system.host.statistics import HostStatistics
from txraker.system.host.throttling import NoThrottledBits

WARM_UP = 50
IN_A_ROW = 2000


def cost(action: Callable[[], object], count: int, pause: float) -> float:
    """Return the CPU microseconds of one action, on average."""
    used = 0.0
    for _ in range(count):
        if pause:
            time.sleep(pause)
        before = time.process_time()
        action()
        used += time.process_time() - before
    return used / count * 1e6


def _report(name: str, action: Callable[[], object], pauses: int, seconds: float) -> None:
    cost(action, WARM_UP, 0)
    in_a_row = cost(action, IN_A_ROW, 0)
    after_pauses = cost(action, pauses, seconds)
    print(f"{name:<28} {in_a_row:7.0f} µs in a row {after_pauses:7.0f} µs after a pause")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the statistics of each second cost.")
    parser.add_argument("--pauses", type=int, default=50, help="measurements with a pause (default: 50)")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of each pause (default: 0.1)")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    clock = Clock()
    log = Logger()
    report_fault = fault_report(log)
    events = Events(report_fault)
    events.on(ProcStatUpdate, ProcStatUpdate.encode)
    statistics = HostStatistics(Path("/"))
    component = ProcStats(clock, statistics, NoThrottledBits(), events, lambda: 1, report_fault, log)
    component.start()
    _report("one measurement", statistics.measure, arguments.pauses, arguments.seconds)
    _report(
        "all that a second takes",
        partial(clock.advance, SAMPLE_INTERVAL),
        arguments.pauses,
        arguments.seconds,
    )
    component.stop()


if __name__ == "__main__":
    main()
