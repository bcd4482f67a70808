"""Who listens at a unix socket."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.system.cgroups import unit_of_cgroups

_CREDENTIALS: Final = struct.Struct("3i")


@frozen
class Listener:
    """A process that listens; 0 when the kernel doesn't say which. ``unit`` is the service it is part of."""

    process_id: int
    unit: str | None = None

    def __str__(self) -> str:
        process = f"process {self.process_id}" if self.process_id else "another program"
        return f"{process} ({self.unit})" if self.unit else process


def listener_at(path: Path, root: Path = Path("/")) -> Listener:
    """Return who listens at a unix socket; ``root`` is where the file system begins that tells of processes.

    Raises OSError when nobody can be connected to, ConnectionRefusedError when nobody listens.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # so many wait there that the kernel takes no more
            return Listener(0)
        process_id = process_behind(probe)
    return Listener(process_id, unit_of_process(process_id, root))


def process_behind(connected: socket.socket) -> int:
    """Return the process at the other end of a unix socket, 0 if the kernel doesn't say. See unix(7)."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process_id: int = _CREDENTIALS.unpack(credentials)[0]
    return process_id


def unit_of_process(process_id: int, root: Path = Path("/")) -> str | None:
    """Return the service a process is part of, None when it is none or can't be seen."""
    try:
        text = (root / "proc" / str(process_id) / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    return unit_of_cgroups(text)
