"""A client's connection that keeps what it is sent: provides IConnection and IStatusSubscriber."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
from attrs import define, field
from zope.interface import implementer

from txraker.clients import ClientIdentity
from txraker.interfaces import IConnection, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery

_ids = count(1)


@implementer(IConnection, IStatusSubscriber)
@define(eq=False)
class MemoryConnection:
    """What a client sees, as decoded messages in the order of their arrival."""

    connection_id: int = field(factory=lambda: next(_ids))
    identity: ClientIdentity | None = None
    messages: list[dict[str, Any]] = field(factory=list, init=False)
    closed: tuple[int, str] | None = field(default=None, init=False)

    def send(self, text: bytes) -> None:
        if self.closed is None:
            self.messages.append(msgspec.json.decode(text))

    def status_changed(self, delivery: Delivery) -> None:
        self.send(delivery.text)

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)
