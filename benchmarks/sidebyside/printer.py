"""The virtual printer in load mode, in a process of its own, and its controls."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import msgspec

from sidebyside.process import start_on, stop, wait_for

OBJECTS: Final = 30
"""Objects of the load, ``load 0`` to ``load 29``."""

LOAD_OBJECTS: Final[tuple[str, ...]] = tuple(f"load {number}" for number in range(OBJECTS))


class VirtualPrinter:
    """A running virtual printer and our own connection to it, over which it is controlled."""

    def __init__(self, process: Popen[bytes], socket_path: Path) -> None:
        self.process = process
        self.socket_path = socket_path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10.0)
        self._socket.connect(str(socket_path))
        self._rest = b""
        self._last_id = 0

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the printer. Raises RuntimeError when it refuses."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        self._socket.sendall(msgspec.json.encode(message) + b"\x03")
        while True:
            frame, terminator, rest = self._rest.partition(b"\x03")
            if not terminator:
                self._rest += self._socket.recv(1 << 18)
                continue
            self._rest = rest
            answer = msgspec.json.decode(frame)
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def load(self, **changes: float) -> None:
        """Change the load; see ``python -m txraker.simulator --help``."""
        self.request("simulator/load", **changes)

    def count_anew(self) -> None:
        """Start to count requests and updates anew."""
        self.request("simulator/statistics", reset=True)

    def statistics(self) -> dict[str, Any]:
        """What the printer was asked, by method, and what it sent, since it began to count."""
        return self.request("simulator/statistics")

    def requests(self) -> int:
        """How many requests the printer got since it began to count."""
        return sum(self.statistics()["requests"].values())

    def state(self, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """Printer objects as they are now."""
        status: dict[str, dict[str, Any]] = self.request("objects/query", objects=dict.fromkeys(names))[
            "status"
        ]
        return status

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()


@contextmanager
def virtual_printer(
    folder: Path, cores: set[int], tick_seconds: float, **load: float
) -> Iterator[VirtualPrinter]:
    """Run a virtual printer in load mode, with its socket in ``folder``."""
    gcodes = folder / "gcodes"
    gcodes.mkdir(exist_ok=True, parents=True)
    path = folder / "klippy.sock"
    command = [sys.executable, "-m", "txraker.simulator", "--socket", str(path), "--gcodes", str(gcodes)]
    command += ["--tick-seconds", str(tick_seconds)]
    command += ["--load", f"objects={OBJECTS}", *(f"{name}={value}" for name, value in load.items())]
    process = start_on(cores, command, folder / "simulator.log")
    try:
        wait_for(path, process)
        printer = VirtualPrinter(process, path)
        yield printer
        printer.close()
    finally:
        stop(process)
