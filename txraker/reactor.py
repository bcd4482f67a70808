"""What we need of a reactor and of its connections: names for what is passed around together."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import (
    IPullProducer,
    IPushProducer,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)


class Reactor(IReactorTime, IReactorTCP, IReactorUNIX):
    """Time, TCP and unix sockets: provided by every reactor on Linux, and by MemoryReactorClock."""


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
