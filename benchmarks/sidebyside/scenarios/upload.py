"""Uploads: what does a megabyte cost, and does anybody else notice?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final

from attrs import asdict, define

from sidebyside.memory import weighed
from sidebyside.pinger import Pinger
from sidebyside.rig import Rig
from sidebyside.scenario import Goal, Metric, Numbers, StartRig, at_most, ratio_at_most
from sidebyside.uploading import Upload

LONGEST: Final = 120.0
_BLOCK: Final = 1_000_000
_COST = Goal("upload of the large file, CPU per MB", ratio_at_most(1.0))
_STALL = Goal("upload of the large file, another client's worst stall over idle", at_most(20, "ms"))


def _metrics(name: str) -> tuple[Metric, ...]:
    cost, stall = (_COST, _STALL) if name == "large" else (None, None)
    return (
        Metric(f"cpu_{name}", f"{name} file: server CPU per MB", "ms", digits=2, goal=cost),
        Metric(f"rate_{name}", f"{name} file: throughput", "MB/s", digits=0),
        Metric(
            f"stall_{name}",
            f"{name} file: another client's worst stall, less its worst while idle",
            "ms",
            has_ratio=False,
            goal=stall,
        ),
        Metric(f"memory_{name}", f"{name} file: memory growth at most (PSS)", "MB"),
    )


@define
class Uploads:
    """A file of ``small`` and one of ``large`` MB (10^6 bytes), after ``idle`` seconds without.

    They are no gcode, so that nothing but the upload happens. Another client asks for server.info at most 200
    times a second all the time, which costs the server some percent.
    """

    small: int = 50
    large: int = 500
    idle: float = 1.0

    name = "upload"
    shares = True
    title = "Upload of a small and a large file beside a client that asks for server.info"
    metrics = (*_metrics("small"), *_metrics("large"))

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Watch the other client in peace, then upload one file after the other."""
        with start() as rig:
            (client,) = rig.connect(1)
            pinger = Pinger(rig.loop, client)
            pinger.start()
            with weighed(rig):
                rig.loop.run(self.idle)
            idle = pinger.seen()
            return {
                **self._upload(rig, pinger, idle, "small", self.small),
                **self._upload(rig, pinger, idle, "large", self.large),
            }

    def _upload(self, rig: Rig, pinger: Pinger, idle: float, name: str, megabytes: int) -> Numbers:
        path = rig.server.folder / f"{name}.bin"
        _write(path, megabytes)
        upload = Upload(rig.server.port, path, "gcodes", path.name)
        rig.loop.run(0.2)
        pinger.forget()
        before, began = rig.pss(), time.monotonic()
        with weighed(rig) as peak, rig.window() as window:
            rig.loop.add(upload)
            rig.loop.run_until(lambda: upload.closed is not None, LONGEST)
            # So that a client that waits at the end gets its answer.
            rig.loop.run(0.1)
        if upload.answer is None or upload.answer[0] != 201:
            raise RuntimeError(f"the upload failed: {upload.closed}, {upload.answer}")
        _compare(path, rig.server.folder / "gcodes" / path.name)
        return {
            f"cpu_{name}": window.server / megabytes * 1e3,
            f"rate_{name}": megabytes / (upload.answered - began),
            f"stall_{name}": max(0.0, pinger.seen() - idle) * 1e3,
            f"memory_{name}": peak.most - before,
        }


def _write(path: Path, megabytes: int) -> None:
    block = Random(7).randbytes(_BLOCK)
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8, "big"))
            file.write(block[8:])


def _compare(sent: Path, received: Path) -> None:
    """Raise RuntimeError unless two files are the same; delete both, as they take much room."""
    with sent.open("rb") as one, received.open("rb") as other:
        while block := one.read(_BLOCK):
            if block != other.read(_BLOCK):
                raise RuntimeError(f"{received.name} is not what was sent")
        if other.read(1):
            raise RuntimeError(f"{received.name} is longer than what was sent")
    sent.unlink()
    received.unlink()
