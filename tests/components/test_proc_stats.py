"""The statistics that clients get, second by second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attrs import define, field
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.system.host.machines import PI_3, grow
from tests.tools import Logged
from txraker.components.proc_stats import ProcStats
from txraker.events import CpuThrottled, ProcStatUpdate
from txraker.interfaces import IComponent
from txraker.system.host.files import HotFile
from txraker.system.host.statistics import HostStatistics, Measurement
from txraker.system.host.throttling import ThrottledFile

UNIX_TIME = 1_800_000_000.0
UPTIME = 1467.590323889

KERNEL = {
    "proc/stat": "cpu  {0} 0 0 1000 0 0 0 0 0 0\ncpu0 {0} 0 0 1000 0 0 0 0 0 0\nintr 0\n",
    "proc/net/dev": "a\nb\n    lo: {0} 1 2 3 0 0 0 0 500 5 6 7 0 0 0 0\n",
    "proc/self/statm": "21040 10000 6128 1 0 7896 0\n",
}
BITS = "sys/devices/platform/soc/soc:firmware/get_throttled"
INTERFACE = [
    *("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"),
    *("rx_errs", "tx_errs", "rx_drop", "tx_drop", "bandwidth"),
]


@define(eq=False)
class StatsBench(ComponentBench):
    """The component on a machine of files."""

    root: Path = field(kw_only=True)
    log: Logged = field(factory=Logged)
    websockets: int = 0
    told: list[dict[str, Any]] = field(factory=list)
    stats: ProcStats = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.clock.rightNow = UNIX_TIME
        self.events.on(ProcStatUpdate, self.hear)
        self.events.on(CpuThrottled, self.hear)
        self.stats = ProcStats(
            self.clock,
            HostStatistics(self.root, lambda: self.clock.seconds() / 40, self.clock.seconds),
            ThrottledFile(HotFile(self.root / BITS)),
            self.events,
            lambda: self.websockets,
            self.faults,
            self.log.logger(),
            lambda: UPTIME,
        )
        self.serve(self.stats)

    def hear(self, notification: ProcStatUpdate | CpuThrottled) -> None:
        """Note a notification as it is on the wire."""
        self.told.append(msgspec.json.decode(notification.encode()))

    def work(self, amount: int) -> None:
        """Let the machine be as it is after so much work."""
        grow(self.root, {name: text.format(amount) for name, text in KERNEL.items()})

    def updates(self) -> list[dict[str, Any]]:
        """Return the contents of the updates."""
        return [told["params"][0] for told in self.told if told["method"] == "notify_proc_stat_update"]

    def reply(self) -> dict[str, Any]:
        """Return the reply to a client."""
        found: dict[str, Any] = self.call("machine.proc_stats")
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[StatsBench]:
    """Make a component that isn't started yet, on a Raspberry Pi."""
    bench = StatsBench(root=grow(tmp_path, PI_3))
    bench.work(1000)
    yield bench
    bench.stats.stop()
    assert bench.clock.getDelayedCalls() == []


def test_provides(bench: StatsBench) -> None:
    """The component provides what it says, under its documented name."""
    assert verifyObject(IComponent, bench.stats)
    assert bench.stats.name == "proc_stats"


def test_before_the_first_sample(bench: StatsBench) -> None:
    """Before it is started everything is null or empty, and the reply is whole."""
    assert bench.reply() == {
        "moonraker_stats": [],
        "throttled_state": None,
        "cpu_temp": None,
        "network": {},
        "system_cpu_usage": {},
        "system_uptime": UPTIME,
        "system_memory": {},
        "websocket_connections": 0,
    }


def test_first_sample(bench: StatsBench) -> None:
    """As soon as it is started there is a sample, and an update."""
    bench.websockets = 2
    bench.stats.start()
    interface = dict(zip(INTERFACE, [1000, 500, 1, 5, 2, 6, 3, 7, 0.0], strict=True))
    assert bench.reply() == {
        "moonraker_stats": [{"time": UNIX_TIME, "cpu_usage": 0.0, "memory": 40000, "mem_units": "kB"}],
        "throttled_state": {"bits": 0, "flags": []},
        "cpu_temp": 45.622,
        "network": {"lo": interface},
        "system_cpu_usage": {},
        "system_uptime": UPTIME,
        "system_memory": {"total": 945364, "available": 652380, "used": 292984},
        "websocket_connections": 2,
    }
    assert len(bench.updates()) == 1


def test_update(bench: StatsBench) -> None:
    """Each second clients are told of the newest sample, without uptime and throttled state."""
    bench.stats.start()
    bench.work(2000)
    bench.clock.advance(1)
    update = bench.updates()[-1]
    assert bench.told[-1]["method"] == "notify_proc_stat_update"
    assert list(update) == [
        "moonraker_stats",
        "cpu_temp",
        "network",
        "system_cpu_usage",
        "system_memory",
        "websocket_connections",
    ]
    assert update["moonraker_stats"] == {
        "time": UNIX_TIME + 1,
        "cpu_usage": 2.5,
        "memory": 40000,
        "mem_units": "kB",
    }
    assert list(update["network"]["lo"]) == INTERFACE
    assert update["network"]["lo"]["bandwidth"] == 1000.0
    assert update["system_cpu_usage"] == {"cpu": 100.0, "cpu0": 100.0}


def test_reply_is_the_newest_sample(bench: StatsBench) -> None:
    """The reply has what was measured last, and costs no measurement of its own."""
    bench.stats.start()
    bench.clock.advance(1)
    bench.work(9999)
    assert bench.reply()["network"]["lo"]["rx_bytes"] == 1000
    assert len(bench.reply()["moonraker_stats"]) == 2


def test_thirty_samples(bench: StatsBench) -> None:
    """The newest thirty samples are kept, the oldest of them first."""
    bench.stats.start()
    for _ in range(40):
        bench.clock.advance(1)
    times = [sample["time"] for sample in bench.reply()["moonraker_stats"]]
    assert times == [UNIX_TIME + second for second in range(11, 41)]
    assert len(bench.updates()) == 41


def test_late(bench: StatsBench) -> None:
    """After a time in which nothing could run there is one sample, not a burst of those that were missed."""
    bench.stats.start()
    bench.work(3000)
    bench.clock.advance(20.5)
    bench.clock.advance(0)
    assert [update["moonraker_stats"]["time"] for update in bench.updates()] == [UNIX_TIME, UNIX_TIME + 20.5]
    assert bench.updates()[-1]["moonraker_stats"]["cpu_usage"] == 2.5
    bench.clock.advance(0.5)
    assert len(bench.updates()) == 3


def test_machine_that_shows_nothing(tmp_path: Path) -> None:
    """Without any file the updates go on, with what is known: the time."""
    bench = StatsBench(root=tmp_path)
    bench.stats.start()
    bench.clock.advance(1)
    bench.stats.stop()
    sample = bench.updates()[-1]["moonraker_stats"]
    assert sample == {"time": UNIX_TIME + 1, "cpu_usage": 2.5, "memory": None, "mem_units": None}
    assert bench.updates()[-1]["system_memory"] == {}
    assert bench.faults.seen == []


def test_defect(bench: StatsBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in measuring is reported once and doesn't end the updates, our sign of life."""

    def fail(_statistics: HostStatistics) -> Measurement:
        raise RuntimeError("odd machine")

    bench.stats.start()
    monkeypatch.setattr(HostStatistics, "measure", fail)
    for _ in range(5):
        bench.clock.advance(1)
    assert len(bench.faults.seen) == 1
    assert [update["cpu_temp"] for update in bench.updates()] == [45.622] * 6


def test_throttled(bench: StatsBench) -> None:
    """A change of the throttled state is in the reply, and told in a notification of its own."""
    bench.stats.start()
    assert bench.reply()["throttled_state"] == {"bits": 0, "flags": []}
    grow(bench.root, {BITS: "50000\n"})
    bench.clock.advance(1)
    bench.clock.advance(1)
    state = {"bits": 0x50000, "flags": ["Previously Under-Volted", "Previously Throttled"]}
    assert bench.reply()["throttled_state"] == state
    told = [told for told in bench.told if told["method"] == "notify_cpu_throttled"]
    assert told == [{"jsonrpc": "2.0", "method": "notify_cpu_throttled", "params": [state]}]
    assert len(bench.log.saying("Previously Throttled")) == 1


def test_stop(bench: StatsBench) -> None:
    """A stopped component samples no more, and has closed every file that it had open."""

    def open_files() -> int:
        links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sum(str(path.readlink()).startswith(str(bench.root)) for path in links)

    bench.stats.start()
    assert open_files() == 6
    bench.stats.stop()
    assert open_files() == 0
    bench.clock.advance(5)
    assert len(bench.updates()) == 1
    bench.stats.stop()
