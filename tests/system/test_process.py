"""Programs that are run to their end, really."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from txraker.reactor import Reactor
from txraker.system.process import LONGEST_OUTPUT, Finished, run

REACTOR = cast("Reactor", reactor)

async_test = pytest_twisted.ensureDeferred


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_output() -> None:
    """What a program says, on both ways, and its status are returned; it gets what it is given."""
    finished = await run(REACTOR, ["sh", "-c", "cat; echo bad >&2; exit 3"], 5, b"hello")
    assert finished == Finished(3, "hello", "bad\n")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_success() -> None:
    """A program that ends well has status 0; what is no text doesn't matter."""
    assert await run(REACTOR, ["printf", r"\377"], 5) == Finished(0, "\ufffd", "")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_language() -> None:
    """A program speaks the language that we understand, whatever the user's."""
    assert (await run(REACTOR, ["sh", "-c", "echo $LC_ALL"], 5)).output == "C\n"


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_program_that_is_not_there() -> None:
    """A program that isn't installed ends as in a shell."""
    assert await run(REACTOR, ["nonesuch-program"], 5) == Finished(
        127, "", "nonesuch-program is not installed"
    )


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_no_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that can't be run ends as in a shell, and leaves no timer behind."""

    def refuse(*_: object, **__: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    for way in ("fork", "posix_spawnp"):
        monkeypatch.setattr(os, way, refuse)
    before = len(REACTOR.getDelayedCalls())
    finished = await run(REACTOR, ["true"], 5)
    assert (finished.status, finished.errors) == (126, "true can't be run: Resource temporarily unavailable")
    assert len(REACTOR.getDelayedCalls()) == before


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_too_long() -> None:
    """A program that takes too long is killed."""
    finished = await run(REACTOR, ["sh", "-c", "echo begun; exec sleep 100"], 0.3)
    assert finished == Finished(None, "begun\n", "")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_grandchild() -> None:
    """A program whose own child keeps its output open isn't waited for longer, either."""
    finished = await run(REACTOR, ["sh", "-c", "echo begun; sleep 3 & wait"], 0.3)
    assert finished == Finished(None, "begun\n", "")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_cancelled(tmp_path: Path) -> None:
    """A program that nobody waits for any more is killed."""
    note = tmp_path / "note"
    running = run(REACTOR, ["sh", "-c", f"echo $$ > {note}; exec sleep 100"], 5)
    while not (note.exists() and note.read_text().strip()):
        await deferLater(reactor, 0.01)
    running.cancel()
    with pytest.raises(CancelledError):
        await running
    await deferLater(reactor, 0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that can't be killed, because it has become root's, isn't waited for."""
    real = os.kill
    tried = []

    def refuse(number: int, what: int) -> None:
        tried.append(number)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    finished = await run(REACTOR, ["sleep", "100"], 0.2)
    assert finished.status is None
    real(tried[0], signal.SIGKILL)
    await deferLater(reactor, 0.05)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_much_output() -> None:
    """Of endless output just the beginning is kept."""
    finished = await run(REACTOR, ["head", "-c", str(5 * LONGEST_OUTPUT), "/dev/zero"], 5)
    assert finished.status == 0
    assert LONGEST_OUTPUT <= len(finished.output) < 1.2 * LONGEST_OUTPUT
