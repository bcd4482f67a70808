"""The rig: a server on a virtual printer, clients, and what all of them used while something was measured."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from sidebyside.loop import Loop
from sidebyside.printer import VirtualPrinter, virtual_printer
from sidebyside.process import cpu_seconds, descriptors, machine_busy_seconds, pss_bytes
from sidebyside.servers import Program, Server, running
from sidebyside.websocket import Client

KLIPPY_TICK: Final = 0.25
"""How long Klippy lets queries and subscriptions wait at most."""

FAST_TICK: Final = 0.01
"""The same for scenarios not about it: at 250 ms, 300 clients take minutes to subscribe to Moonraker."""

MEGABYTE: Final = 1024 * 1024


@frozen
class Cores:
    """Which cores the server, the printer and the clients run on: the server has one of its own."""

    server: set[int]
    clients: set[int]
    printer: set[int]

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Deal out the cores there are. Raises RuntimeError when there is only one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise RuntimeError("measuring takes at least two cores")
        return cls({cores[-1]}, {cores[0]}, {cores[1] if len(cores) > 2 else cores[0]})


@define
class Window:
    """What was used between the beginning and the end of a measurement, in seconds (of CPU)."""

    wall: float = 0.0
    server: float = 0.0
    clients: float = 0.0
    printer: float = 0.0
    others: float = 0.0
    """CPU time of all that is no part of the measurement: how noisy the machine was."""


@define
class Rig:
    """One server under measurement. ``windows`` are all measurements made on it."""

    server: Server
    printer: VirtualPrinter
    loop: Loop
    windows: list[Window] = field(factory=list)

    def connect(self, number: int) -> list[Client]:
        """Open websockets."""
        clients = [Client(self.server.port) for _ in range(number)]
        for client in clients:
            self.loop.add(client)
        return clients

    @contextmanager
    def used_again(self) -> Iterator[Rig]:
        """Give a rig that was used before to another measurement; its connections end with that."""
        self.windows, self.loop = [], Loop()
        try:
            yield self
        finally:
            self.loop.close()

    def pss(self) -> float:
        """Memory of the server in MB."""
        return sum(map(pss_bytes, self.server.pids)) / MEGABYTE

    def descriptors(self) -> int:
        """How many file descriptors the server has open, without its children."""
        return sum(map(descriptors, self.server.pids))

    @contextmanager
    def window(self) -> Iterator[Window]:
        """Measure what is used inside; the window is filled in at its end."""
        window = Window()
        before = self._used()
        yield window
        wall, server, clients, printer, busy = (
            now - then for now, then in zip(self._used(), before, strict=True)
        )
        window.wall, window.server, window.clients, window.printer = wall, server, clients, printer
        window.others = max(0.0, busy - server - clients - printer)
        self.windows.append(window)

    def _used(self) -> tuple[float, float, float, float, float]:
        return (
            time.monotonic(),
            sum(map(cpu_seconds, self.server.pids)),
            time.process_time(),
            cpu_seconds(self.printer.process.pid),
            machine_busy_seconds(),
        )


@contextmanager
def rig(
    program: Program, cores: Cores, tick_seconds: float = KLIPPY_TICK, further: int = 0, **load: float
) -> Iterator[Rig]:
    """Set up a server on a virtual printer in load mode, both new; queries are answered on ticks.

    The server serves ``further`` printers more, each with a data folder and a port of its own.
    """
    with tempfile.TemporaryDirectory(prefix="txraker-benchmark-") as name:
        folder = Path(name)
        with (
            virtual_printer(folder, cores.printer, tick_seconds, **load) as printer,
            running(
                program,
                [folder, *(folder / f"printer_{number}" for number in range(2, further + 2))],
                cores.server,
                printer.socket_path,
            ) as server,
        ):
            loop = Loop()
            try:
                yield Rig(server, printer, loop)
            finally:
                loop.close()
