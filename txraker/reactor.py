"""What we need of a reactor: one name for the interfaces that are passed around together."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTCP, IReactorTime, IReactorUNIX


class Reactor(IReactorTime, IReactorTCP, IReactorUNIX):
    """Time, TCP and unix sockets: provided by every reactor on Linux, and by MemoryReactorClock."""
