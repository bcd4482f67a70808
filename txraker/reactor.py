"""What we need of a reactor and of its connections: names for what is passed around together."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IPullProducer,
    IPushProducer,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorProcess,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

_T = TypeVar("_T")

_CREDENTIALS = struct.Struct("iII")


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


async def in_time(awaitable: Awaitable[_T], seconds: float, clock: IReactorTime) -> _T:
    """Wait for something, but no longer than that; then it is cancelled. Raises TimeoutError of Twisted's."""

    async def awaited() -> _T:
        return await awaitable

    return await Deferred.fromCoroutine(awaited()).addTimeout(seconds, clock)


@define(eq=False, repr=False)
class OwnThreads:
    """An OffThread for what may hang: in few threads of its own, for which nobody waits at the end."""

    _reactor: IReactorFromThreads
    _most: int
    _name: str
    _waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = field(factory=deque, init=False)
    _busy: int = field(default=0, init=False)

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()
        self._waiting.append((work, done))
        self._begin()
        return done

    def _begin(self) -> None:
        while self._waiting and self._busy < self._most:
            work, done = self._waiting.popleft()
            if not done.called:
                self._busy += 1
                Thread(target=self._work, args=(work, done), name=self._name, daemon=True).start()

    def _work(self, work: Callable[[], Any], done: Deferred[Any]) -> None:
        """Do it; in the thread."""
        try:
            outcome = work()
        except Exception:
            outcome = Failure()
        self._reactor.callFromThread(self._end, done, outcome)

    def _end(self, done: Deferred[Any], outcome: object) -> None:
        self._busy -= 1
        if not done.called:
            done.callback(outcome)
        self._begin()


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

    def getPeer(self) -> IAddress:  # noqa: N802  # Twisted's name
        """Return the address at the other end."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802  # Twisted's name
        """Send small pieces at once."""


class Peer(NamedTuple):
    """The process at the other end of a unix socket, as the kernel knows it."""

    process_id: int
    user_id: int


def peer_of(stream: Stream) -> Peer | None:
    """Return who is at the other end of a unix socket, None where the kernel doesn't say."""
    credentials = stream.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process_id, user_id, _ = _CREDENTIALS.unpack(credentials)
    return Peer(process_id, user_id) if process_id else None
