"""One subscription for everybody: each subscriber sees what a Klippy of its own would show it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from txraker.klippy.subscriptions import Delivery, Pending, Status, Subscriptions, Union, Wish, covers

OBJECTS = ("toolhead", "extruder", "fan", "nosuch")
FIELDS = ("a", "b", "c", "unknown")

wishes = st.dictionaries(
    st.sampled_from(OBJECTS), st.none() | st.lists(st.sampled_from(FIELDS), max_size=4), max_size=4
)


def shown(truth: Status, wish: Wish) -> Status:
    """Return what a Klippy would answer to a wish."""
    return {
        name: {}
        if not truth.get(name)
        else dict(truth[name])
        if fields is None
        else {key: truth[name].get(key) for key in fields}
        for name, fields in wish.objects
    }


def as_wish(union: Union) -> Wish:
    """Return the wish for all of a union."""
    return Wish.of(union)


@define(eq=False)
class Client:
    """One who subscribes, and what it has made of all it heard."""

    wish: Wish | None = None
    seen: Status = field(factory=dict)

    def hear(self, status: Status) -> None:
        """Merge news as front-ends do."""
        for name, fields in status.items():
            self.seen.setdefault(name, {}).update(fields)


class ManySubscribers(RuleBasedStateMachine):
    """Any order of wishes, answers, changes and losses, against a Klippy for each subscriber."""

    clients = Bundle("clients")
    pendings = Bundle("pendings")

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions = Subscriptions()
        self.truth: Status = {name: dict.fromkeys(FIELDS[:3], 0) for name in OBJECTS[:3]}
        self.told: Status = {}
        self.klippy: Union = {}
        self.asked: list[Union] = []
        self.everybody: list[Client] = []
        self.open: dict[Pending, Client] = {}
        self.numbers = itertools.count(1)
        self.eventtime = 0.0

    @rule(target=clients)
    def client(self) -> Client:
        client = Client()
        self.everybody.append(client)
        return client

    @rule(target=pendings, client=clients, wanted=wishes)
    def wish(self, client: Client, wanted: dict[str, list[str] | None]) -> Pending:
        pending = self.subscriptions.wish(client, Wish.of(wanted))
        self.give_up(client)
        self.open[pending] = client
        return pending

    @rule(pending=consumes(pendings))
    def activate(self, pending: Pending) -> None:
        if not self.subscriptions.covers(pending.wish):
            return
        effective = pending in self.open
        client = self.open.pop(pending, None)
        answer = self.subscriptions.activate(pending)
        assert answer.status == shown(self.told, pending.wish)
        assert answer.eventtime == self.eventtime
        if effective and client is not None:
            client.wish = pending.wish
            client.seen = {name: dict(fields) for name, fields in answer.status.items()}

    @rule(pending=consumes(pendings))
    def drop(self, pending: Pending) -> None:
        assert self.subscriptions.drop(pending) is (pending in self.open)
        self.open.pop(pending, None)

    @rule(client=clients)
    def withdraw(self, client: Client) -> None:
        self.subscriptions.withdraw(client)
        self.forget(client)

    def forget(self, client: Client) -> None:
        client.wish = None
        self.give_up(client)

    def give_up(self, client: Client) -> None:
        self.open = {pending: owner for pending, owner in self.open.items() if owner is not client}

    @rule(name=st.sampled_from(OBJECTS[:3]), key=st.sampled_from(FIELDS[:3]))
    def the_printer_moves(self, name: str, key: str) -> None:
        self.truth[name][key] = next(self.numbers)

    @rule()
    def tick(self) -> None:
        """Klippy reports what changed of what it is subscribed to."""
        news: Status = {}
        for name, fields in shown(self.truth, as_wish(self.klippy)).items():
            known = self.told.get(name, {})
            changed = {key: value for key, value in fields.items() if known.get(key) != value}
            if changed:
                news[name] = changed
        if news:
            self.eventtime += 0.25
            for name, fields in news.items():
                self.told.setdefault(name, {}).update(fields)
            self.deliver(self.subscriptions.changed(msgspec_copy(news), self.eventtime))

    @rule()
    def ask(self) -> None:
        """A request goes to Klippy."""
        if not self.asked:
            self.asked.append(self.subscriptions.union())

    @precondition(lambda self: self.asked)
    @rule()
    def answer(self) -> None:
        """Klippy answers it."""
        self.klippy = self.asked.pop()
        self.eventtime += 0.01
        self.told = shown(self.truth, as_wish(self.klippy))
        deliveries = self.subscriptions.subscribed(self.klippy, msgspec_copy(self.told), self.eventtime)
        self.deliver(deliveries)

    @rule()
    def reset(self) -> None:
        self.subscriptions.reset()
        self.klippy, self.told = {}, {}
        self.asked.clear()
        for client in self.everybody:
            self.forget(client)

    def deliver(self, deliveries: list[Delivery]) -> None:
        told = [client for delivery in deliveries for client in delivery.subscribers]
        assert len(told) == len(set(told)), "somebody was told twice of one change"
        wishes = {client.wish for client in told}
        assert len(deliveries) == len(wishes), "one wish was served by several deliveries"
        for delivery in deliveries:
            assert delivery.update.eventtime == self.eventtime
            assert delivery.update.status, "there was nothing to say"
            assert len({client.wish for client in delivery.subscribers}) == 1
            for client in delivery.subscribers:
                client.hear(delivery.update.status)

    @invariant()
    def everybody_sees_what_klippy_told(self) -> None:
        for client in self.everybody:
            if client.wish is not None and covers(self.klippy, client.wish):
                assert client.seen == shown(self.told, client.wish)

    @invariant()
    def the_union_serves_all(self) -> None:
        union = self.subscriptions.union()
        wanted = [pending.wish for pending in self.open]
        wanted += [client.wish for client in self.everybody if client.wish is not None]
        assert all(covers(union, wish) for wish in wanted)
        assert set(union) == {name for wish in wanted for name, _ in wish.objects}
        assert self.subscriptions.needs_klippy() is (union != self.klippy)
        for pending in self.open:
            assert self.subscriptions.waits(pending) is not covers(self.klippy, pending.wish)

    def teardown(self) -> None:
        """In the end, with Klippy's subscription as wide as it should be, everybody sees the truth."""
        self.asked.clear()
        self.ask()
        self.answer()
        self.tick()
        for client in self.everybody:
            if client.wish is not None:
                assert client.seen == shown(self.truth, client.wish)


def msgspec_copy(status: Status) -> Any:
    """Return what arrives of a status over the wire: equal, and shared with nobody."""
    return msgspec.json.decode(msgspec.json.encode(status))


TestManySubscribers = ManySubscribers.TestCase


@given(st.permutations([("a", ["y", "x", "x"]), ("b", None), ("c", [])]))
def test_equal_wishes(objects: list[tuple[str, list[str] | None]]) -> None:
    """Wishes are equal however they are spelled, and read back in Klippy's form."""
    wish = Wish.of(dict(objects))
    assert wish == Wish.of({"c": (), "b": None, "a": ("x", "y")})
    assert hash(wish) == hash(Wish.of({"c": (), "b": None, "a": {"x", "y"}}))
    assert wish.params() == {"a": ["x", "y"], "b": None, "c": []}


def test_empty_wish() -> None:
    """A wish for nothing is false, a wish for an object's existence is not."""
    assert not Wish.of({})
    assert Wish.of({"a": []})


def active(subscriptions: Subscriptions, status: Status, *wanted: dict[str, list[str] | None]) -> list[str]:
    """Give subscriptions a subscriber for each wish, and Klippy's answer; their names."""
    pendings = [subscriptions.wish(f"s{number}", Wish.of(wish)) for number, wish in enumerate(wanted)]
    subscriptions.subscribed(subscriptions.union(), status, 1.0)
    for pending in pendings:
        subscriptions.activate(pending)
    return [str(pending.subscriber) for pending in pendings]


def test_equal_wishes_share_a_delivery() -> None:
    """Subscribers of one wish are served by one delivery, whose text is encoded once."""
    subscriptions = Subscriptions()
    active(subscriptions, {"a": {"x": 1, "y": 1}}, {"a": ["x", "y"]}, {"a": ["y", "x"]}, {"a": ["x"]})
    deliveries = subscriptions.changed({"a": {"x": 2}}, 2.0)
    assert [delivery.subscribers for delivery in deliveries] == [("s0", "s1"), ("s2",)]
    assert deliveries[0].outgoing is deliveries[0].outgoing
    assert msgspec.json.decode(deliveries[0].outgoing.text) == {
        "jsonrpc": "2.0",
        "method": "notify_status_update",
        "params": [{"a": {"x": 2}}, 2.0],
    }


def test_nothing_for_those_it_does_not_concern() -> None:
    """A change of what a subscriber does not wish for makes no delivery."""
    subscriptions = Subscriptions()
    active(subscriptions, {"a": {"x": 1, "y": 1}}, {"a": ["x", "y"]}, {"a": ["x"]}, {"b": None})
    deliveries = subscriptions.changed({"a": {"y": 2}}, 2.0)
    assert [delivery.subscribers for delivery in deliveries] == [("s0",)]


def test_unchanged_values_in_a_new_answer_are_no_news() -> None:
    """Klippy's answer to a wider subscription tells the others only what differs."""
    subscriptions = Subscriptions()
    active(subscriptions, {"a": {"x": 1, "y": 1}}, {"a": ["x", "y"]})
    subscriptions.wish("late", Wish.of({"b": None}))
    answer = {"a": {"x": 1, "y": 5}, "b": {"z": 1}}
    deliveries = subscriptions.subscribed(subscriptions.union(), answer, 2.0)
    assert [delivery.update.status for delivery in deliveries] == [{"a": {"y": 5}}]


def test_the_earlier_wish_holds_until_the_new_one_is_covered() -> None:
    """While a new wish is pending, its subscriber hears of what it wished before."""
    subscriptions = Subscriptions()
    active(subscriptions, {"a": {"x": 1}}, {"a": None})
    pending = subscriptions.wish("s0", Wish.of({"b": None}))
    (delivery,) = subscriptions.changed({"a": {"x": 2}}, 2.0)
    assert delivery.subscribers == ("s0",)
    subscriptions.subscribed(subscriptions.union(), {"a": {"x": 2}, "b": {"z": 1}}, 3.0)
    assert subscriptions.activate(pending).status == {"b": {"z": 1}}
    assert subscriptions.changed({"a": {"x": 3}}, 4.0) == []


def test_withdrawn_while_pending() -> None:
    """A wish whose subscriber left meanwhile is answered and has no effect."""
    subscriptions = Subscriptions()
    pending = subscriptions.wish("s", Wish.of({"a": None}))
    subscriptions.subscribed(subscriptions.union(), {"a": {"x": 1}}, 1.0)
    subscriptions.withdraw("s")
    assert subscriptions.activate(pending).status == {"a": {"x": 1}}
    assert subscriptions.changed({"a": {"x": 2}}, 2.0) == []
    assert subscriptions.union() == {}


def test_replaced_while_pending() -> None:
    """Of two wishes of one subscriber that wait, only the later one counts."""
    subscriptions = Subscriptions()
    first = subscriptions.wish("s", Wish.of({"a": None}))
    second = subscriptions.wish("s", Wish.of({"b": None}))
    assert (subscriptions.waits(first), subscriptions.waits(second)) == (False, True)
    assert subscriptions.union() == {"b": None}
    subscriptions.subscribed(subscriptions.union(), {"b": {"x": 1}}, 1.0)
    subscriptions.activate(second)
    subscriptions.activate(first)
    (delivery,) = subscriptions.changed({"a": {"x": 2}, "b": {"x": 2}}, 2.0)
    assert delivery.update.status == {"b": {"x": 2}}


@pytest.mark.parametrize(
    ("union", "wanted", "covered"),
    [
        ({}, {}, True),
        ({}, {"a": None}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {"a": ["x"]}, True),
        ({"a": frozenset("x")}, {"a": None}, False),
        ({"a": frozenset("xy")}, {"a": ["x"]}, True),
        ({"a": frozenset("x")}, {"a": ["x", "y"]}, False),
        ({"a": frozenset("x")}, {"a": ["x"], "b": []}, False),
    ],
)
def test_covers(union: Union, wanted: dict[str, list[str] | None], covered: bool) -> None:
    """A union covers a wish when it has each of its objects, and each field or all of them."""
    assert covers(union, Wish.of(wanted)) is covered


def test_answers_are_the_subscribers_own() -> None:
    """What a subscriber was answered does not change behind its back."""
    subscriptions = Subscriptions()
    pending = subscriptions.wish("s", Wish.of({"a": None}))
    subscriptions.subscribed(subscriptions.union(), {"a": {"x": 1}}, 1.0)
    answer = subscriptions.activate(pending)
    subscriptions.changed({"a": {"x": 2}}, 2.0)
    assert answer.status == {"a": {"x": 1}}
