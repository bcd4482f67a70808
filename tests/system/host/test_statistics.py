"""What is measured, on machines of files and clocks of hands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from tests.system.host.machines import PI_3, grow
from txraker.system.host.statistics import HostStatistics, Measurement, boot_clock
from txraker.system.host.usage import MemoryUsage

PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


@define(eq=False)
class Bench:
    """A machine whose processor's time and real time are set by hand."""

    root: Path
    cpu: Clock = field(factory=Clock)
    clock: Clock = field(factory=Clock)
    statistics: HostStatistics = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.statistics = HostStatistics(self.root, self.cpu.seconds, self.clock.seconds)

    def pass_time(self, seconds: float, of_ours: float) -> None:
        """Let time pass, some of which this process works."""
        self.clock.advance(seconds)
        self.cpu.advance(of_ours)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a machine without any files yet."""
    bench = Bench(tmp_path)
    yield bench
    bench.statistics.close()


def kernel(busy: int, received: int) -> dict[str, str]:
    """Make the kernel's files after so much work and traffic."""
    return {
        "proc/stat": f"cpu  {busy} 0 0 1000 0 0 0 0 0 0\ncpu0 {busy} 0 0 1000 0 0 0 0 0 0\nintr 0\n",
        "proc/net/dev": f"a\nb\n  eth0: {received} 1 0 0 0 0 0 0 500 2 0 0 0 0 0 0\n",
        "proc/self/statm": "21040 13960 6128 1 0 7896 0\n",
    }


def test_first_measurement(bench: Bench) -> None:
    """At first there is all but what takes two measurements."""
    grow(bench.root, PI_3, kernel(100, 1000))
    found = bench.statistics.measure()
    assert (found.process_cpu, found.process_memory) == (0.0, 13960 * PAGE)
    assert (found.cpu_temp, found.system_cpu_usage) == (45.622, {})
    assert found.system_memory == MemoryUsage(945364, 652380, 292984)
    assert found.network["eth0"].bandwidth == 0.0


def test_second_measurement(bench: Bench) -> None:
    """From then on there is what happened in between, by the time that really passed."""
    grow(bench.root, PI_3, kernel(100, 1000))
    bench.statistics.measure()
    bench.pass_time(4.0, 0.05)
    grow(bench.root, kernel(1100, 9000))
    found = bench.statistics.measure()
    assert found.process_cpu == 1.25
    assert found.system_cpu_usage == {"cpu": 100.0, "cpu0": 100.0}
    assert found.network["eth0"].bandwidth == 2000.0


def test_clock_that_stands_still(bench: Bench) -> None:
    """Two measurements at the same time are no division by zero."""
    bench.statistics.measure()
    bench.pass_time(0, 0.5)
    assert bench.statistics.measure().process_cpu == 0.0


def test_nothing_there(bench: Bench) -> None:
    """Without any file everything is empty, again and again."""
    for _ in range(3):
        found = bench.statistics.measure()
        assert found.network == {}
        assert found.system_cpu_usage == {}
        assert found.system_memory == MemoryUsage()
        assert (found.process_cpu, found.process_memory, found.cpu_temp) == (0.0, None, None)
        bench.pass_time(1, 0)


def test_nothing_measured() -> None:
    """What was not measured yet looks like what can't be measured."""
    nothing = Measurement()
    assert (nothing.process_memory, nothing.cpu_temp, nothing.network) == (None, None, {})


def open_files() -> set[str]:
    """Return what this process has open."""
    folder = Path("/proc/self/fd")
    return {os.readlink(path) for path in folder.iterdir() if path.is_symlink()}


def test_files_are_kept_open_and_closed(bench: Bench) -> None:
    """Files stay open between measurements, and none after the end."""
    grow(bench.root, PI_3, kernel(1, 1))

    def ours() -> int:
        return sum(name.startswith(str(bench.root)) for name in open_files())

    bench.statistics.measure()
    assert ours() == 5
    bench.statistics.measure()
    assert ours() == 5
    bench.statistics.close()
    assert ours() == 0


def test_this_machine() -> None:
    """The machine that runs the tests can be measured."""
    statistics = HostStatistics(Path("/"))
    statistics.measure()
    found = statistics.measure()
    statistics.close()
    assert found.process_memory is not None
    assert found.process_memory > 1024
    assert "cpu0" in found.system_cpu_usage
    assert isinstance(found.system_memory.total, int)
    assert "lo" in found.network
    assert boot_clock() > 0
