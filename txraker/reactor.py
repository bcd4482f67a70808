"""What we need of a reactor and of its connections: names for what is passed around together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IPullProducer,
    IPushProducer,
    IReactorFDSet,
    IReactorProcess,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.threads import deferToThreadPool

_T = TypeVar("_T")


class Reactor(IReactorTime, IReactorTCP, IReactorUNIX, IReactorThreads, IReactorProcess, IReactorFDSet):
    """Time, sockets, threads, processes and readers: provided by every reactor on Linux."""


class OffThread(Protocol):
    """Runs what would block somewhere else than in the reactor's thread."""

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        """Return what ``work`` returns, or fail with what it raises."""


def off_thread(reactor: Reactor) -> OffThread:
    """Return the way to a reactor's worker threads."""

    def run(work: Callable[[], _T]) -> Deferred[_T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    return run


class Stream(Protocol):
    """A transport that is connected."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Send bytes in pieces."""

    def loseConnection(self) -> None:
        """Close once everything is sent."""

    def loseWriteConnection(self) -> None:
        """Send no more, once everything is sent."""

    def abortConnection(self) -> None:
        """Close now."""

    def pauseProducing(self) -> None:
        """Read no more for a while."""

    def resumeProducing(self) -> None:
        """Read again."""

    def registerProducer(self, producer: IPushProducer | IPullProducer, streaming: bool) -> None:
        """Tell a producer when to wait."""

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""

    def getHandle(self) -> socket.socket:
        """Return the socket."""
