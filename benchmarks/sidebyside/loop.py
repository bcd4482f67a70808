"""One thread that reads from, and writes to, everything the harness is connected to."""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

READING: Final = select.EPOLLIN
WRITING: Final = select.EPOLLOUT


class Peer(Protocol):
    """A connection: ``ready`` is called whenever the socket can do what ``interest`` asks for."""

    socket: socket.socket
    interest: int
    closed: str | None
    """Why it ended, None while it is open."""

    def ready(self) -> None:
        """Read or write what can be read or written at once."""
        ...


class Loop:
    """Serves peers as their sockets get ready, and calls what is due."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._peers: dict[int, Peer] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def add(self, peer: Peer) -> None:
        """Serve a peer from now on."""
        self._peers[peer.socket.fileno()] = peer
        self._poll.register(peer.socket.fileno(), peer.interest)

    def remove(self, peer: Peer) -> None:
        """Close a peer's connection without any ado."""
        del self._peers[peer.socket.fileno()]
        peer.socket.close()

    def call_at(self, when: float, what: Callable[[], None]) -> None:
        """Call something at a monotonic time."""
        heapq.heappush(self._due, (when, next(self._order), what))

    def every(self, seconds: float, until: float, what: Callable[[], None]) -> None:
        """Call something now and every so many seconds while the loop runs, up to a monotonic time."""
        now = time.monotonic()

        def again(due: float) -> None:
            what()
            if due + seconds < until:
                self.call_at(due + seconds, lambda: again(due + seconds))

        self.call_at(now, lambda: again(now))

    def run(self, seconds: float) -> None:
        """Run for some time."""
        self.run_until(lambda: False, seconds)

    def run_until(self, done: Callable[[], bool], at_most: float) -> bool:
        """Run until something holds, or for ``at_most`` seconds; say whether it holds."""
        deadline = time.monotonic() + at_most
        while not done():
            now = time.monotonic()
            if now >= deadline:
                return False
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            following = min(self._due[0][0], deadline) if self._due else deadline
            for descriptor, _ in self._poll.poll(max(0.0, min(following - time.monotonic(), 0.1))):
                self._serve(descriptor)
        return True

    def close(self) -> None:
        """Close every connection."""
        for peer in self._peers.values():
            peer.socket.close()
        self._peers.clear()
        self._poll.close()

    def _serve(self, descriptor: int) -> None:
        peer = self._peers[descriptor]
        interest = peer.interest
        peer.ready()
        if peer.closed is not None:
            del self._peers[descriptor]
        elif peer.interest != interest:
            self._poll.modify(descriptor, peer.interest)
