"""The status feed: few requests to Klippy, everybody answered, everybody told."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.tools import Faults, Outcome, start
from txraker.errors import InternalError, KlippyDisconnected, KlippyError, KlippyNotConnected
from txraker.events import StatusUpdate
from txraker.interfaces import IStatusFeed, IStatusSubscriber
from txraker.klippy.freshness import Freshness
from txraker.klippy.status import NARROW_AFTER, REPEATED_WITHIN, STATUS_METHOD, StatusFeed
from txraker.klippy.subscriptions import Delivery, Status, Wish

Objects = dict[str, list[str] | None]


@implementer(IStatusSubscriber)
@define(eq=False)
class Subscriber:
    """Keeps what it hears."""

    heard: list[Status] = field(factory=list)

    def status_changed(self, delivery: Delivery) -> None:
        self.heard.append(delivery.update.status)


@implementer(IStatusSubscriber)
class BrokenSubscriber:
    """Raises whenever it hears of a change."""

    def status_changed(self, delivery: Delivery) -> None:
        raise RuntimeError("broken")


@define(eq=False)
class Bench:
    """A feed, a clock and a Klippy whose answers the test gives."""

    clock: Clock = field(factory=Clock)
    faults: Faults = field(factory=Faults)
    requests: list[Objects] = field(factory=list)
    answers: list[Deferred[dict[str, Any]]] = field(factory=list)
    queries: list[Objects] = field(factory=list)
    query_answers: list[Deferred[dict[str, Any]]] = field(factory=list)
    connected: bool = True
    freshness: Freshness = field(factory=Freshness)
    feed: StatusFeed = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.feed = StatusFeed(self.clock, self.ask, self.freshness, self.faults)

    def ask(self, method: str, params: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        """Be Klippy, asked."""
        if not self.connected:
            raise KlippyNotConnected
        answer: Deferred[dict[str, Any]] = Deferred()
        if method == "objects/query":
            self.queries.append(params["objects"])
            self.query_answers.append(answer)
            return answer
        assert method == "objects/subscribe"
        assert params["response_template"] == {"method": STATUS_METHOD}
        self.requests.append(params["objects"])
        self.answers.append(answer)
        return answer

    def tick(self, **changed: dict[str, Any]) -> None:
        """Be Klippy, reporting at a tick."""
        self.freshness.ticked(self.clock.seconds())
        self.feed.changed({"status": changed, "eventtime": self.clock.seconds()})

    def query(self, objects: Mapping[str, list[str] | None]) -> Outcome[StatusUpdate]:
        """Begin a query."""
        return start(self.feed.query(objects))

    def answer_query(self, status: Status, eventtime: float = 1.0) -> None:
        """Be Klippy, answering the oldest query."""
        self.query_answers.pop(0).callback({"status": status, "eventtime": eventtime})

    def turn(self) -> None:
        """Let one turn of the reactor pass."""
        self.clock.advance(0)

    def subscribe(self, who: IStatusSubscriber, objects: Objects) -> Outcome[StatusUpdate]:
        """Begin a subscription."""
        return start(self.feed.subscribe(who, Wish.of(objects)))

    def answer(self, status: Status, eventtime: float = 1.0) -> None:
        """Be Klippy, answering the oldest request."""
        self.answers.pop(0).callback({"status": status, "eventtime": eventtime})

    def subscribed(self, objects: Objects, status: Status) -> Subscriber:
        """Make a subscriber that has its answer."""
        subscriber = Subscriber()
        outcome = self.subscribe(subscriber, objects)
        self.turn()
        self.answer(status)
        assert outcome.done
        return subscriber


@pytest.fixture
def bench() -> Bench:
    """Make a bench."""
    return Bench()


def test_provides(bench: Bench) -> None:
    """The feed provides what it says."""
    assert verifyObject(IStatusFeed, bench.feed)
    assert verifyObject(IStatusSubscriber, Subscriber())


def test_one_turn_one_request(bench: Bench) -> None:
    """Wishes that come up in one turn of the reactor go into one request, and each gets its own answer."""
    one = bench.subscribe(Subscriber(), {"a": ["x"]})
    two = bench.subscribe(Subscriber(), {"a": ["y"], "b": None})
    assert bench.requests == []
    bench.turn()
    assert bench.requests == [{"a": ["x", "y"], "b": None}]
    bench.answer({"a": {"x": 1, "y": 2}, "b": {"z": 3}}, 7.5)
    assert one.result() == StatusUpdate({"a": {"x": 1}}, 7.5)
    assert two.result() == StatusUpdate({"a": {"y": 2}, "b": {"z": 3}}, 7.5)


def test_hundreds_with_one_wish(bench: Bench) -> None:
    """Any number of subscribers who wait for the same answer get it."""
    waiting = [bench.subscribe(Subscriber(), {"a": ["x"]}) for _ in range(500)]
    bench.turn()
    bench.answer({"a": {"x": 1}}, 7.5)
    assert [outcome.result() for outcome in waiting] == [StatusUpdate({"a": {"x": 1}}, 7.5)] * 500
    assert len(bench.requests) == 1


def test_wishes_during_a_request(bench: Bench) -> None:
    """Wishes that come up while a request is under way wait for exactly one further request."""
    bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    late = [bench.subscribe(Subscriber(), {name: None}) for name in "bcd"]
    bench.turn()
    assert len(bench.requests) == 1
    bench.answer({"a": {"x": 1}})
    assert bench.requests[1:] == [{"a": None, "b": None, "c": None, "d": None}]
    assert not any(outcome.done for outcome in late)
    bench.answer({name: {"x": 1} for name in "abcd"})
    assert [outcome.result().status for outcome in late] == [{name: {"x": 1}} for name in "bcd"]
    bench.clock.advance(60)
    assert len(bench.requests) == 2


def test_covered_wish(bench: Bench) -> None:
    """A wish that Klippy's subscription has already is answered at once, with the newest values."""
    bench.subscribed({"a": None}, {"a": {"x": 1, "y": 2}})
    bench.feed.changed({"status": {"a": {"x": 5}}, "eventtime": 2.0})
    assert bench.subscribe(Subscriber(), {"a": ["x"]}).result() == StatusUpdate({"a": {"x": 5}}, 2.0)
    bench.clock.advance(60)
    assert len(bench.requests) == 1


def test_changes_reach_those_who_wish(bench: Bench) -> None:
    """A change is told to each active subscriber, to the extent of its wish."""
    one = bench.subscribed({"a": ["x"]}, {"a": {"x": 1}})
    two = bench.subscribed({"b": None}, {"a": {"x": 1}, "b": {"z": 1}})
    bench.feed.changed({"status": {"a": {"x": 2}, "b": {"z": 2}}, "eventtime": 2.0})
    assert one.heard == [{"a": {"x": 2}}]
    assert two.heard == [{"b": {"z": 2}}]


def test_answer_comes_before_changes(bench: Bench) -> None:
    """Nobody hears of a change before it has its answer."""
    subscriber = Subscriber()
    bench.subscribe(subscriber, {"a": None})
    bench.turn()
    bench.feed.changed({"status": {"a": {"x": 1}}, "eventtime": 1.0})
    assert subscriber.heard == []


def test_replaced_subscription(bench: Bench) -> None:
    """A new wish of a subscriber takes the place of the earlier one."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    again = bench.subscribe(subscriber, {"b": None})
    bench.turn()
    bench.answer({"a": {"x": 1}, "b": {"z": 1}})
    assert again.result().status == {"b": {"z": 1}}
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == []


def test_the_latest_wish_wins(bench: Bench) -> None:
    """Of two wishes made one after the other the later is in force in the end, and both are answered."""
    bench.subscribed({"a": None}, {"a": {"x": 1}})
    subscriber = Subscriber()
    first = bench.subscribe(subscriber, {"b": None})
    second = bench.subscribe(subscriber, {"a": ["x"]})
    bench.turn()
    while bench.answers:
        bench.answer({"a": {"x": 1}, "b": {"z": 1}})
    assert first.done
    assert second.result().status == {"a": {"x": 1}}
    bench.feed.changed({"status": {"a": {"x": 2}, "b": {"z": 2}}, "eventtime": 2.0})
    assert subscriber.heard == [{"a": {"x": 2}}]


def test_two_wishes_that_wait(bench: Bench) -> None:
    """Of two wishes that wait for one request, Klippy is asked for the later one, and both are answered."""
    subscriber = Subscriber()
    first = bench.subscribe(subscriber, {"a": None})
    second = bench.subscribe(subscriber, {"b": None})
    bench.turn()
    assert bench.requests == [{"b": None}]
    bench.answer({"b": {"z": 1}})
    assert first.done
    assert second.result().status == {"b": {"z": 1}}


def test_cancelled_wish(bench: Bench) -> None:
    """A wish that is given up is not asked for any more, and nothing is left of it."""
    outcome = bench.subscribe(Subscriber(), {"a": None})
    outcome.deferred.cancel()
    assert isinstance(outcome.error, CancelledError)
    bench.clock.advance(60)
    assert {} not in bench.requests[1:]
    assert all("a" not in objects for objects in bench.requests)
    assert bench.faults.seen == []


def test_wish_cancelled_during_the_request(bench: Bench) -> None:
    """A wish that is given up while Klippy is asked has no effect, and Klippy is told in the end."""
    subscriber = Subscriber()
    outcome = bench.subscribe(subscriber, {"a": None})
    bench.turn()
    outcome.deferred.cancel()
    bench.answer({"a": {"x": 1}})
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == []
    bench.clock.advance(NARROW_AFTER)
    assert bench.requests == [{"a": None}, {}]
    assert bench.faults.seen == []


def test_error_reaches_everybody_who_waits(bench: Bench) -> None:
    """Klippy's refusal is told to everybody who waits, and later wishes work."""
    waiting = [bench.subscribe(Subscriber(), {name: None}) for name in "ab"]
    bench.turn()
    during = bench.subscribe(Subscriber(), {"c": None})
    bench.answers.pop(0).errback(KlippyError("Invalid argument"))
    for outcome in (*waiting, during):
        with pytest.raises(KlippyError, match="Invalid argument"):
            outcome.result()
    later = bench.subscribe(Subscriber(), {"d": None})
    bench.turn()
    assert bench.requests[-1] == {"d": None}
    bench.answer({"d": {"x": 1}})
    assert later.result().status == {"d": {"x": 1}}


def test_error_leaves_earlier_subscriptions(bench: Bench) -> None:
    """Who is subscribed stays so when Klippy refuses somebody else's wish."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.subscribe(subscriber, {"bad": None})
    bench.turn()
    bench.answers.pop(0).errback(KlippyError("Invalid argument"))
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == [{"a": {"x": 2}}]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": {}},
        {"eventtime": 1.0},
        {"status": 5, "eventtime": 1.0},
        {"status": {"a": 5}, "eventtime": 1.0},
        {"status": {}, "eventtime": None},
    ],
)
def test_strange_answer(bench: Bench, answer: dict[str, Any]) -> None:
    """An answer of Klippy's that makes no sense is an error for who waits."""
    outcome = bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    bench.answers.pop(0).callback(answer)
    with pytest.raises(KlippyError, match="can't be understood"):
        outcome.result()
    assert bench.faults.seen == []


def test_unexpected_failure_reaches_who_waits(bench: Bench) -> None:
    """A defect while Klippy is asked is reported, and nobody is left waiting for ever."""
    outcome = bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    bench.answers.pop(0).errback(TypeError("a defect"))
    assert [where for where, _ in bench.faults.seen] == ["objects/subscribe"]
    assert outcome.done


def test_not_connected(bench: Bench) -> None:
    """Without Klippy a wish fails with the reason."""
    bench.connected = False
    outcome = bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    with pytest.raises(KlippyNotConnected):
        outcome.result()


def test_empty_wish_ends_it(bench: Bench) -> None:
    """A wish for nothing ends a subscription and is answered with nothing at once."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    assert bench.subscribe(subscriber, {}).result().status == {}
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == []


def test_narrowing(bench: Bench) -> None:
    """What nobody wishes any more is given up some seconds later, in one request."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.subscribed({"b": None}, {"a": {"x": 1}, "b": {"x": 1}})
    bench.feed.unsubscribe(subscriber)
    bench.clock.advance(NARROW_AFTER - 0.1)
    assert len(bench.requests) == 2
    bench.clock.advance(0.2)
    assert bench.requests[2:] == [{"b": None}]


def test_narrowing_to_nothing(bench: Bench) -> None:
    """When the last subscriber has gone, Klippy's subscription is ended."""
    bench.feed.unsubscribe(bench.subscribed({"a": None}, {"a": {"x": 1}}))
    bench.clock.advance(NARROW_AFTER)
    assert bench.requests[1:] == [{}]
    bench.answer({})
    bench.clock.advance(60)
    assert len(bench.requests) == 2


def test_reloaded_page(bench: Bench) -> None:
    """Who leaves and comes back before Klippy was told costs no request."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.feed.unsubscribe(subscriber)
    bench.clock.advance(NARROW_AFTER / 2)
    assert bench.subscribe(Subscriber(), {"a": None}).result().status == {"a": {"x": 1}}
    bench.clock.advance(60)
    assert len(bench.requests) == 1


def test_wish_while_narrowing_waits(bench: Bench) -> None:
    """A new wish is not kept waiting by a narrowing that is due later."""
    bench.feed.unsubscribe(bench.subscribed({"a": None}, {"a": {"x": 1}}))
    outcome = bench.subscribe(Subscriber(), {"b": None})
    bench.turn()
    assert bench.requests[1:] == [{"b": None}]
    bench.answer({"b": {"x": 1}})
    assert outcome.done


def test_narrower_wish_of_the_same_subscriber(bench: Bench) -> None:
    """What a subscriber gives up by wishing for less is given up at Klippy, too."""
    subscriber = bench.subscribed({"a": None, "b": None}, {"a": {"x": 1}, "b": {"x": 1}})
    assert bench.subscribe(subscriber, {"a": None}).done
    bench.clock.advance(NARROW_AFTER)
    assert bench.requests[1:] == [{"a": None}]


def test_wish_that_only_the_old_subscription_covers(bench: Bench) -> None:
    """A wish answered while Klippy's subscription is being narrowed loses no change."""
    gone = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.feed.unsubscribe(gone)
    bench.clock.advance(NARROW_AFTER)
    subscriber = Subscriber()
    outcome = bench.subscribe(subscriber, {"a": None})
    bench.answer({})
    bench.turn()
    assert bench.requests[1:] == [{}, {"a": None}]
    bench.answer({"a": {"x": 9}}, 3.0)
    seen = outcome.result().status
    for status in subscriber.heard:
        for name, fields in status.items():
            seen.setdefault(name, {}).update(fields)
    assert seen == {"a": {"x": 9}}


def test_unsubscribe_unknown(bench: Bench) -> None:
    """Somebody unknown may unsubscribe, and nothing happens."""
    bench.feed.unsubscribe(Subscriber())
    bench.clock.advance(60)
    assert bench.requests == []


def test_unsubscribed_while_waiting(bench: Bench) -> None:
    """A wish whose subscriber left during the request is answered and has no effect."""
    subscriber = Subscriber()
    outcome = bench.subscribe(subscriber, {"a": None})
    bench.turn()
    bench.feed.unsubscribe(subscriber)
    bench.answer({"a": {"x": 1}})
    assert outcome.done
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == []


def test_unsubscribed_before_klippy_was_asked(bench: Bench) -> None:
    """A wish that is taken back in the same turn still gets an answer."""
    subscriber = Subscriber()
    outcome = bench.subscribe(subscriber, {"a": None})
    bench.feed.unsubscribe(subscriber)
    bench.turn()
    while bench.answers:
        bench.answer({"a": {"x": 1}})
    bench.clock.advance(60)
    assert outcome.done


def test_unsubscribed_while_another_request_is_under_way(bench: Bench) -> None:
    """A wish that waits for the next request and is taken back meanwhile still gets an answer."""
    bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    subscriber = Subscriber()
    outcome = bench.subscribe(subscriber, {"b": None})
    bench.feed.unsubscribe(subscriber)
    bench.answer({"a": {"x": 1}})
    while bench.answers:
        bench.answer({"a": {"x": 1}, "b": {"x": 1}})
    bench.clock.advance(60)
    assert outcome.done


def test_reset_during_a_request(bench: Bench) -> None:
    """When Klippy goes during the request, who waits is told and nothing is left over."""
    outcome = bench.subscribe(Subscriber(), {"a": None})
    bench.turn()
    bench.answers.pop(0).errback(KlippyDisconnected())
    bench.feed.reset()
    with pytest.raises(KlippyDisconnected):
        outcome.result()
    bench.clock.advance(60)
    assert len(bench.requests) == 1


def test_reset_before_the_request(bench: Bench) -> None:
    """When Klippy goes in the turn in which a wish came up, who waits is told."""
    outcome = bench.subscribe(Subscriber(), {"a": None})
    bench.connected = False
    bench.feed.reset()
    bench.clock.advance(60)
    assert outcome.done
    assert isinstance(outcome.error, KlippyDisconnected | KlippyNotConnected)


def test_reset_ends_all_subscriptions(bench: Bench) -> None:
    """After Klippy was gone nobody is subscribed, and a new wish asks anew for just itself."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.feed.reset()
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert subscriber.heard == []
    outcome = bench.subscribe(Subscriber(), {"b": None})
    bench.turn()
    assert bench.requests[1:] == [{"b": None}]
    bench.answer({"b": {"x": 1}})
    assert outcome.done


def test_reset_cancels_narrowing(bench: Bench) -> None:
    """Nothing is asked for after Klippy has gone."""
    bench.feed.unsubscribe(bench.subscribed({"a": None}, {"a": {"x": 1}}))
    bench.feed.reset()
    assert bench.clock.getDelayedCalls() == []


def test_broken_subscriber(bench: Bench) -> None:
    """A subscriber that raises is reported and keeps nobody from hearing."""
    broken = BrokenSubscriber()
    start(bench.feed.subscribe(broken, Wish.of({"a": None})))
    good = bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.feed.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    assert good.heard == [{"a": {"x": 2}}]
    assert [where for where, _ in bench.faults.seen] == ["status_changed"]


def test_query_from_state(bench: Bench) -> None:
    """A query of what is covered and fresh is answered at once, without Klippy."""
    bench.subscribed({"a": None, "b": ["x"]}, {"a": {"x": 1, "y": 2}, "b": {"x": 3}})
    bench.clock.advance(0.5)
    bench.tick(a={"x": 5})
    answer = bench.query({"a": ["x", "nosuch"], "b": ["x"]}).result()
    assert answer == StatusUpdate({"a": {"x": 5, "nosuch": None}, "b": {"x": 3}}, 0.5)
    assert bench.query({"a": None}).result().status == {"a": {"x": 5, "y": 2}}
    assert bench.query({}).result().status == {}
    assert bench.queries == []


@pytest.mark.parametrize("objects", [{"b": None}, {"b": ["x", "y"]}, {"c": None}, {"a": None, "c": ["x"]}])
def test_query_of_more_than_is_known(bench: Bench, objects: Objects) -> None:
    """A query of anything that isn't covered is Klippy's to answer."""
    bench.subscribed({"a": None, "b": ["x"]}, {"a": {"x": 1}, "b": {"x": 3}})
    bench.tick()
    outcome = bench.query(objects)
    assert bench.queries == [objects]
    assert not outcome.done
    bench.answer_query({"b": {"x": 4}}, 7.0)
    assert outcome.result() == StatusUpdate({"b": {"x": 4}}, 7.0)


def test_query_after_a_command(bench: Bench) -> None:
    """A query after a command is Klippy's to answer until a tick has shown what the command did."""
    bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.tick()
    bench.freshness.command_sent()
    mark = bench.freshness.mark
    outcome = bench.query({"a": ["x"]})
    assert bench.queries == [{"a": ["x"]}]
    bench.freshness.answered(mark, is_command=True)
    bench.answer_query({"a": {"x": 2}})
    assert outcome.result().status == {"a": {"x": 2}}
    waiting = bench.query({"a": ["x"]})
    assert not waiting.done
    bench.tick(a={"x": 2})
    bench.feed.ticked()
    assert waiting.result().status == {"a": {"x": 2}}
    assert bench.query({"a": ["x"]}).result().status == {"a": {"x": 2}}
    assert len(bench.queries) == 1


def test_query_that_waits_for_a_tick_in_vain(bench: Bench) -> None:
    """A query that waited for a tick is Klippy's to answer when none comes in time."""
    bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.tick()
    bench.freshness.happened()
    waiting = bench.query({"a": ["x"]})
    assert bench.queries == []
    bench.clock.advance(1.1)
    assert bench.queries == [{"a": ["x"]}]
    bench.answer_query({"a": {"x": 2}})
    assert waiting.result().status == {"a": {"x": 2}}


def test_query_when_ticks_have_stopped(bench: Bench) -> None:
    """Klippy is asked when its ticks don't flow."""
    bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.tick()
    bench.clock.advance(2.0)
    assert not bench.query({"a": None}).done
    assert bench.queries == [{"a": None}]


def test_answers_are_nobody_elses(bench: Bench) -> None:
    """Who changes the answer to a query changes nothing for others."""
    bench.subscribed({"a": None}, {"a": {"x": 1}})
    bench.tick()
    bench.query({"a": None}).result().status["a"]["x"] = "spoiled"
    assert bench.query({"a": None}).result().status == {"a": {"x": 1}}


def test_equal_queries_share_a_request(bench: Bench) -> None:
    """Queries of the same that are under way at the same time are one request, however they are spelled."""
    outcomes = [bench.query(objects) for objects in ({"a": ["x", "y"]}, {"a": ["y", "x"]}, {"a": ["x"]})]
    assert bench.queries == [{"a": ["x", "y"]}, {"a": ["x"]}]
    bench.answer_query({"a": {"x": 1, "y": 2}}, 3.0)
    assert [outcome.done for outcome in outcomes] == [True, True, False]
    assert outcomes[0].result() == outcomes[1].result() == StatusUpdate({"a": {"x": 1, "y": 2}}, 3.0)
    bench.answer_query({"a": {"x": 1}})
    assert outcomes[2].done
    bench.query({"a": ["x"]})
    assert len(bench.queries) == 3


def test_no_sharing_across_a_command(bench: Bench) -> None:
    """Who asks after a command is not served with what was asked before it."""
    before = bench.query({"a": None})
    bench.freshness.command_sent()
    after = bench.query({"a": None})
    assert len(bench.queries) == 2
    bench.answer_query({"a": {"x": "old"}})
    assert (before.done, after.done) == (True, False)
    bench.answer_query({"a": {"x": "new"}})
    assert after.result().status == {"a": {"x": "new"}}


def test_cancelled_query(bench: Bench) -> None:
    """Who gives a query up leaves the others that share it alone."""
    first, second, third = (bench.query({"a": None}) for _ in range(3))
    first.deferred.cancel()
    assert isinstance(first.error, CancelledError)
    bench.answer_query({"a": {"x": 1}})
    assert second.result().status == third.result().status == {"a": {"x": 1}}
    assert bench.faults.seen == []


def test_query_that_all_gave_up(bench: Bench) -> None:
    """An answer for which nobody waits any more is no defect."""
    outcome = bench.query({"a": None})
    outcome.deferred.cancel()
    bench.answer_query({"a": {"x": 1}})
    assert bench.faults.seen == []


def test_refused_query(bench: Bench) -> None:
    """Klippy's refusal is told to all who asked the same."""
    outcomes = [bench.query({"a": None}) for _ in range(2)]
    bench.query_answers.pop(0).errback(KlippyError("Invalid argument"))
    for outcome in outcomes:
        with pytest.raises(KlippyError, match="Invalid argument"):
            outcome.result()
    assert bench.faults.seen == []


def test_strange_answer_to_a_query(bench: Bench) -> None:
    """An answer to a query that makes no sense is an error, and no defect."""
    outcome = bench.query({"a": None})
    bench.query_answers.pop(0).callback({"status": 5})
    with pytest.raises(KlippyError, match="can't be understood"):
        outcome.result()
    assert bench.faults.seen == []


def test_defect_during_a_query(bench: Bench) -> None:
    """A defect while Klippy is asked is reported, and all who asked are told."""
    outcomes = [bench.query({"a": None}) for _ in range(2)]
    bench.query_answers.pop(0).errback(TypeError("a defect"))
    assert all(isinstance(outcome.error, InternalError) for outcome in outcomes)
    assert [where for where, _ in bench.faults.seen] == ["objects/query"]


def test_query_without_klippy(bench: Bench) -> None:
    """Without Klippy a query fails with the reason, and so does one that comes again."""
    bench.connected = False
    for _ in range(3):
        with pytest.raises(KlippyNotConnected):
            bench.query({"a": None}).result()
    bench.turn()
    assert bench.faults.seen == []


def test_loss_during_queries(bench: Bench) -> None:
    """When Klippy goes, all who wait for its answer are told."""
    outcomes = [bench.query(objects) for objects in ({"a": None}, {"a": None}, {"b": None})]
    for answer in bench.query_answers:
        answer.errback(KlippyDisconnected())
    bench.feed.reset()
    for outcome in outcomes:
        with pytest.raises(KlippyDisconnected):
            outcome.result()
    assert bench.clock.getDelayedCalls() == []


def poll(bench: Bench, objects: Objects, status: Status) -> None:
    """Ask a thing twice, with Klippy's answers, so that it is followed from then on."""
    for _ in range(2):
        bench.query(objects)
        bench.answer_query(status)
    bench.turn()
    bench.answer(status)


def test_polling_becomes_a_subscription(bench: Bench) -> None:
    """What is asked again within half a minute is subscribed to, and costs Klippy nothing from then on."""
    bench.query({"a": ["x"]})
    bench.answer_query({"a": {"x": 1}})
    bench.clock.advance(REPEATED_WITHIN - 1)
    assert bench.requests == []
    bench.query({"a": ["x"]})
    bench.turn()
    assert bench.requests == [{"a": ["x"]}]
    bench.answer({"a": {"x": 1}})
    bench.tick(a={"x": 2})
    for number in range(50):
        assert bench.query({"a": ["x"]}).result().status == {"a": {"x": number + 2}}
        bench.clock.advance(1.0)
        bench.tick(a={"x": number + 3})
    assert (len(bench.queries), len(bench.requests)) == (2, 1)
    assert bench.faults.seen == []


def test_two_who_poll(bench: Bench) -> None:
    """What several poll is united in one subscription."""
    poll(bench, {"a": ["x"]}, {"a": {"x": 1}})
    poll(bench, {"a": ["y"], "b": None}, {"a": {"x": 1, "y": 1}, "b": {"z": 1}})
    assert bench.requests == [{"a": ["x"]}, {"a": ["x", "y"], "b": None}]
    bench.tick()
    assert bench.query({"a": ["x"]}).done
    assert bench.query({"a": ["y"], "b": None}).done


def test_seldom_asked(bench: Bench) -> None:
    """What is asked less often than every half minute is not subscribed to."""
    for _ in range(4):
        bench.query({"a": None})
        bench.answer_query({"a": {}})
        bench.clock.advance(REPEATED_WITHIN + 1)
    assert bench.requests == []


def test_polling_ends(bench: Bench) -> None:
    """What nobody has asked for a while is given up at Klippy, too."""
    poll(bench, {"a": None}, {"a": {"x": 1}})
    bench.tick()
    for _ in range(40):
        bench.clock.advance(1.0)
        bench.tick()
        assert bench.query({"a": None}).done
    assert len(bench.requests) == 1
    for _ in range(round(2 * REPEATED_WITHIN + NARROW_AFTER) + 1):
        bench.clock.advance(1.0)
    assert bench.requests[1:] == [{}]
    bench.answer({})
    bench.clock.advance(100)
    assert bench.clock.getDelayedCalls() == []
    assert bench.faults.seen == []


def test_one_of_two_ends_polling(bench: Bench) -> None:
    """When one of two who poll stops, just what it wanted is given up."""
    poll(bench, {"a": None}, {"a": {"x": 1}})
    poll(bench, {"b": None}, {"a": {"x": 1}, "b": {"x": 1}})
    for _ in range(round(2 * REPEATED_WITHIN + NARROW_AFTER) + 1):
        bench.clock.advance(1.0)
        bench.tick()
        bench.query({"b": None})
    assert bench.requests[2:] == [{"b": None}]


def test_polling_is_no_subscriber(bench: Bench) -> None:
    """A client that subscribed stays so when those who poll the same stop."""
    subscriber = bench.subscribed({"a": None}, {"a": {"x": 1}})
    for _ in range(2):
        bench.query({"a": None})
        bench.answer_query({"a": {"x": 1}})
    bench.clock.advance(100)
    bench.tick(a={"x": 2})
    assert subscriber.heard == [{"a": {"x": 2}}]
    assert len(bench.requests) == 1


def test_following_that_klippy_refuses(bench: Bench) -> None:
    """When Klippy refuses to be subscribed to what is polled, it is asked each time, which is no defect."""
    for _ in range(2):
        bench.query({"a": None})
        bench.answer_query({"a": {"x": 1}})
    bench.turn()
    bench.answers.pop(0).errback(KlippyError("Invalid argument"))
    bench.tick()
    outcome = bench.query({"a": None})
    bench.answer_query({"a": {"x": 3}})
    assert outcome.result().status == {"a": {"x": 3}}
    assert bench.faults.seen == []


def test_reset_forgets_polling(bench: Bench) -> None:
    """After Klippy was gone nothing is polled, nothing is fresh, and nothing is left over."""
    poll(bench, {"a": None}, {"a": {"x": 1}})
    bench.tick()
    bench.feed.reset()
    assert bench.clock.getDelayedCalls() == []
    bench.query({"a": None})
    assert len(bench.queries) == 3
    bench.answer_query({"a": {"x": 9}})
    bench.turn()
    assert len(bench.requests) == 1


def test_many_different_queries(bench: Bench) -> None:
    """Queries that are all different are no growing work: what is remembered of them is bounded."""
    bench.connected = False
    for number in range(3000):
        assert bench.query({f"object {number}": None}).done
    assert len(bench.feed._asked) <= 1000


def test_many_different_pollers(bench: Bench) -> None:
    """Who polls very many things makes Klippy's subscription no wider than is reasonable."""
    for number in range(2 * 1500):
        bench.query({f"object {number // 2}": None})
        bench.answer_query({})
    bench.turn()
    assert len(bench.requests[-1]) <= 1000
