"""The status feed: keeps Klippy's one subscription as wide as the wishes and hands out what changes."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from txraker.errors import ApiError, InternalError, KlippyDisconnected, KlippyError
from txraker.events import StatusUpdate
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IStatusFeed, IStatusSubscriber
from txraker.klippy.freshness import MOST_SECONDS, Freshness
from txraker.klippy.subscriptions import Delivery, Pending, Subscriptions, Wish, united

NARROW_AFTER = 5.0
"""Seconds after which Klippy is told that fewer objects are wanted: a reloaded page wants them again."""

REPEATED_WITHIN = 30.0
"""Seconds within which those who poll ask the same again; after as long without them they are forgotten."""

LARGEST_POLLED = 16 * 1024
"""Characters of all names in the queries that are followed; what goes beyond that isn't."""

MOST_ASKED = 256
"""Different queries that are remembered, to find those that come again."""

MOST_POLLED = 32
"""Different queries that are followed at once."""

STATUS_METHOD = "process_status_update"
"""The method name that Klippy puts on status updates, because our subscription asks for it."""


class _Status(msgspec.Struct):
    """What Klippy says of objects, in updates and in answers."""

    status: dict[str, dict[str, Any]]
    eventtime: float


@implementer(IStatusSubscriber)
class _Pollers:
    """Stands for all who poll: they ask, and needn't be told."""

    def status_changed(self, delivery: Delivery) -> None:
        """Leave it in the cache."""


_POLLERS = _Pollers()


@implementer(IStatusFeed)
@define(eq=False, repr=False)
class StatusFeed:
    """Provides IStatusFeed on a Klippy connection.

    ``ask_klippy`` sends a request; wishes that come up in one turn of the reactor, or while a request is
    under way, go into one request. ``freshness`` says whether the cache may answer queries.

    A query that the subscription doesn't cover is asked of Klippy, once for all who ask the same; one that
    comes again makes what it asks for a wish of our own, so that polling costs Klippy next to nothing.
    """

    _clock: IReactorTime
    _ask_klippy: Callable[[str, Mapping[str, object]], Awaitable[dict[str, Any]]]
    _freshness: Freshness
    _report_fault: FaultReport
    _subscriptions: Subscriptions = Factory(Subscriptions)
    _waiting: dict[Pending, Deferred[None]] = Factory(dict)
    _queries: dict[tuple[Wish, tuple[int, int]], list[Deferred[StatusUpdate]]] = Factory(dict)
    _awaiting_tick: list[Deferred[None]] = Factory(list)
    _asked: dict[Wish, float] = Factory(dict)
    _polled: set[Wish] = Factory(set)
    _forgetting: IDelayedCall | None = field(default=None, init=False)
    _asking: bool = field(default=False, init=False)
    _settling: bool = field(default=False, init=False)
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

    async def query(self, objects: Mapping[str, list[str] | None]) -> StatusUpdate:
        wish = Wish.of(objects)
        self._note_interest(wish)
        if self._subscriptions.covers(wish):
            if self._freshness.awaits_tick(self._clock.seconds()):
                await self._next_tick()
            if self._subscriptions.covers(wish) and self._freshness.is_fresh(self._clock.seconds()):
                return StatusUpdate(self._subscriptions.view(wish), self._subscriptions.eventtime)
        return await self._shared_query(wish)

    async def _next_tick(self) -> None:
        """Wait for the tick at which Klippy would answer, too; not for longer than it may take."""
        ticked: Deferred[None] = Deferred()
        self._awaiting_tick.append(ticked)
        with suppress(DeferredTimeout):
            await ticked.addTimeout(MOST_SECONDS, self._clock)

    def ticked(self) -> None:
        """Go on with queries that waited for a tick: it has come in, and the freshness knows of it."""
        awaiting, self._awaiting_tick = self._awaiting_tick, []
        for waiting in awaiting:
            if not waiting.called:
                waiting.callback(None)

    def _shared_query(self, wish: Wish) -> Deferred[StatusUpdate]:
        """Ask Klippy, together with those who asked the same since something may have changed."""
        key = (wish, self._freshness.epoch)
        answered: Deferred[StatusUpdate] = Deferred()
        if key in self._queries:
            self._queries[key].append(answered)
        else:
            self._queries[key] = [answered]
            run_aside(self._query_klippy(key), "objects/query", self._report_fault)
        return answered

    async def _query_klippy(self, key: tuple[Wish, tuple[int, int]]) -> None:
        outcome: StatusUpdate | ApiError
        try:
            answer = await self._ask_klippy("objects/query", {"objects": key[0].params()})
            news = msgspec.convert(answer, _Status)
            outcome = StatusUpdate(news.status, news.eventtime)
        except msgspec.ValidationError:
            outcome = KlippyError("Klippy's answer to objects/query can't be understood")
        except ApiError as error:
            outcome = error
        except Exception as fault:
            outcome = InternalError(self._report_fault("objects/query", fault))
        for answered in self._queries.pop(key):
            if answered.called:
                continue
            if isinstance(outcome, ApiError):
                answered.errback(outcome)
            else:
                answered.callback(outcome)

    def _note_interest(self, wish: Wish) -> None:
        """Note a query; one that comes again is one of those that are polled."""
        if wish.size > LARGEST_POLLED:
            return
        now = self._clock.seconds()
        asked_before = self._asked.pop(wish, -math.inf)
        self._asked[wish] = now
        if len(self._asked) > MOST_ASKED:
            del self._asked[next(asked for asked in self._asked if asked not in self._polled)]
        comes_again = now - asked_before < REPEATED_WITHIN
        if comes_again and wish not in self._polled and len(self._polled) < MOST_POLLED:
            if united({*self._polled, wish}).size > LARGEST_POLLED:
                return
            self._polled.add(wish)
            self._follow_polled()
            if self._forgetting is None:
                self._forgetting = self._clock.callLater(REPEATED_WITHIN, self._forget_unpolled)

    def _forget_unpolled(self) -> None:
        self._forgetting = None
        now = self._clock.seconds()
        still = {wish for wish in self._polled if now - self._asked[wish] < REPEATED_WITHIN}
        if still != self._polled:
            self._polled = still
            self._follow_polled()
        if still:
            self._forgetting = self._clock.callLater(REPEATED_WITHIN, self._forget_unpolled)

    def _follow_polled(self) -> None:
        following = self.subscribe(_POLLERS, united(self._polled))
        run_aside(following, "following what is polled", self._report_fault, ApiError)

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
        self._asked.clear()
        self._polled.clear()
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if self._next_ask is not None:
            self._next_ask.cancel()
            self._next_ask = None
        self._disappoint(KlippyDisconnected())
        self.ticked()

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
        if self._settling:
            return
        self._settling = True
        try:
            while ripe := [pending for pending in self._waiting if not self._subscriptions.waits(pending)]:
                for pending in ripe:
                    if pending in self._waiting:
                        self._waiting.pop(pending).callback(None)
        finally:
            self._settling = False
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
