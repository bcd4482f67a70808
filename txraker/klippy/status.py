"""The status feed: keeps Klippy's one subscription as wide as the wishes and hands out what changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txraker.errors import ApiError, InternalError, KlippyDisconnected, KlippyError
from txraker.events import StatusUpdate
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IStatusFeed, IStatusSubscriber
from txraker.klippy.subscriptions import Delivery, Pending, Subscriptions, Wish

NARROW_AFTER = 5.0
"""Seconds after which Klippy is told that fewer objects are wanted: a reloaded page wants them again."""

STATUS_METHOD = "process_status_update"
"""The method name that Klippy puts on status updates, because our subscription asks for it."""


class _Status(msgspec.Struct):
    """What Klippy says of objects, in updates and in answers."""

    status: dict[str, dict[str, Any]]
    eventtime: float


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
    _waiting: dict[Pending, Deferred[None]] = Factory(dict)
    _asking: bool = field(default=False, init=False)
    _next_ask: IDelayedCall | None = field(default=None, init=False)

    async def subscribe(self, subscriber: IStatusSubscriber, wish: Wish) -> StatusUpdate:
        if not wish:
            self.unsubscribe(subscriber)
            return StatusUpdate({}, self._subscriptions.eventtime)
        pending = self._subscriptions.wish(subscriber, wish)
        try:
            if self._subscriptions.waits(pending):
                await self._until_covered(pending)
        except BaseException:
            self._subscriptions.drop(pending)
            raise
        update = self._subscriptions.activate(pending)
        self._settle()
        return update

    def unsubscribe(self, subscriber: IStatusSubscriber) -> None:
        self._subscriptions.withdraw(subscriber)
        self._settle()

    def changed(self, params: object) -> None:
        """Take one of Klippy's status updates: ``{"eventtime", "status"}``.

        Raises msgspec.ValidationError when it is something else.
        """
        news = msgspec.convert(params, _Status)
        self._deliver(self._subscriptions.changed(news.status, news.eventtime))

    def reset(self) -> None:
        """Klippy is gone: nobody is subscribed any more, and who waits is told so."""
        self._subscriptions.reset()
        if self._next_ask is not None:
            self._next_ask.cancel()
            self._next_ask = None
        self._disappoint(KlippyDisconnected())

    def _until_covered(self, pending: Pending) -> Deferred[None]:
        covered: Deferred[None] = Deferred(lambda _: self._forget(pending))
        self._waiting[pending] = covered
        if not self._asking:
            self._ask_after(0)
        return covered

    def _forget(self, pending: Pending) -> None:
        del self._waiting[pending]

    def _ask_after(self, seconds: float) -> None:
        if self._next_ask is not None:
            self._next_ask.cancel()
        self._next_ask = self._clock.callLater(seconds, self._start_asking)

    def _start_asking(self) -> None:
        self._next_ask = None
        run_aside(self._ask(), "objects/subscribe", self._report_fault)

    async def _ask(self) -> None:
        self._asking = True
        try:
            while self._subscriptions.needs_klippy():
                await self._ask_once()
        except ApiError as error:
            self._disappoint(error)
        except Exception as fault:
            self._disappoint(InternalError(self._report_fault("objects/subscribe", fault)))
        finally:
            self._asking = False
        self._settle()

    async def _ask_once(self) -> None:
        union = self._subscriptions.union()
        objects = {name: None if fields is None else sorted(fields) for name, fields in union.items()}
        answer = await self._ask_klippy(
            "objects/subscribe", {"objects": objects, "response_template": {"method": STATUS_METHOD}}
        )
        try:
            news = msgspec.convert(answer, _Status)
        except msgspec.ValidationError:
            raise KlippyError("Klippy's answer to objects/subscribe can't be understood") from None
        self._deliver(self._subscriptions.subscribed(union, news.status, news.eventtime))
        self._settle()

    def _settle(self) -> None:
        """Let go on who needs to wait no longer, and tell Klippy in a while if less is wanted."""
        for pending in list(self._waiting):
            if pending in self._waiting and not self._subscriptions.waits(pending):
                self._waiting.pop(pending).callback(None)
        if not self._asking and self._next_ask is None and self._subscriptions.needs_klippy():
            self._ask_after(NARROW_AFTER)

    def _disappoint(self, error: ApiError) -> None:
        waiting, self._waiting = self._waiting, {}
        for covered in waiting.values():
            covered.errback(error)

    def _deliver(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            for subscriber in delivery.subscribers:
                try:
                    subscriber.status_changed(delivery)
                except Exception as fault:
                    self._report_fault("status_changed", fault)
