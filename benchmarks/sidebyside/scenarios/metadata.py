"""Metadata of gcode files: what does it take to read them, and does anybody notice meanwhile?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, frozen

from sidebyside import gcode
from sidebyside.memory import weighed
from sidebyside.pinger import Pinger
from sidebyside.rig import Rig
from sidebyside.scenario import Metric, Numbers, StartRig
from sidebyside.websocket import Client

LONGEST: Final = 60.0
SIZES: Final = (1, 100, 400)


def _metrics(megabytes: int) -> tuple[Metric, ...]:
    return (
        Metric(f"cpu_{megabytes}", f"{megabytes} MB: server CPU", "ms", digits=0),
        Metric(f"wall_{megabytes}", f"{megabytes} MB: time to the answer", "ms", digits=0),
        Metric(f"memory_{megabytes}", f"{megabytes} MB: memory growth at most (PSS, with children)", "MB"),
        Metric(
            f"stall_{megabytes}",
            f"{megabytes} MB: another client's worst stall, less its worst while idle",
            "ms",
            has_ratio=False,
        ),
    )


@frozen
class _Before:
    """What was so while idle: worst latency in seconds, CPU seconds a second, and memory in MB."""

    worst: float
    cpu: float
    pss: float


@define
class MetadataOfFiles:
    """Files of several ``sizes`` in MB, read when asked to (metascan), after ``idle`` seconds without.

    Each file is read once before, when the server notices it, so it is in the page cache. Another client
    asks for server.info at most 200 times a second all the time; its share of the CPU is taken off. Memory
    is compared with that before the first file.
    """

    sizes: tuple[int, ...] = SIZES
    idle: float = 1.0

    name = "metadata"
    shares = True
    title = "Reading the metadata of gcode files, as PrusaSlicer writes them"
    metrics = tuple(metric for megabytes in SIZES for metric in _metrics(megabytes))

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return {"idle": self.idle}

    def measure(self, start: StartRig) -> Numbers:
        """Watch the other client in peace, then have one file after the other read."""
        numbers: Numbers = {}
        with start() as rig:
            other, client = rig.connect(2)
            pinger = Pinger(rig.loop, other)
            pinger.start()
            with weighed(rig) as peak, rig.window() as window:
                rig.loop.run(self.idle)
            before = _Before(pinger.seen(), window.server / window.wall, peak.most)
            for megabytes in self.sizes:
                numbers |= self._read(rig, client, pinger, megabytes, before)
        return numbers

    @staticmethod
    def _read(rig: Rig, client: Client, pinger: Pinger, megabytes: int, before: _Before) -> Numbers:
        path = rig.server.folder / f"{megabytes}.gcode"
        told = gcode.write(path, megabytes)
        path.rename(rig.server.folder / "gcodes" / path.name)
        _until_known(rig, client, path.name)
        rig.loop.run(0.5)
        pinger.forget()
        began = time.monotonic()
        with weighed(rig) as peak, rig.window() as window:
            answer, answered = _ask(rig, client, "server.files.metascan", path.name)
            rig.loop.run(0.3)
        problems = list(gcode.differences(told, answer.get("result", answer)))
        if problems:
            raise RuntimeError(f"wrong metadata: {', '.join(problems)}")
        return {
            f"cpu_{megabytes}": (window.server - before.cpu * window.wall) * 1e3,
            f"wall_{megabytes}": (answered - began) * 1e3,
            f"memory_{megabytes}": peak.most - before.pss,
            f"stall_{megabytes}": max(0.0, pinger.seen() - before.worst) * 1e3,
        }


def _ask(rig: Rig, client: Client, method: str, filename: str) -> tuple[dict[str, Any], float]:
    answers: list[tuple[dict[str, Any], float]] = []
    client.request(method, {"filename": filename}, lambda *answer: answers.append(answer))
    if not rig.loop.run_until(lambda: bool(answers), LONGEST):
        raise RuntimeError(f"no answer to {method} of {filename} in {LONGEST} seconds")
    return answers[0]


def _until_known(rig: Rig, client: Client, filename: str) -> None:
    """Wait until the server has read a new file by itself."""
    deadline = time.monotonic() + LONGEST
    while "slicer" not in _ask(rig, client, "server.files.metadata", filename)[0].get("result", {}):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not notice {filename}")
        rig.loop.run(0.1)
