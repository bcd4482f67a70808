"""A reactor whose processes are only noted: what they are told, and who hears what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txraker.metadata.facts import Facts
from txraker.metadata.messages import Found, Hello, Reply
from txraker.metadata.process import Worker


@define(eq=False)
class MemoryProcess:
    """A process as its protocol sees it."""

    protocol: Worker
    told: list[dict[str, Any]] = field(factory=list)
    is_dismissed: bool = False
    is_killed: bool = False
    pid: int | None = None

    def writeToChild(self, _descriptor: int, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Take a request."""
        self.told.append(msgspec.json.decode(data))

    def closeChildFD(self, _descriptor: int) -> None:  # noqa: N802  # Twisted's name
        """Note that it is let go."""
        self.is_dismissed = True

    def signalProcess(self, _name: str) -> None:  # noqa: N802  # Twisted's name
        """Note that it is killed."""
        self.is_killed = True

    def asked(self) -> list[str]:
        """Return which files it was asked for."""
        return [request["path"] for request in self.told]

    def say(self, *replies: Reply) -> None:
        """Let it write replies."""
        for reply in replies:
            self.protocol.childDataReceived(1, msgspec.json.encode(reply) + b"\n")

    def end(self, complaint: str = "", *, by: int | None = None) -> None:
        """Let it end, with something on its standard error, or by a signal."""
        self.protocol.childDataReceived(2, complaint.encode())
        is_bad = complaint or by is not None
        reason = ProcessTerminated(None if by is not None else 1, by) if is_bad else ProcessDone(0)
        self.protocol.processEnded(Failure(reason))


@define(eq=False)
class MemoryReactor:
    """A clock, and the processes that were begun. ``problem`` keeps them from being begun."""

    clock: Clock = field(factory=Clock)
    processes: list[MemoryProcess] = field(factory=list)
    problem: OSError | None = None

    def callLater(self, delay: float, call: Any, *arguments: Any) -> Any:  # noqa: N802  # Twisted's name
        """Call later, by the clock."""
        return self.clock.callLater(delay, call, *arguments)

    def spawnProcess(  # noqa: N802  # Twisted's name
        self, protocol: Worker, _program: str, _arguments: Sequence[str], _environment: Mapping[str, str]
    ) -> None:
        """Begin a process."""
        if self.problem is not None:
            raise self.problem
        process = MemoryProcess(protocol)
        protocol.transport = process  # type: ignore[assignment]  # as much of it as is used
        self.processes.append(process)


def found(size: int = 1, *, is_complete: bool = True, memory: int = 0, modified: float = 1.0) -> Found:
    """Make what a process says of a file."""
    return Found(size, modified, Facts(slicer="Cura"), [], [], is_complete, memory)


HELLO = Hello()
