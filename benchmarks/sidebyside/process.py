"""Processes: started on a core of their own, and what the kernel says they use."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")


def start_on(
    cores: set[int], command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that may run on ``cores`` only; what it prints goes to ``log``."""
    with on_cores(cores), log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Run this process, and what it starts meanwhile, on ``cores``."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stop(process: subprocess.Popen[bytes], within: float = 15.0) -> None:
    """End a process we started, by force if it takes too long."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """CPU time a process and its children have used, in user and kernel mode."""
    return _summed(pid, _cpu_of)


def pss_bytes(pid: int) -> int:
    """Memory of a process and its children, with shared pages counted in proportion."""
    return int(_summed(pid, _pss_of))


def descriptors(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _summed(pid: int, measure: Callable[[int], float]) -> float:
    """Measure a process and all that descend from it. Raises OSError when the process itself is gone."""
    total = measure(pid)
    family = [pid]
    for parent in family:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            # A child, or a thread, may end any moment.
            with contextlib.suppress(OSError):
                family += [int(child) for child in children.read_text().split()]
    for child in family[1:]:
        with contextlib.suppress(OSError):
            total += measure(child)
    return total


def _cpu_of(pid: int) -> float:
    """Return what a process used, and what children of it that have ended used.

    Its own time is exact, from its CPU clock; of children that ended the kernel counts ticks only.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = sum(int(field) for field in fields[13:15]) / _TICK
    return time.clock_gettime(_cpu_clock(pid)) + ended


def _cpu_clock(pid: int) -> int:
    """Return the number of a process's CPU clock, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2


def _pss_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def machine_busy_seconds() -> float:
    """CPU time the whole machine has spent on anything."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, interrupts, soft_interrupts, stolen = fields
    return (user + nice + system + interrupts + soft_interrupts + stolen) / _TICK


def wait_for(path: Path, process: subprocess.Popen[bytes], within: float = 15.0) -> None:
    """Wait until a process listens at a socket. Raises RuntimeError when it ends first, or takes too long."""
    deadline = time.monotonic() + within
    while not _is_listened_at(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nobody listens at {path.name}")
        time.sleep(0.02)


def _is_listened_at(path: Path) -> bool:
    """A socket is there a moment before anybody listens at it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
