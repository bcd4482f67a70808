"""The processor, as boards and PCs show it."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.system.host.machines import ORANGE_PI, PC, PI_3, PI_4, PI_5, Tree, grow
from txraker.system.host.cpu import CpuInfo, read_cpu_info

BITS = f"{struct.calcsize('P') * 8}bit"


def test_raspberry_pi_3(tmp_path: Path) -> None:
    """A Pi 3 says everything in its processor's description; zeros before its serial number don't count."""
    assert read_cpu_info(grow(tmp_path, PI_3), "armv7l") == CpuInfo(
        cpu_count=4,
        bits=BITS,
        processor="armv7l",
        cpu_desc="ARMv7 Processor rev 4 (v7l)",
        serial_number="b898bd00",
        hardware_desc="BCM2835",
        model="Raspberry Pi 3 Model B Rev 1.2",
        total_memory=945364,
        memory_units="kB",
    )


def test_raspberry_pi_4(tmp_path: Path) -> None:
    """A kernel of 64 bits names neither the processor nor the chip."""
    info = read_cpu_info(grow(tmp_path, PI_4), "aarch64")
    assert (info.cpu_desc, info.hardware_desc) == ("", "")
    assert (info.model, info.serial_number) == ("Raspberry Pi 4 Model B Rev 1.4", "10000000abcdef01")


def test_raspberry_pi_5(tmp_path: Path) -> None:
    """Where the processor's description lacks model and serial number the device tree has them."""
    info = read_cpu_info(grow(tmp_path, PI_5), "aarch64")
    assert (info.model, info.serial_number) == ("Raspberry Pi 5 Model B Rev 1.0", "7d3f5a1b2c4e6f80")


def test_orange_pi(tmp_path: Path) -> None:
    """A serial number of zeros is none."""
    info = read_cpu_info(grow(tmp_path, ORANGE_PI), "armv7l")
    assert (info.hardware_desc, info.model) == ("Allwinner sun8i Family", "Xunlong Orange Pi Zero")
    assert info.serial_number == ""


def test_pc(tmp_path: Path) -> None:
    """A PC has the name of its processor, whose model number isn't mistaken for the model of a board."""
    info = read_cpu_info(grow(tmp_path, PC), "x86_64")
    assert info.cpu_desc == "AMD Ryzen 5 5600G with Radeon Graphics"
    assert (info.cpu_count, info.model, info.serial_number, info.hardware_desc) == (2, "", "", "")


def test_old_kernel(tmp_path: Path) -> None:
    """Kernels that describe the processor once, in a line of its own, are understood."""
    text = "Processor\t: ARMv7 Processor rev 5 (v7l)\nprocessor\t: 0\nBogoMIPS\t: 2.4\n\nHardware\t: sun8i\n"
    info = read_cpu_info(grow(tmp_path, {"proc/cpuinfo": text}), "armv7l")
    assert (info.cpu_count, info.cpu_desc) == (1, "ARMv7 Processor rev 5 (v7l)")


def test_unequal_cores(tmp_path: Path) -> None:
    """Of a processor with cores of two kinds the first one is described."""
    text = "processor : 0\nmodel name : Cortex-A53\n\nprocessor : 1\nmodel name : Cortex-A72\n"
    info = read_cpu_info(grow(tmp_path, {"proc/cpuinfo": text}), "aarch64")
    assert (info.cpu_count, info.cpu_desc) == (2, "Cortex-A53")


def test_nothing_known(tmp_path: Path) -> None:
    """Without any file what isn't known is null or empty, as documented."""
    assert read_cpu_info(tmp_path, "riscv64") == CpuInfo(None, BITS, "riscv64", "", "", "", "", None, "")


def test_odd_files(tmp_path: Path) -> None:
    """Truncated lines and broken bytes are left aside."""
    files: Tree = {
        "proc/cpuinfo": b"processor\t: 0\nSerial\nModel\t\t: \xff\xfe\nmodel na",
        "proc/meminfo": "MemTotal:",
    }
    info = read_cpu_info(grow(tmp_path, files), "armv7l")
    assert (info.cpu_count, info.model, info.total_memory) == (1, "\ufffd\ufffd", None)
