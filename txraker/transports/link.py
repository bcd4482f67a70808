"""A client's end of the server, whatever connects it: requests in, answers and notifications out.

Each client has a bounded queue, and only so many requests under way: a client that is slow, or that asks more
than it waits for, meets its own limits and nobody else's.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, Protocol

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txraker.api import jsonrpc
from txraker.api.caller import Caller, Transport, Who
from txraker.api.dispatch import Dispatcher
from txraker.clients import POLICY_VIOLATION, ClientIdentity, Clients
from txraker.errors import ClientError, Unavailable
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IConnection, IStatusFeed, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery
from txraker.outgoing import Framing, Outgoing
from txraker.transports.outbox import Outbox

MOST_REQUESTS = 256
"""Requests of one client that may be under way; further ones are refused, except what is urgent."""

MOST_QUESTIONS = 32
"""Requests of ours that a client may have to answer at once; further ones fail."""

REQUESTS_A_SECOND = 1000.0
"""Requests a client may keep asking; one that asks more is read from more slowly."""

BURST = 2000.0
"""Requests a client may ask at once before it is held to that rate."""

DEEPEST_DEBT = 5000.0
"""Requests that a client can be in debt with: five seconds of its rate."""

LEAST_PAUSE = 0.05
"""Seconds for which a client over its rate rests at least: to pause for each message is work, too."""

OVER_RATE = "over its rate"
"""A reason not to read from a client."""

KNOWN_WITHIN = 60.0
"""Seconds in which a client must say who it is that may do nothing before."""

ABORT_AFTER = 2.0
"""Seconds that a client has to take leave before its connection is cut."""

TRY_AGAIN_LATER = 1013


class Wire(Protocol):
    """What a link needs of its connection."""

    @property
    def framing(self) -> Framing:
        """How a text is framed on it."""

    @property
    def is_idle(self) -> bool:
        """Whether everything written so far has been sent."""

    @property
    def progress(self) -> int:
        """A number that changes when the client is seen to read."""

    def write(self, data: bytes) -> None:
        """Send framed bytes."""

    def take_leave(self, code: int, reason: str) -> None:
        """Say goodbye, where the connection has words for that, and close."""

    def abort(self) -> None:
        """Cut the connection."""

    def pause_reading(self, reason: str) -> None:
        """Take no more from the client as long as there is a reason."""

    def resume_reading(self, reason: str) -> None:
        """Go on taking from the client, if this was the last reason not to."""


@define(eq=False, repr=False)
class LinkService:
    """What the links of one printer's server share.

    ``queue_bytes`` may wait for a client, and for ``queue_seconds`` at the most.
    """

    clock: IReactorTime
    dispatcher: Dispatcher
    clients: Clients
    status: IStatusFeed
    report_fault: FaultReport
    log: Logger
    queue_bytes: int
    queue_seconds: float


@implementer(IConnection, IStatusSubscriber)
@define(eq=False, repr=False)
class Link:
    """One client on a persistent connection. ``_caller`` is who opened it."""

    _service: LinkService
    _wire: Wire
    _caller: Caller
    identity: ClientIdentity | None = None
    connection_id: int = field(init=False)
    _outbox: Outbox = field(init=False)
    _open: bool = field(default=False, init=False)
    _leaving: bool = field(default=False, init=False)
    _asked: dict[int, Deferred[Any]] = field(factory=dict, init=False)
    _ids: count[int] = field(factory=lambda: count(1), init=False)
    _seen_progress: int = field(default=0, init=False)
    _read_at: float = field(default=-math.inf, init=False)
    _under_way: int = field(default=0, init=False)
    _stranger: IDelayedCall | None = field(default=None, init=False)
    _reading_on: IDelayedCall | None = field(default=None, init=False)
    _allowance: float = field(default=BURST, init=False)
    _allowed_at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        service = self._service
        self.connection_id = service.clients.new_id()
        self._caller = msgspec.structs.replace(self._caller, connection=self)
        self._outbox = Outbox(self._wire.framing, service.queue_bytes, service.queue_seconds)
        self._allowed_at = service.clock.seconds()

    def opened(self) -> None:
        """Begin: the client counts, and hears notifications once it is known."""
        self._open = True
        self._service.clients.add(self)
        self._expect_to_know()

    @property
    def is_known(self) -> bool:
        """Whether the client may do anything beyond saying who it is."""
        return self._caller.is_known

    @property
    def transport(self) -> Transport:
        return self._caller.transport

    @property
    def address(self) -> str:
        return self._caller.address

    @property
    def who(self) -> Who:
        return self._caller.who

    @property
    def otherwise(self) -> Who:
        return self._caller.otherwise

    def authorize(self, who: Who) -> None:
        self._caller = msgspec.structs.replace(self._caller, who=who)
        if not self.is_known:
            self._service.status.unsubscribe(self)
            if self.identity is not None and self.identity.type == "agent":
                self.close(POLICY_VIOLATION, "Unauthorized")
        self._expect_to_know()

    def _expect_to_know(self) -> None:
        """Give a client that isn't known some time to say who it is."""
        if self._stranger is not None:
            self._stranger.cancel()
            self._stranger = None
        if not self._caller.is_known and self._open:
            self._stranger = self._service.clock.callLater(KNOWN_WITHIN, self._turn_away)

    def _turn_away(self) -> None:
        self._stranger = None
        self.close(POLICY_VIOLATION, "Unauthorized")

    def closed(self) -> None:
        """End: the client and what it subscribed to are forgotten."""
        if self._open:
            self._open = False
            if self._stranger is not None:
                self._stranger.cancel()
                self._stranger = None
            if self._reading_on is not None:
                self._reading_on.cancel()
                self._reading_on = None
            self._outbox.clear()
            self._service.status.unsubscribe(self)
            self._service.clients.remove(self)
            asked, self._asked = self._asked, {}
            for waiting in asked.values():
                if not waiting.called:
                    waiting.errback(Unavailable("The client has disconnected"))

    def received(self, text: bytes) -> None:
        """Take a message; requests run side by side and are answered as they finish."""
        if not self.is_open:
            return
        self.charge(max(1.0, text.count(b'"method"')))
        run_aside(self._answer(text), "a client's message", self._service.report_fault)

    async def _answer(self, text: bytes) -> None:
        busy = self._under_way >= MOST_REQUESTS
        self._under_way += 1
        try:
            answer = await self._service.dispatcher.answer(text, self._caller, busy=busy)
        finally:
            self._under_way -= 1
        if answer is not None:
            self.send(answer)

    def charge(self, requests: float) -> None:
        """Count work that the client causes, in requests; over its rate it is not read from for a while."""
        if not self._open:
            return
        clock = self._service.clock
        now = clock.seconds()
        earned = (now - self._allowed_at) * REQUESTS_A_SECOND
        self._allowance = max(-DEEPEST_DEBT, min(BURST, self._allowance + earned) - requests)
        self._allowed_at = now
        if self._allowance < 0 and self._reading_on is None:
            self._wire.pause_reading(OVER_RATE)
            pause = max(LEAST_PAUSE, -self._allowance / REQUESTS_A_SECOND)
            self._reading_on = clock.callLater(pause, self._read_on)

    def _read_on(self) -> None:
        self._reading_on = None
        self.charge(0.0)
        if self._reading_on is None and self._open:
            self._wire.resume_reading(OVER_RATE)

    @property
    def is_open(self) -> bool:
        return self._open and not self._leaving

    def send(self, text: bytes) -> None:
        if self.is_open:
            if self._wire.is_idle:
                self._wire.write(self._wire.framing(text))
            else:
                self._outbox.put_reply(text, self._service.clock.seconds())
                self._check()

    def tell(self, outgoing: Outgoing) -> None:
        if self.is_open:
            if self._wire.is_idle:
                self._wire.write(outgoing.framed(self._wire.framing))
            else:
                self._outbox.put_notification(outgoing, self._service.clock.seconds())
                self._check()

    def status_changed(self, delivery: Delivery) -> None:
        if self.is_open and self.is_known:
            if self._wire.is_idle:
                self._wire.write(delivery.outgoing.framed(self._wire.framing))
            else:
                self._outbox.put_status(delivery, self._service.clock.seconds())
                self._check()

    def request(self, method: str, params: object) -> Deferred[Any]:
        asked: Deferred[Any] = Deferred()
        if not self._open or not self.is_known or len(self._asked) >= MOST_QUESTIONS:
            reason = "has too many requests to answer" if self._open else "has disconnected"
            asked.errback(Unavailable(f"The client {reason}"))
            return asked
        request_id = next(self._ids)
        self._asked[request_id] = asked
        self.send(jsonrpc.encode_request(request_id, method, params))
        return asked

    def answered(self, response: jsonrpc.Response) -> None:
        asked = self._asked.pop(response.id, None) if type(response.id) is int else None
        if asked is not None and not asked.called:
            answer(asked, response)

    def close(self, code: int, reason: str) -> None:
        self._leaving = True
        self._outbox.clear()
        self._wire.take_leave(code, reason)

    def cut(self) -> None:
        self._wire.abort()

    def drained(self) -> None:
        """Write what waits, for as long as the connection takes it."""
        while self._outbox and self._wire.is_idle:
            self._wire.write(self._outbox.take_many())

    def _check(self) -> None:
        now = self._service.clock.seconds()
        if self._wire.progress != self._seen_progress:
            self._seen_progress = self._wire.progress
            self._read_at = now
        excess = self._outbox.excess(now, self._read_at)
        if excess:
            name = self.identity.client_name if self.identity is not None else "unidentified"
            self._service.log.warn(
                "Closing the connection of {name} at {address}: {excess}",
                name=name,
                address=self.address,
                excess=excess,
            )
            self.closed()
            self._wire.take_leave(TRY_AGAIN_LATER, "Too slow: try again later")
            self._service.clock.callLater(ABORT_AFTER, self._wire.abort)


def answer(asked: Deferred[Any], response: jsonrpc.Response) -> None:
    """Give a client's answer to who asked; its error is passed on with its code."""
    error = response.error
    if error is None:
        asked.callback(response.result)
    elif isinstance(error, dict):
        code = error.get("code")
        asked.errback(ClientError(str(error.get("message", error)), code if type(code) is int else 400))
    else:
        asked.errback(ClientError(str(error), 400))
