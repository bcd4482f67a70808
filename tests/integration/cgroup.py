"""A control group that limits a process's memory, of either version of the kernel's interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

_ROOT = Path("/sys/fs/cgroup")


@frozen
class ControlGroup:
    """A group that processes can be put into; ``is_old`` is version 1."""

    path: Path
    is_old: bool

    def command(self, *command: str) -> list[str]:
        """Return a command that runs another one in the group."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh", *command]

    def unreclaimable(self) -> int:
        """Return the bytes that can't be read again from a file."""
        stats = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        return int(stats["total_rss" if self.is_old else "anon"])

    def limit(self, size: int) -> None:
        """Let the group have so many bytes and no more, what is kept of files included."""
        (self.path / ("memory.limit_in_bytes" if self.is_old else "memory.max")).write_text(str(size))

    def killed(self) -> int:
        """Return how many processes were killed for want of memory."""
        text = (self.path / ("memory.oom_control" if self.is_old else "memory.events")).read_text()
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])


@contextmanager
def control_group(name: str) -> Iterator[ControlGroup]:
    """Have a group, or skip the test where that isn't ours to have."""
    is_old = (_ROOT / "memory").is_dir()
    path = (_ROOT / "memory" if is_old else _ROOT) / f"{name}-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    try:
        if not (path / ("memory.limit_in_bytes" if is_old else "memory.max")).exists():
            pytest.skip("memory can't be limited here")
        yield ControlGroup(path, is_old)
    finally:
        path.rmdir()
