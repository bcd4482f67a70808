"""A program that is run to its end, in bounded time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txraker.reactor import Reactor

LONGEST_OUTPUT = 1024 * 1024
"""Bytes of its output that are kept."""


NOT_INSTALLED, NOT_RUNNABLE = 127, 126
"""The statuses of programs that never began, as in a shell."""


class Finished(msgspec.Struct, frozen=True):
    """What became of a program. ``status`` is its exit code, None when a signal or the time limit ended it.

    A program that isn't there ends as ``NOT_INSTALLED``, one that can't be begun as ``NOT_RUNNABLE``.
    """

    status: int | None
    output: str
    errors: str


RunProgram = Callable[[Sequence[str], float], Deferred[Finished]]
"""Runs a program for so many seconds at most; cancelling what it returns ends the program."""


class _Program(ProcessProtocol):
    transport: IProcessTransport

    def __init__(self, reactor: Reactor, given: bytes, seconds: float) -> None:
        self.finished: Deferred[Finished] = Deferred(lambda _: self._kill())
        self._given = given
        self._output: dict[int, bytes] = {1: b"", 2: b""}
        self._limit: IDelayedCall = reactor.callLater(seconds, self._give_up)

    def forget(self) -> None:
        """Never begin."""
        self._limit.cancel()

    def connectionMade(self) -> None:
        """Give it its input."""
        self.transport.writeToChild(0, self._given)
        self.transport.closeChildFD(0)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep its output."""
        if len(self._output[childFD]) < LONGEST_OUTPUT:
            self._output[childFD] += data

    def processEnded(self, reason: Failure) -> None:
        """Tell what became of it."""
        if self._limit.active():
            self._limit.cancel()
        self._finish(reason.value.exitCode if isinstance(reason.value, ProcessTerminated) else 0)

    def _finish(self, status: int | None) -> None:
        if not self.finished.called:
            output, errors = (self._output[number].decode("utf-8", "replace") for number in (1, 2))
            self.finished.callback(Finished(status, output, errors))

    def _kill(self) -> None:
        with suppress(OSError, ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        self.transport.loseConnection()

    def _give_up(self) -> None:
        """End the program, and the waiting whatever becomes of it.

        One that runs as somebody else can't be killed, and what it has started may keep its output open.
        """
        self._kill()
        self._finish(None)


def run(
    reactor: Reactor, command: Sequence[str], seconds: float, given: bytes = b"", **environment: str
) -> Deferred[Finished]:
    """Run a program in the C locale and return a Deferred of its end.

    ``given`` is its standard input. It is killed when it takes longer than ``seconds``, or when the Deferred
    is cancelled.
    """
    path = shutil.which(command[0])
    if path is None:
        return succeed(Finished(NOT_INSTALLED, "", f"{command[0]} is not installed"))
    program = _Program(reactor, given, seconds)
    variables = {**os.environ, "LC_ALL": "C", **environment}
    try:
        reactor.spawnProcess(program, path, list(command), variables)
    except OSError as problem:  # no more processes, or no memory for one
        program.forget()
        return succeed(Finished(NOT_RUNNABLE, "", f"{command[0]} can't be run: {problem.strerror}"))
    return program.finished
