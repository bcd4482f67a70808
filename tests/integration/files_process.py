"""A process that serves files and nothing else; its arguments are port, folder and the largest size (MiB).

It writes to ``FOLDER/stalls`` what its reactor's thread did at the longest between two turns (s of CPU time).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet import task
from twisted.internet.defer import Deferred

from tests.files.bench import MIB, FileServer
from tests.integration.process import PATIENCE, Reply, ask, free_port
from txraker.reactor import off_thread

TICK = 0.002


def main(reactor: Any, port: str, folder: str, largest: str) -> Deferred[object]:
    """Serve, on and on, and measure stalls."""
    server = FileServer(Path(folder), reactor, off_thread(reactor), int(largest) * MIB)
    last, worst = time.thread_time(), 0.0

    def tick() -> None:
        nonlocal last, worst
        now = time.thread_time()
        if now - last > worst:
            worst = now - last
            Path(folder, "stalls").write_text(f"{worst:.4f}")
        last = now

    async def serve() -> object:
        await server.uploads.remove_leftovers()
        reactor.listenTCP(int(port), server.site, interface="127.0.0.1")
        return await task.LoopingCall(tick).start(TICK)

    return Deferred.fromCoroutine(serve())


@define
class FilesProcess:
    """A running process, the port where it answers, and its folder."""

    process: subprocess.Popen[Any]
    port: int
    folder: Path

    def ask(self, path: str, *arguments: Any, **options: Any) -> Reply:
        """Make a request below the path of files."""
        return ask(self.port, f"/server/files/{path}", *arguments, **options)

    def memory(self) -> int:
        """Return the bytes of memory that are the process's own."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

    def cpu(self) -> float:
        """Return the CPU time the process has used (s)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stall(self) -> float:
        """Return the longest that its reactor's thread worked without a look at others (s)."""
        return float((self.folder / "stalls").read_text() or 0)

    def names(self) -> list[str]:
        """Return what is in ``gcodes``."""
        return sorted(os.listdir(self.folder / "gcodes"))


@contextmanager
def files_process(folder: Path, largest: int = 1024, **environment: str) -> Iterator[FilesProcess]:
    """Run the process as long as the context lasts; a file has at most ``largest`` MiB."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.files_process", str(port), str(folder), str(largest)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )
    try:
        deadline = time.monotonic() + PATIENCE
        running = FilesProcess(process, port, folder)
        while not (folder / "stalls").exists():
            assert process.poll() is None, "the process ended"
            assert time.monotonic() < deadline, "it doesn't answer"
            time.sleep(0.05)
        yield running
    finally:
        process.kill()
        process.wait()
        (folder / "stalls").unlink(missing_ok=True)


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
