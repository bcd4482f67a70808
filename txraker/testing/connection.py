"""A client's connection that keeps what it is sent: provides IConnection and IStatusSubscriber."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from txraker.api.caller import NOBODY, TRUSTED, Transport, Who
from txraker.api.jsonrpc import Response, encode_request
from txraker.clients import ClientIdentity
from txraker.errors import Unavailable
from txraker.interfaces import IConnection, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery
from txraker.outgoing import Outgoing
from txraker.transports.link import answer

_ids = count(1)


@implementer(IConnection, IStatusSubscriber)
@define(eq=False)
class MemoryConnection:
    """What a client sees, as decoded messages in the order of their arrival."""

    connection_id: int = field(factory=lambda: next(_ids))
    identity: ClientIdentity | None = None
    transport: Transport = Transport.WEBSOCKET
    address: str = "127.0.0.1"
    who: Who = TRUSTED
    otherwise: Who = NOBODY
    messages: list[dict[str, Any]] = field(factory=list, init=False)
    asked: dict[int, Deferred[Any]] = field(factory=dict, init=False)
    closed: tuple[int, str] | None = field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.closed is None

    def authorize(self, who: Who) -> None:
        self.who = who

    def send(self, text: bytes) -> None:
        if self.closed is None:
            self.messages.append(msgspec.json.decode(text))

    def tell(self, outgoing: Outgoing) -> None:
        self.send(outgoing.text)

    def status_changed(self, delivery: Delivery) -> None:
        self.tell(delivery.outgoing)

    def request(self, method: str, params: object) -> Deferred[Any]:
        asked: Deferred[Any] = Deferred()
        if self.closed is not None:
            asked.errback(Unavailable("The client has disconnected"))
            return asked
        request_id = next(_ids)
        self.asked[request_id] = asked
        self.send(encode_request(request_id, method, params))
        return asked

    def answered(self, response: Response) -> None:
        asked = self.asked.pop(response.id, None) if isinstance(response.id, int) else None
        if asked is not None:
            answer(asked, response)

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)
        asked, self.asked = self.asked, {}
        for waiting in asked.values():
            waiting.errback(Unavailable("The client has disconnected"))

    def cut(self) -> None:
        self.close(1006, "")
