"""Our end of the process that reads gcode files: lines of JSON, and its death."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final, Protocol

import msgspec
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txraker.metadata.messages import Reply, Request

LONGEST_REPLY: Final = 4 * 1024 * 1024
"""Bytes of a line; who says more is not our program any more."""

LONGEST_COMPLAINT: Final = 2000
"""Bytes kept of what it writes to its standard error."""

_DECODER: Final = msgspec.json.Decoder(Reply)


class Listener(Protocol):
    """Hears what a worker says, and of its end."""

    def said(self, worker: Worker, reply: Reply) -> None:
        """Hear a reply."""

    def ended(self, worker: Worker, why: str) -> None:
        """Hear that it is gone; the last that is heard of it."""


class Worker(ProcessProtocol):
    """One process, from its beginning to its end.

    It ``is_victim`` once it has been ended by a signal that isn't our answer to what it did.
    """

    transport: IProcessTransport | None = None

    def __init__(self, listener: Listener) -> None:
        self.is_ready = False
        self.files = 0
        self.memory = 0
        self.is_victim = False
        self.leaving: IDelayedCall | None = None
        self._listener = listener
        self._unread = b""
        self._complaints = b""
        self._was_killed = False

    def ask(self, request: Request) -> None:
        """Give it a file to read."""
        assert self.transport is not None
        self.files += 1
        self.transport.writeToChild(0, msgspec.json.encode(request) + b"\n")

    def dismiss(self) -> None:
        """Let it end."""
        if self.transport is not None:
            self.transport.closeChildFD(0)

    def kill(self) -> None:
        """End it, and what it has started."""
        if self.transport is None:
            return
        self._was_killed = True
        number = getattr(self.transport, "pid", None)
        with suppress(OSError, ProcessExitedAlready):
            if number and os.getpgid(number) == number:
                os.killpg(number, signal.SIGKILL)
            else:
                self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it writes."""
        if childFD != 1:
            self._complaints = (self._complaints + data)[-LONGEST_COMPLAINT:]
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        if len(self._unread) > LONGEST_REPLY:
            self._unread = b""
            self.kill()
        for line in lines:
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            reply = _DECODER.decode(line)
        except msgspec.DecodeError:
            self.kill()
        else:
            self._listener.said(self, reply)

    def processEnded(self, reason: Failure) -> None:
        """Tell that it is gone, and why."""
        self.transport = None
        ended_by = getattr(reason.value, "signal", None)
        self.is_victim = not self._was_killed and ended_by not in (None, signal.SIGXCPU)
        complaints = self._complaints.decode("utf-8", "replace").strip()
        last = complaints.splitlines()[-1] if complaints else ""
        self._listener.ended(self, last or reason.getErrorMessage())
