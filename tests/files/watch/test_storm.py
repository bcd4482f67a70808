"""Ten thousand files at once, with the real reactor."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from time import thread_time
from typing import cast

import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from tests.tools import Faults
from txraker.events import FileChange
from txraker.files.places import Root
from txraker.files.watch.look import Looker
from txraker.files.watch.seen import Ask, FolderSeen
from txraker.files.watch.tree import Folder, Owners
from txraker.files.watch.watcher import Watcher
from txraker.reactor import Reactor, off_thread

REACTOR = cast("Reactor", reactor)
MANY = 10_000
STORM = "import sys\nfor number in range(10_000): open(f'{sys.argv[1]}/{number:05}.gcode', 'w').close()"
CALM = "import os, sys\nfor name in os.listdir(sys.argv[1]): os.unlink(f'{sys.argv[1]}/{name}')"

async_test = pytest_twisted.ensureDeferred


STALL = 1.0
"""Seconds of processor time: what isn't done in pieces takes several. It is a guard, and no measurement."""


@define(eq=False)
class Storm:
    """A watcher that is told of many files, and how long the reactor was busy at a stretch (s).

    That is processor time: the machine may have other things to do.
    """

    folder: Path
    changes: list[FileChange] = field(factory=list)
    faults: Faults = field(factory=Faults)
    longest: float = 0.0
    _last: float = 0.0

    def note(self) -> None:
        """Note how much was done since the last time."""
        now = thread_time()
        self.longest = max(self.longest, now - (self._last or now))
        self._last = now

    async def until(self, count: int, limit: float = 60.0) -> None:
        """Wait for so many changes."""
        end = REACTOR.seconds() + limit
        while len(self.changes) < count and REACTOR.seconds() < end:
            await deferLater(REACTOR, 0.05)


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def storm(tmp_path: Path) -> AsyncIterator[Storm]:
    """Watch a folder with the real reactor."""
    storm = Storm(tmp_path)
    watcher = Watcher(
        REACTOR,
        off_thread(REACTOR),
        [Root("gcodes", tmp_path, True)],
        lambda: lambda path: True,
        storm.changes.append,
        lambda key, text: None,
        storm.faults,
    )
    await watcher.start()
    pulse = LoopingCall(storm.note)
    pulse.start(0.005)
    yield storm
    pulse.stop()
    watcher.stop()
    assert storm.faults.seen == []


async def run(storm: Storm, program: str) -> None:
    """Run a Python program in another process."""
    done: Deferred[None] = off_thread(REACTOR)(
        lambda: subprocess.run([sys.executable, "-c", program, str(storm.folder)], check=True)
    ).addCallback(lambda _: None)
    await done


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_storm(storm: Storm) -> None:
    """Each file is told of once, and the reactor isn't kept from other things."""
    await run(storm, STORM)
    await storm.until(MANY)
    await deferLater(REACTOR, 1.0)
    assert {change.action for change in storm.changes} == {"create_file"}
    paths = [change.item.path for change in storm.changes]
    assert sorted(paths) == [f"{number:05}.gcode" for number in range(MANY)]
    assert storm.longest < STALL
    storm.changes.clear()
    await run(
        storm, "import os, sys\nfor name in os.listdir(sys.argv[1]): os.unlink(f'{sys.argv[1]}/{name}')"
    )
    await storm.until(MANY)
    assert [change.action for change in storm.changes] == ["delete_file"] * MANY
    assert storm.longest < STALL


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_folder_of_many(storm: Storm) -> None:
    """A folder of many files is told of as one; its move and its end, too."""
    inner = f"import os, sys; os.mkdir(sys.argv[1] + '/d'); sys.argv[1] += '/d'\n{STORM}"
    inner = inner.replace("10_000", "3_000")
    await run(storm, inner)
    await storm.until(1)
    await deferLater(REACTOR, 1.0)
    (storm.folder / "d").rename(storm.folder / "e")
    await storm.until(2)
    await run(storm, "import shutil, sys\nshutil.rmtree(sys.argv[1] + '/e')")
    await storm.until(3)
    await deferLater(REACTOR, 1.0)
    assert [change.action for change in storm.changes] == ["create_dir", "move_dir", "delete_dir"]
    assert storm.longest < STALL


def test_memory(tmp_path: Path) -> None:
    """What is kept of ten thousand files takes less than 2 MB."""
    subprocess.run([sys.executable, "-c", STORM, str(tmp_path)], check=True)
    tracemalloc.start()
    (seen,) = Looker(lambda path: 1, lambda path: True)([Ask(str(tmp_path))])
    assert isinstance(seen, FolderSeen)
    folder = Folder("")
    Owners().adopt(folder, seen)
    del seen
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(folder.entries) == MANY
    assert used < 2_000_000
