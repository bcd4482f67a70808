"""How to write to a connected stream transport, TCP or unix."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from txraker.reactor import Stream

PIECE = 128 * 1024
"""Bytes that are given to a transport at once."""


@implementer(IPullProducer)
@define(eq=False, repr=False)
class StreamWriter:
    """Writes to a transport at once, not in the reactor's next turn, while nothing waits there.

    Twisted's ``write`` leaves the bytes to the reactor, which costs two changes of what it polls for and a
    turn for every message: most of the work of handing a status update to a client. Everything that goes
    to the transport goes this way, or frames would be torn apart. A transport that encrypts has to do this
    itself, by a method ``write_at_once``.

    ``drained`` is called when the transport has sent all it was given and more may be written. Between
    ``hold`` and ``let_go`` what is written is put together: many answers to what was read at once cost one
    call of the system's.
    """

    _transport: Stream
    _drained: Callable[[], None]
    is_idle: bool = field(default=False, init=False)
    """Whether nothing of ours is held back: the time to write."""
    progress: int = field(default=0, init=False)
    """How often the other end has been seen to take what was written."""
    _backlog: deque[bytes] = field(factory=deque, init=False)
    _socket: socket.socket | None = field(default=None, init=False)
    _write_at_once: Callable[[bytes], bool] | None = field(default=None, init=False)
    _has_written: bool = field(default=False, init=False)
    _held: list[bytes] | None = field(default=None, init=False)
    _held_size: int = field(default=0, init=False)

    def start(self) -> None:
        """Begin: hear from the transport when it has sent what it was given."""
        self._transport.registerProducer(self, False)

    def stop(self) -> None:
        """End: what was written is still sent, and closing the transport waits for nothing more."""
        self.give_all()
        self.is_idle = False
        self._drained = _nothing
        self._transport.unregisterProducer()

    def give_all(self) -> None:
        """Leave everything to the transport: there will be no more to write."""
        self.let_go()
        while self._backlog:
            self._give_piece()

    def write(self, data: bytes) -> None:
        """Send bytes; what the socket doesn't take now is sent when it does."""
        if not data:
            return
        if self._held is not None and self.is_idle:
            self._hold_back(self._held, data)
            return
        if self.is_idle and self._socket is not None:
            try:
                sent = self._socket.send(data)
            except OSError:
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        elif self.is_idle and self._write_at_once is not None and len(data) <= PIECE:
            self.is_idle = self._write_at_once(data)
            return
        self._backlog.append(data)
        if self.is_idle or not self._has_written:
            self._give_piece()

    def hold(self) -> None:
        """Put together what is written from now on, up to a piece."""
        if self._held is None:
            self._held = []

    def let_go(self) -> None:
        """Send what was put together."""
        held, self._held, self._held_size = self._held, None, 0
        if held:
            self.write(b"".join(held))

    def _hold_back(self, held: list[bytes], data: bytes) -> None:
        held.append(data)
        self._held_size += len(data)
        if self._held_size >= PIECE:
            self.let_go()
            self.hold()

    def _give_piece(self) -> None:
        """Give the transport what shows, when it is gone, that the other end reads."""
        self.is_idle = False
        self._has_written = True
        data = self._backlog.popleft()
        while self._backlog and len(data) < PIECE:
            data += self._backlog.popleft()
        if len(data) > PIECE:
            self._backlog.appendleft(data[PIECE:])
            data = data[:PIECE]
        self._transport.write(data)

    def resumeProducing(self) -> None:
        """Hear from the transport that it has sent what it was given."""
        self.progress += 1
        if self._backlog:
            self._give_piece()
            return
        self.is_idle = True
        if self._has_written and self._socket is None:
            # Only now is it sure that nobody's earlier bytes wait in the transport. The handle of one that
            # encrypts is not a socket.
            handle = getattr(self._transport, "getHandle", _nothing)()
            self._socket = handle if isinstance(handle, socket.socket) else None
            self._write_at_once = getattr(self._transport, "write_at_once", None)
        self._drained()

    def stopProducing(self) -> None:
        """Hear from the transport that the connection is gone."""
        self.is_idle = False


@define(eq=False, repr=False)
class Reading:
    """Whether a transport is read from: it is, unless there are reasons not to."""

    _transport: Stream
    _reasons: set[str] = field(factory=set, init=False)

    @property
    def is_paused(self) -> bool:
        """Whether there is a reason not to read."""
        return bool(self._reasons)

    def pause(self, reason: str) -> None:
        """Read no more as long as there is this reason."""
        self._reasons.add(reason)
        self._transport.pauseProducing()

    def resume(self, reason: str) -> None:
        """Take a reason back, and read again if it was the last."""
        self._reasons.discard(reason)
        if not self._reasons:
            self._transport.resumeProducing()


def _nothing() -> None:
    return
