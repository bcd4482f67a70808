"""What waits to be sent to one client. Pure: it is told the time, and gives frames when they can be written.

Replies and notifications keep their order. Status updates that wait are merged, the latest value of a field
winning: a client that is slow gets fewer updates, but nothing it subscribed to is lost. An update is merged
only into one that no reply stands behind, because a reply may hold newer values than the update had.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, field

from txraker.events import StatusUpdate
from txraker.klippy.subscriptions import Delivery
from txraker.outgoing import Framing, Outgoing

PIECE = 32 * 1024
"""Bytes that are enough for one write."""


@define(eq=False, repr=False)
class _Frame:
    data: bytes
    since: float

    @property
    def size(self) -> int:
        return len(self.data)

    def bytes_for(self, _framing: Framing) -> bytes:
        return self.data


@define(eq=False, repr=False)
class _WaitingStatus:
    """One update, or several that became one while they waited."""

    delivery: Delivery | None
    status: dict[str, dict[str, Any]]
    eventtime: float
    size: int
    since: float

    @classmethod
    def of(cls, delivery: Delivery, now: float) -> _WaitingStatus:
        update = delivery.update
        return cls(delivery, update.status, update.eventtime, len(delivery.outgoing.text), now)

    def merge(self, update: StatusUpdate) -> None:
        if self.delivery is not None:
            self.delivery = None
            self.status = {name: dict(fields) for name, fields in self.status.items()}
        for name, fields in update.status.items():
            self.status.setdefault(name, {}).update(fields)
        self.eventtime = update.eventtime

    def bytes_for(self, framing: Framing) -> bytes:
        if self.delivery is not None:
            return self.delivery.outgoing.framed(framing)
        return framing(StatusUpdate(self.status, self.eventtime).encode())


@define(eq=False, repr=False)
class Outbox:
    """The queue of one client; ``framing`` is that of its connection.

    ``most_bytes`` may wait, and nothing may wait longer than ``most_seconds``.
    """

    _framing: Framing
    _most_bytes: int
    _most_seconds: float
    _entries: deque[_Frame | _WaitingStatus] = field(factory=deque, init=False)
    _mergeable: _WaitingStatus | None = field(default=None, init=False)
    size: int = field(default=0, init=False)
    """Bytes that wait, about: merged updates count as the largest of them."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def put_reply(self, text: bytes, now: float) -> None:
        """Add the answer to a request; no later update is merged into one before it."""
        self._mergeable = None
        self._add(_Frame(self._framing(text), now))

    def put_notification(self, outgoing: Outgoing, now: float) -> None:
        """Add a notification that holds no state of printer objects."""
        self._add(_Frame(outgoing.framed(self._framing), now))

    def put_status(self, delivery: Delivery, now: float) -> None:
        """Add a status update, or merge it into one that waits."""
        if self._mergeable is not None:
            grown = max(0, len(delivery.outgoing.text) - self._mergeable.size)
            self._mergeable.merge(delivery.update)
            self._mergeable.size += grown
            self.size += grown
            return
        self._mergeable = _WaitingStatus.of(delivery, now)
        self._add(self._mergeable)

    def _add(self, entry: _Frame | _WaitingStatus) -> None:
        self._entries.append(entry)
        self.size += entry.size

    def take(self) -> bytes:
        """Remove and return what is to be written next."""
        entry = self._entries.popleft()
        self.size -= entry.size
        if entry is self._mergeable:
            self._mergeable = None
        return entry.bytes_for(self._framing)

    def take_many(self) -> bytes:
        """Remove and return what is to be written next, in one piece of a sensible size."""
        pieces = [self.take()]
        size = len(pieces[0])
        while self._entries and size < PIECE:
            pieces.append(self.take())
            size += len(pieces[-1])
        return b"".join(pieces)

    def excess(self, now: float, read_at: float) -> str:
        """Say which bound is broken, in words for a log; nothing when none is.

        ``read_at`` is when the client was last seen to read. A single entry, however large, may always wait.
        """
        if len(self._entries) > 1 and self.size > self._most_bytes:
            return f"{self.size} bytes wait"
        if self._entries:
            unread = now - max(self._entries[0].since, read_at)
            if unread > self._most_seconds:
                return f"nothing was read for {unread:.0f} seconds"
        return ""

    def clear(self) -> None:
        """Drop everything that waits."""
        self._entries.clear()
        self._mergeable = None
        self.size = 0
