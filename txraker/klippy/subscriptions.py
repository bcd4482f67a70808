"""Who wishes to hear of what, the one subscription that serves them all, and each one's view of it.

Klippy gives a connection one subscription to printer objects. Here the wishes of all subscribers are
united into it; what Klippy sends is merged into a cache; and each *distinct* wish gets its share of a
change, once, however many subscribers have that wish.

A wish is pending until Klippy's answer covers it (:meth:`Subscriptions.activate`); a wish that the union
covers already can be activated at once. Until then the subscriber's earlier wish stays in force.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec
from attrs import Factory, define, field

from txraker.events import StatusUpdate
from txraker.outgoing import Outgoing

Status = dict[str, dict[str, Any]]
"""Object name to field name to value, as in Klippy's ``status``."""

Union = dict[str, frozenset[str] | None]
"""Object name to field names, None standing for every field."""


class Wish(msgspec.Struct, frozen=True):
    """Printer objects and fields somebody wants; equal however it was spelled.

    ``objects`` pairs object names with sorted field names, or with None for every field.
    """

    objects: tuple[tuple[str, tuple[str, ...] | None], ...] = ()

    @classmethod
    def of(cls, objects: Mapping[str, Iterable[str] | None]) -> Wish:
        """Make a wish of Klippy's form: object names to lists of fields, or to None for all."""
        return cls(
            tuple(
                (name, None if fields is None else tuple(sorted(set(fields))))
                for name, fields in sorted(objects.items())
            )
        )

    def params(self) -> dict[str, list[str] | None]:
        """Return the wish in the form of Klippy's ``objects`` parameter."""
        return {name: None if fields is None else list(fields) for name, fields in self.objects}

    @property
    def size(self) -> int:
        """How many characters its names have, of objects and of fields."""
        return sum(len(name) + sum(map(len, fields or ())) for name, fields in self.objects)

    def __bool__(self) -> bool:
        return bool(self.objects)


@define(repr=False)
class Delivery:
    """One change, for all subscribers of one wish: encoded once, when the first client asks."""

    update: StatusUpdate
    subscribers: tuple[Any, ...]

    @cached_property
    def outgoing(self) -> Outgoing:
        """The notification as clients get it."""
        return Outgoing(self.update.encode())


@define(eq=False, repr=False)
class Pending:
    """A wish that is not in force yet."""

    subscriber: Hashable
    wish: Wish


@define(repr=False)
class Subscriptions:
    """The wishes, their union, the cache and the views. Pure: told what happened, it says what to do."""

    _active: dict[Hashable, Wish] = Factory(dict)
    _pending: dict[Pending, None] = Factory(dict)
    _subscribers: dict[Wish, dict[Hashable, None]] = Factory(dict)
    _covered: Union = Factory(dict)
    _cache: Status = Factory(dict)
    _union: Union | None = field(default=None, init=False)
    eventtime: float = field(default=0.0, init=False)
    """Klippy's clock (s) at the newest status."""

    def wish(self, subscriber: Hashable, wish: Wish) -> Pending:
        """Note what a subscriber will wish, instead of anything it wished and doesn't have yet.

        The answer is what to activate when the wish is covered.
        """
        self._drop_pending(subscriber)
        self._union = None
        pending = Pending(subscriber, wish)
        self._pending[pending] = None
        return pending

    def activate(self, pending: Pending) -> StatusUpdate:
        """Put a covered wish in force and return all it asks for, as it is now.

        A wish that was withdrawn or replaced meanwhile is answered, but stays without effect.
        """
        subscriber, wish = pending.subscriber, pending.wish
        if self.drop(pending):
            self._retire(subscriber)
            self._active[subscriber] = wish
            self._subscribers.setdefault(wish, {})[subscriber] = None
        return StatusUpdate(self.view(wish), self.eventtime)

    def drop(self, pending: Pending) -> bool:
        """Forget a pending wish and say whether it still was pending."""
        self._union = None
        was_pending = pending in self._pending
        self._pending.pop(pending, None)
        return was_pending

    def withdraw(self, subscriber: Hashable) -> None:
        """Forget a subscriber, known or not."""
        self._union = None
        self._drop_pending(subscriber)
        self._retire(subscriber)

    def waits(self, pending: Pending) -> bool:
        """Say whether a wish is still pending and not covered."""
        return pending in self._pending and not self.covers(pending.wish)

    def _drop_pending(self, subscriber: Hashable) -> None:
        for pending in [pending for pending in self._pending if pending.subscriber == subscriber]:
            del self._pending[pending]

    def _retire(self, subscriber: Hashable) -> None:
        wish = self._active.pop(subscriber, None)
        if wish is not None:
            sharers = self._subscribers[wish]
            del sharers[subscriber]
            if not sharers:
                del self._subscribers[wish]

    def union(self) -> Union:
        """Return what Klippy must be subscribed to for every wish, active and pending."""
        if self._union is None:
            self._union = _union({*self._subscribers, *(pending.wish for pending in self._pending)})
        return self._union

    def covers(self, wish: Wish) -> bool:
        """Say whether Klippy's subscription has all of a wish already."""
        return covers(self._covered, wish)

    def needs_klippy(self) -> bool:
        """Say whether Klippy's subscription is wider or narrower than it should be."""
        return self.union() != self._covered

    def subscribed(self, union: Union, status: Status, eventtime: float) -> list[Delivery]:
        """Take Klippy's answer to a subscription to ``union``: all values as they are now.

        Klippy will report changes against these values, so what differs from the cache is news for the
        active subscribers, and is returned.
        """
        self.eventtime = eventtime
        changed: Status = {}
        for name, fields in status.items():
            known = self._cache.get(name, {})
            news = {key: value for key, value in fields.items() if key not in known or known[key] != value}
            if news:
                changed[name] = news
        self._covered = union
        self._cache = status
        return self._deliveries(changed)

    def changed(self, status: Status, eventtime: float) -> list[Delivery]:
        """Merge one of Klippy's updates and return each distinct wish's share of it."""
        self.eventtime = eventtime
        for name, fields in status.items():
            self._cache.setdefault(name, {}).update(fields)
        return self._deliveries(status)

    def view(self, wish: Wish) -> Status:
        """Return what the cache holds of a wish; unknown objects are empty, unknown fields None."""
        view: Status = {}
        for name, fields in wish.objects:
            known = self._cache.get(name, {})
            if fields is None:
                view[name] = dict(known)
            else:
                view[name] = {key: known.get(key) for key in fields} if known else {}
        return view

    def reset(self) -> None:
        """Forget everything: Klippy is gone and with it every subscription."""
        self._active.clear()
        self._pending.clear()
        self._subscribers.clear()
        self._covered = {}
        self._cache = {}
        self._union = None

    def _deliveries(self, changed: Status) -> list[Delivery]:
        deliveries = []
        for wish, subscribers in self._subscribers.items():
            share = _share(wish, changed)
            if share:
                deliveries.append(Delivery(StatusUpdate(share, self.eventtime), tuple(subscribers)))
        return deliveries


def united(wishes: Iterable[Wish]) -> Wish:
    """Return the wish for all that any of these asks for."""
    return Wish.of(_union(wishes))


def _union(wishes: Iterable[Wish]) -> Union:
    union: dict[str, set[str] | None] = {}
    for wish in wishes:
        for name, fields in wish.objects:
            if fields is None:
                union[name] = None
            elif (known := union.setdefault(name, set())) is not None:
                known.update(fields)
    return {name: None if fields is None else frozenset(fields) for name, fields in union.items()}


def covers(union: Union, wish: Wish) -> bool:
    """Say whether a union has all of a wish."""
    for name, fields in wish.objects:
        if name not in union:
            return False
        united = union[name]
        if united is not None and (fields is None or not united.issuperset(fields)):
            return False
    return True


def _share(wish: Wish, changed: Status) -> Status:
    share: Status = {}
    for name, fields in wish.objects:
        news = changed.get(name)
        if not news:
            continue
        wanted = news if fields is None else {key: news[key] for key in fields if key in news}
        if wanted:
            share[name] = wanted
    return share
