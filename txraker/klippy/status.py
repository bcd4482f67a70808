"""The status feed: keeps Klippy's one subscription as wide as the wishes and hands out what changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txraker.errors import ApiError, KlippyError
from txraker.events import StatusUpdate
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IStatusFeed, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery, Subscriptions, Wish

NARROW_AFTER = 5.0
"""Seconds after which Klippy is told that fewer objects are wanted: a reloaded page wants them again."""

STATUS_METHOD = "process_status_update"
"""The method name that Klippy puts on status updates, because our subscription asks for it."""


@implementer(IStatusFeed)
@define(eq=False)
class StatusFeed:
    """Provides IStatusFeed on a Klippy connection.

    ``ask_klippy`` sends a request; wishes that come up in one turn of the reactor, or while a request is
    under way, go into one request.
    """

    _clock: IReactorTime
    _ask_klippy: Callable[[str, Mapping[str, object]], Awaitable[dict[str, Any]]]
    _report_fault: FaultReport
    _subscriptions: Subscriptions = Factory(Subscriptions)
    _waiting: list[tuple[Wish, Deferred[None]]] = Factory(list)
    _asking: bool = field(default=False, init=False)
    _next_ask: IDelayedCall | None = field(default=None, init=False)

    async def subscribe(self, subscriber: IStatusSubscriber, wish: Wish) -> StatusUpdate:
        subscriptions = self._subscriptions
        if not wish:
            self.unsubscribe(subscriber)
            return StatusUpdate({}, subscriptions.eventtime)
        pending = subscriptions.wish(subscriber, wish)
        try:
            if not subscriptions.covers(wish):
                await self._covered(wish)
        except ApiError:
            subscriptions.drop(pending)
            raise
        return subscriptions.activate(pending)

    def unsubscribe(self, subscriber: IStatusSubscriber) -> None:
        self._subscriptions.withdraw(subscriber)
        if self._next_ask is None and not self._asking and self._subscriptions.needs_klippy():
            self._next_ask = self._clock.callLater(NARROW_AFTER, self._start_asking)

    def changed(self, params: Mapping[str, Any]) -> None:
        """Take one of Klippy's status updates: ``{"eventtime", "status"}``."""
        self._deliver(self._subscriptions.changed(params["status"], params["eventtime"]))

    def reset(self) -> None:
        """Klippy is gone: nobody is subscribed any more, and who waits is told so by the failed request."""
        self._subscriptions.reset()
        if self._next_ask is not None and self._next_ask.active():
            self._next_ask.cancel()
        self._next_ask = None

    def _covered(self, wish: Wish) -> Deferred[None]:
        covered: Deferred[None] = Deferred()
        self._waiting.append((wish, covered))
        if not self._asking:
            if self._next_ask is not None:
                self._next_ask.cancel()
            self._next_ask = self._clock.callLater(0, self._start_asking)
        return covered

    def _start_asking(self) -> None:
        self._next_ask = None
        run_aside(self._ask(), "objects/subscribe", self._report_fault)

    async def _ask(self) -> None:
        self._asking = True
        try:
            while self._subscriptions.needs_klippy():
                await self._ask_once()
        except ApiError as error:
            waiting, self._waiting = self._waiting, []
            for _, covered in waiting:
                covered.errback(error)
        finally:
            self._asking = False

    async def _ask_once(self) -> None:
        union = self._subscriptions.union()
        objects = {name: None if fields is None else sorted(fields) for name, fields in union.items()}
        answer = await self._ask_klippy(
            "objects/subscribe", {"objects": objects, "response_template": {"method": STATUS_METHOD}}
        )
        try:
            deliveries = self._subscriptions.subscribed(union, answer["status"], answer["eventtime"])
        except (KeyError, TypeError, AttributeError):
            raise KlippyError("Klippy's answer to objects/subscribe can't be understood") from None
        self._deliver(deliveries)
        waiting, self._waiting = self._waiting, []
        for wish, covered in waiting:
            if self._subscriptions.covers(wish):
                covered.callback(None)
            else:
                self._waiting.append((wish, covered))

    def _deliver(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            for subscriber in delivery.subscribers:
                try:
                    subscriber.status_changed(delivery)
                except Exception as fault:
                    self._report_fault("status_changed", fault)
