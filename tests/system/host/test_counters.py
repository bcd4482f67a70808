"""The kernel's counters, and what happened between two readings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.system.host.counters import BandwidthMeter, CpuMeter, memory_usage, resident_pages
from txraker.system.host.usage import InterfaceUsage, MemoryUsage

HEAD = (
    b"Inter-|   Receive                                                |  Transmit\n"
    b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls"
    b" carrier compressed\n"
)


def stat(*cores: str) -> bytes:
    """Make ``/proc/stat`` with these lines of cores."""
    return ("\n".join(cores) + "\nintr 1 2 3\nctxt 4\nbtime 5\n").encode()


def interface(name: str, received: int, sent: int) -> bytes:
    """Make a line of ``/proc/net/dev``."""
    return f"{name:>6}: {received} 11 12 13 0 0 0 0 {sent} 21 22 23 0 0 0 0\n".encode()


def test_memory() -> None:
    """What isn't available is used."""
    text = (
        b"MemTotal:       24684084 kB\nMemFree:        100 kB\nMemAvailable:   23845156 kB\nBuffers: 1 kB\n"
    )
    assert memory_usage(text) == MemoryUsage(24684084, 23845156, 838928)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", MemoryUsage()),
        (b"MemTotal: lots kB\nMemAvailable: 5 kB\n", MemoryUsage()),
        (b"MemTotal:       506568 kB\nMemFree:  100 kB\n", MemoryUsage(total=506568)),
    ],
)
def test_memory_in_part(text: bytes, expected: MemoryUsage) -> None:
    """What isn't known is left out, as on kernels that don't estimate what is available."""
    assert memory_usage(text) == expected


@pytest.mark.parametrize(
    ("text", "pages"), [(b"21040 13960 6128 1 0 7896 0\n", 13960), (b"", None), (b"1", None), (b"1 x", None)]
)
def test_resident_pages(text: bytes, pages: int | None) -> None:
    """A process has as many pages as the second number says."""
    assert resident_pages(text) == pages


def test_cores() -> None:
    """A core is busy while it neither idles nor waits for disks; the time of guests isn't counted twice."""
    meter = CpuMeter()
    before = (
        "cpu  100 0 100 800 0 0 0 0 0 0",
        "cpu0 50 0 50 400 0 0 0 0 0 0",
        "cpu1 50 0 50 400 0 0 0 0 0 0",
    )
    after = (
        "cpu  120 10 120 980 40 5 15 10 20 0",
        "cpu0 70 10 70 400 0 0 0 0 0 0",
        "cpu1 50 0 50 580 40 5 15 10 20 0",
    )
    assert meter.usage(stat(*before)) == {}
    assert meter.usage(stat(*after)) == {"cpu": 26.67, "cpu0": 100.0, "cpu1": 12.0}


def test_core_that_comes_and_goes() -> None:
    """A core that was off is told from its second reading on, and one that is off isn't told."""
    meter = CpuMeter()
    meter.usage(stat("cpu 1 0 0 1 0", "cpu0 1 0 0 1 0"))
    assert meter.usage(stat("cpu 2 0 0 2 0", "cpu1 5 0 0 5 0")) == {"cpu": 50.0}
    assert meter.usage(stat("cpu 3 0 0 3 0", "cpu1 6 0 0 8 0")) == {"cpu": 50.0, "cpu1": 25.0}


@pytest.mark.parametrize(("now", "usage"), [("10 0 0 10 0", 0.0), ("5 0 0 5 0", 0.0), ("21 0 0 9 0", 100.0)])
def test_cores_and_odd_counters(now: str, usage: float) -> None:
    """Counters that stand still or go backwards, as some do, never leave 0 to 100 percent."""
    meter = CpuMeter()
    meter.usage(stat("cpu 10 0 0 10 0"))
    assert meter.usage(stat(f"cpu {now}")) == {"cpu": usage}


def test_broken_cores() -> None:
    """Lines that aren't understood are left aside."""
    meter = CpuMeter()
    text = b"cpu 1 2 3 4 5\ncpu0\ncpu1 1 x 3 4 5\ncpu2 1 2\ncpu\xff 1 2 3 4 5\ncpu3 1 1 1 1"
    meter.usage(text)
    assert meter.usage(text) == {"cpu": 0.0, "cpu\ufffd": 0.0, "cpu3": 0.0}


def test_interfaces() -> None:
    """Every interface is told with what it received and sent, and what went wrong."""
    assert BandwidthMeter().usage(HEAD + interface("wlan0", 1000, 2000), 0.0) == {
        "wlan0": InterfaceUsage(
            rx_bytes=1000,
            tx_bytes=2000,
            rx_packets=11,
            tx_packets=21,
            rx_errs=12,
            tx_errs=22,
            rx_drop=13,
            tx_drop=23,
            bandwidth=0.0,
        )
    }


def bandwidths(meter: BandwidthMeter, text: bytes, seconds: float) -> dict[str, float]:
    """Return the bandwidth of each interface."""
    return {name: usage.bandwidth for name, usage in meter.usage(HEAD + text, seconds).items()}


def test_bandwidth() -> None:
    """The bandwidth is bytes a second in both ways together, and 0 for an interface that is new."""
    meter = BandwidthMeter()
    assert bandwidths(meter, interface("lo", 100, 200), 0.0) == {"lo": 0.0}
    text = interface("lo", 1100, 700) + interface("eth0", 5, 5)
    assert bandwidths(meter, text, 2.0) == {"lo": 750.0, "eth0": 0.0}
    assert bandwidths(meter, interface("eth0", 6, 5), 3.0) == {"eth0": 0.33}


@pytest.mark.parametrize(("received", "sent"), [(0, 0), (0, 900), (900, 0), (99, 5000)])
def test_counter_that_goes_backwards(received: int, sent: int) -> None:
    """An interface that was reset has no bandwidth, never a negative one, and goes on from there."""
    meter = BandwidthMeter()
    bandwidths(meter, interface("can0", 100, 100), 1.0)
    assert bandwidths(meter, interface("can0", received, sent), 1.0) == {"can0": 0.0}
    assert bandwidths(meter, interface("can0", received + 1, sent), 1.0) == {"can0": 1.0}


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_time_passed(seconds: float) -> None:
    """Two readings at once give no bandwidth."""
    meter = BandwidthMeter()
    bandwidths(meter, interface("lo", 100, 100), 1.0)
    assert bandwidths(meter, interface("lo", 200, 200), seconds) == {"lo": 0.0}


def test_broken_interfaces() -> None:
    """Lines that aren't understood are left aside."""
    text = (
        HEAD + b"eth0: 1 2 3\neth1: 1 x 3\nno colon\n" + interface("lo", 1, 1) + interface("eth2", 2, 2)[:-9]
    )
    assert list(BandwidthMeter().usage(text, 1.0)) == ["lo"]


@given(st.binary(max_size=300))
def test_noise(noise: bytes) -> None:
    """Nothing that a file may hold is an error."""
    memory_usage(noise)
    resident_pages(noise)
    for text in (noise, b"cpu " + noise, b"lo:" + noise):
        CpuMeter().usage(text)
        BandwidthMeter().usage(text, 1.0)
