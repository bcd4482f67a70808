"""Pure: querying printer objects, and telling subscribers what changed.

While anybody is subscribed, everything about status happens on a tick: queries and new subscriptions wait
for the next one. A subscriber is only told the fields whose values differ from what it was told last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from txraker.simulator.feature import Provider, Status

Wanted = Mapping[str, list[str] | None]
"""What to report: object name -> field names, None for all of them."""

Reply = Callable[[float, dict[str, Status]], None]
"""Receives the event time of a report, and the report."""


@define
class _Subscription:
    wanted: Wanted
    notify: Reply
    known: dict[str, Status] = field(factory=dict)


@frozen
class _Query:
    wanted: Wanted
    reply: Reply
    subscriber: object | None = None
    notify: Reply | None = None


def _nothing() -> None:
    """Do nothing."""


@define
class StatusBoard:
    """Every printer object by name, and who wants to hear about which.

    ``now`` is real time, event times are what reports are stamped with. ``period`` is the time between the
    ticks on which queries are answered, ``update_period`` that between updates: the same in a real Klippy.
    ``before_update`` is called before each update, ``told`` after one went to a subscriber.
    """

    period: float
    update_period: float
    before_update: Callable[[], None] = _nothing
    told: Callable[[], None] = _nothing
    providers: dict[str, Provider] = field(factory=dict)
    _subscriptions: dict[object, _Subscription] = field(factory=dict)
    _queries: list[_Query] = field(factory=list)
    _next_answers: float | None = None
    _next_update: float | None = None

    @property
    def next_tick(self) -> float | None:
        """When :meth:`tick` is due, None while nobody waits for anything."""
        if self._next_answers is None or self._next_update is None:
            return self._next_answers if self._next_update is None else self._next_update
        return min(self._next_answers, self._next_update)

    def change_rate(self, now: float, update_period: float) -> None:
        """Send updates that far apart from now on."""
        self.update_period = update_period
        if self._next_update is not None:
            self._next_update = now + update_period

    def query(self, now: float, wanted: Wanted, reply: Reply) -> None:
        """Answer with the objects' state at the next tick - at once, when no tick is under way."""
        self._enqueue(now, _Query(wanted, reply))

    def subscribe(self, now: float, subscriber: object, wanted: Wanted, reply: Reply, notify: Reply) -> None:
        """Answer like :meth:`query`, then notify of changes; replaces an earlier subscription."""
        self._enqueue(now, _Query(wanted, reply, subscriber, notify))

    def unsubscribe(self, subscriber: object) -> None:
        """Stop telling a subscriber, which may not be one."""
        self._subscriptions.pop(subscriber, None)
        self._queries = [query for query in self._queries if query.subscriber is not subscriber]

    def tick(self, now: float, eventtime: float) -> None:
        """Tell subscribers what changed, then answer those who wait, each if it is due; plan what follows."""
        report = _Report(self.providers)
        if self._next_update is not None and self._next_update <= now:
            self.before_update()
            self._tell(eventtime, report)
            self._next_update += self.update_period
        if self._next_answers is not None and self._next_answers <= now:
            due = self._next_answers
            self._answer(eventtime, report)
            self._next_answers = due + self.period
            if self._next_update is None:
                self._next_update = due + self.update_period
        if not self._subscriptions:
            self._next_update = None
            self._next_answers = self._next_answers if self._queries else None

    def _tell(self, eventtime: float, report: _Report) -> None:
        for subscription in list(self._subscriptions.values()):
            changes = _changes(subscription.known, report.on(subscription.wanted))
            if changes:
                subscription.notify(eventtime, changes)
                self.told()

    def _answer(self, eventtime: float, report: _Report) -> None:
        queries, self._queries = self._queries, []
        for query in queries:
            state = report.on(query.wanted)
            if query.subscriber is not None and query.notify is not None:
                self._register(query.subscriber, _Subscription(query.wanted, query.notify, state))
            query.reply(eventtime, state)

    def _register(self, subscriber: object, subscription: _Subscription) -> None:
        self._subscriptions.pop(subscriber, None)
        if subscription.wanted:
            self._subscriptions[subscriber] = subscription

    def _enqueue(self, now: float, query: _Query) -> None:
        self._queries.append(query)
        if self._next_answers is None:
            self._next_answers = now


@define
class _Report:
    """The state of objects at one moment; each object is asked once."""

    providers: Mapping[str, Provider]
    _asked: dict[str, Status] = field(factory=dict)

    def on(self, wanted: Wanted) -> dict[str, Status]:
        """The wanted objects: unknown ones are empty, unknown fields None."""
        return {name: self._select(name, fields) for name, fields in wanted.items()}

    def _select(self, name: str, fields: list[str] | None) -> Status:
        if name not in self._asked:
            provider = self.providers.get(name)
            self._asked[name] = provider() if provider is not None else {}
        status = self._asked[name]
        if name not in self.providers or fields is None:
            return status
        return {name: status.get(name) for name in fields}


def _changes(known: dict[str, Status], current: dict[str, Status]) -> dict[str, Status]:
    """What differs from what is known, which is brought up to date."""
    changes = {}
    for name, status in current.items():
        before = known.get(name, {})
        changed = {key: value for key, value in status.items() if key not in before or before[key] != value}
        if changed:
            changes[name] = changed
            known[name] = status
    return changes
