"""What processor and how much memory the machine has.

Contract: ``cpu_info`` of ``machine.system_info``; what isn't known is an empty text or null.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import msgspec

from txraker.system.host.files import pairs, read_text

_MEMORY = re.compile(r"^MemTotal:\s*(\d+)\s+(\w+)$", re.MULTILINE)


class CpuInfo(msgspec.Struct, frozen=True):
    """The processor. ``bits`` is the width of this Python, ``total_memory`` is in ``memory_units``: kB."""

    cpu_count: int | None
    bits: str
    processor: str
    cpu_desc: str
    serial_number: str
    hardware_desc: str
    model: str
    total_memory: int | None
    memory_units: str


def read_cpu_info(root: Path, machine: str) -> CpuInfo:
    """Return what is known; ``machine`` is what uname calls the hardware, such as ``aarch64``.

    Boards whose kernel doesn't say so in ``/proc/cpuinfo`` have model and serial number in the device tree.
    """
    lines = list(pairs(read_text(root / "proc/cpuinfo"), ":"))
    first = {key: value for key, value in reversed(lines) if value}
    tree = root / "proc/device-tree"
    memory = _MEMORY.search(read_text(root / "proc/meminfo"))
    return CpuInfo(
        cpu_count=sum(key == "processor" for key, _ in lines) or None,
        bits=f"{struct.calcsize('P') * 8}bit",
        processor=machine,
        cpu_desc=first.get("model name") or first.get("Processor", ""),
        serial_number=(first.get("Serial") or read_text(tree / "serial-number")).lstrip("0"),
        hardware_desc=first.get("Hardware", ""),
        model=first.get("Model") or read_text(tree / "model"),
        total_memory=int(memory[1]) if memory else None,
        memory_units=memory[2] if memory else "",
    )
