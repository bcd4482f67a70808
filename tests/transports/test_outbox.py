"""What waits for a client: in order, merged where it may be, and never more than the bounds."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from txraker.events import GcodeResponse, StatusUpdate
from txraker.klippy.subscriptions import Delivery, Status
from txraker.outgoing import Outgoing
from txraker.transports.outbox import Outbox


def framed(text: bytes) -> bytes:
    """Frame a text so that one sees it."""
    return b"<" + text + b">"


def make(most_bytes: int = 1000, most_seconds: float = 30.0) -> Outbox:
    """Make an empty outbox."""
    return Outbox(framed, most_bytes, most_seconds)


def update(eventtime: float = 1.0, **status: dict[str, Any]) -> Delivery:
    """Make a status update."""
    return Delivery(StatusUpdate(status, eventtime), ())


def taken(outbox: Outbox) -> list[Any]:
    """Take everything, decoded."""
    frames = []
    while outbox:
        frames.append(outbox.take())
    assert all(frame.startswith(b"<") and frame.endswith(b">") for frame in frames)
    return [msgspec.json.decode(frame[1:-1]) for frame in frames]


def params(outbox: Outbox) -> list[Any]:
    """Take everything: replies as they are, of notifications their params."""
    return [message["params"] if isinstance(message, dict) else message for message in taken(outbox)]


def test_order() -> None:
    """Replies and notifications come out as they were put in."""
    outbox = make()
    assert not outbox
    outbox.put_reply(b"1", 0)
    outbox.put_notification(Outgoing(b"2"), 0)
    outbox.put_reply(b"3", 0)
    assert outbox
    assert taken(outbox) == [1, 2, 3]
    assert not outbox


def test_updates_are_merged() -> None:
    """Of updates that wait one is left, with the newest values and time."""
    outbox = make()
    outbox.put_status(update(1.0, a={"x": 1, "y": 1}), 0)
    outbox.put_status(update(2.0, a={"x": 2}, b={"z": 1}), 0)
    outbox.put_status(update(3.0, b={"z": 2}), 0)
    assert params(outbox) == [[{"a": {"x": 2, "y": 1}, "b": {"z": 2}}, 3.0]]


def test_values_are_replaced_whole() -> None:
    """A value that is an object itself is replaced, not mixed."""
    outbox = make()
    outbox.put_status(update(1.0, a={"x": {"p": 1}}), 0)
    outbox.put_status(update(2.0, a={"x": {"q": 2}}), 0)
    assert params(outbox) == [[{"a": {"x": {"q": 2}}}, 2.0]]


def test_merging_touches_nobody_else() -> None:
    """Merging changes neither the updates that others share nor their frames."""
    shared, later = update(1.0, a={"x": 1}), update(2.0, a={"x": 2})
    slow, slower = make(), make()
    for outbox in (slow, slower):
        outbox.put_status(shared, 0)
    slow.put_status(later, 0)
    assert shared.update.status == {"a": {"x": 1}}
    assert params(slower) == [[{"a": {"x": 1}}, 1.0]]
    slow.put_status(update(3.0, a={"y": 3}), 0)
    assert (shared.update.status, later.update.status) == ({"a": {"x": 1}}, {"a": {"x": 2}})
    assert params(slow) == [[{"a": {"x": 2, "y": 3}}, 3.0]]


def test_one_update_is_framed_for_all() -> None:
    """An update that was not merged is the frame that others get, too."""
    shared = update(1.0, a={"x": 1})
    frames = []
    for outbox in (make(), make()):
        outbox.put_status(shared, 0)
        frames.append(outbox.take())
    assert frames[0] is frames[1]


def test_merged_past_notifications() -> None:
    """A notification doesn't keep updates around it from being merged: it holds no state."""
    outbox = make()
    outbox.put_status(update(1.0, a={"x": 1}), 0)
    outbox.put_notification(Outgoing(GcodeResponse("// hi").encode()), 0)
    outbox.put_status(update(2.0, a={"x": 2}), 0)
    assert params(outbox) == [[{"a": {"x": 2}}, 2.0], ["// hi"]]


def test_not_merged_past_a_reply() -> None:
    """An update that comes after a reply stays after it, and is merged with later ones only."""
    outbox = make()
    outbox.put_status(update(1.0, a={"x": 1}), 0)
    outbox.put_reply(b"5", 0)
    outbox.put_status(update(2.0, a={"x": 2}), 0)
    outbox.put_status(update(3.0, a={"x": 3}), 0)
    assert params(outbox) == [[{"a": {"x": 1}}, 1.0], 5, [{"a": {"x": 3}}, 3.0]]


def test_not_merged_into_what_was_taken() -> None:
    """An update that comes after another was taken is one of its own."""
    outbox = make()
    outbox.put_status(update(1.0, a={"x": 1}), 0)
    assert len(taken(outbox)) == 1
    outbox.put_status(update(2.0, a={"x": 2}), 0)
    assert params(outbox) == [[{"a": {"x": 2}}, 2.0]]


def test_size() -> None:
    """The size is that of what waits, and nothing is left of it when all is taken."""
    outbox = make()
    outbox.put_reply(b"x" * 10, 0)
    outbox.put_notification(Outgoing(b"x" * 20), 0)
    assert 30 <= outbox.size <= 40
    outbox.put_status(update(a={"x": 1}), 0)
    for _ in range(3):
        outbox.take()
    assert outbox.size == 0


def test_too_much() -> None:
    """More bytes than the bound are too much, if they are more than one message."""
    outbox = make(100)
    outbox.put_reply(b"x" * 500, 0)
    assert outbox.excess(0, -math.inf) == ""
    outbox.put_reply(b"x", 0)
    assert "503 bytes wait" in outbox.excess(0, -math.inf) or "505 bytes wait" in outbox.excess(0, -math.inf)
    outbox.take()
    assert outbox.excess(0, -math.inf) == ""


def test_bound_of_bytes() -> None:
    """Just the bound is not too much."""
    outbox = make(100)
    outbox.put_reply(b"x" * 48, 0)
    outbox.put_reply(b"x" * 48, 0)
    assert (outbox.size, outbox.excess(0, -math.inf)) == (100, "")
    outbox.put_notification(Outgoing(b""), 0)
    assert outbox.excess(0, -math.inf)


@pytest.mark.parametrize(("now", "holds"), [(35.0, True), (35.1, False)])
def test_too_old(now: float, holds: bool) -> None:
    """Nothing may wait longer than the bound, not even one message."""
    outbox = make(most_seconds=30.0)
    outbox.put_reply(b"x", 5.0)
    outbox.put_reply(b"y", 35.0)
    assert (outbox.excess(now, -math.inf) == "") is holds
    outbox.take()
    assert outbox.excess(now, -math.inf) == ""


def test_merging_makes_nothing_younger() -> None:
    """An update into which others are merged waits since the first of them."""
    outbox = make(most_seconds=30.0)
    for second in range(40):
        outbox.put_status(update(float(second), a={"x": second}), float(second))
    assert "nothing was read for 39 seconds" in outbox.excess(39.0, -math.inf)


def test_updates_of_a_fixed_subscription_do_not_grow() -> None:
    """However many updates wait, they hold no more than what is subscribed to."""
    outbox = make()
    outbox.put_status(update(0.0, a={"x": 0, "y": 0}), 0)
    size = outbox.size
    for number in range(1000):
        outbox.put_status(update(float(number), a={"x": number}), 0)
    assert outbox.size == size
    assert len(outbox.take()) < 2 * size


def test_clear() -> None:
    """What is cleared is gone, and nothing is merged into it."""
    outbox = make(10)
    outbox.put_reply(b"x" * 20, 0)
    outbox.put_status(update(1.0, a={"x": 1}), 0)
    outbox.clear()
    assert (bool(outbox), outbox.size, outbox.excess(1000.0, -math.inf)) == (False, 0, "")
    outbox.put_status(update(2.0, b={"x": 2}), 0)
    assert params(outbox) == [[{"b": {"x": 2}}, 2.0]]


names = st.sampled_from(["a", "b", "c"])
keys = st.sampled_from(["x", "y", "z"])


class OutboxMachine(RuleBasedStateMachine):
    """A printer whose state changes, a client that is slow, and the outbox between them.

    Values only grow, so that one sees when something old comes after something new.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outbox = make(10**9)
        self.state: Status = {}
        self.seen: Status = {}
        self.number = 0
        self.said: list[int] = []
        self.heard: list[int] = []

    @rule(changed=st.dictionaries(names, st.sets(keys, min_size=1), min_size=1))
    def change(self, changed: dict[str, set[str]]) -> None:
        """Let objects change and be reported."""
        self.number += 1
        news = {name: dict.fromkeys(fields, self.number) for name, fields in changed.items()}
        for name, fields in news.items():
            self.state.setdefault(name, {}).update(fields)
        self.outbox.put_status(Delivery(StatusUpdate(news, float(self.number)), ()), 0)

    @rule()
    def change_before_a_reply(self) -> None:
        """Let something change that a reply tells of, as the answer to a query does."""
        self.number += 1
        self.state.setdefault("a", {})["x"] = self.number
        self.reply()

    @rule()
    def reply(self) -> None:
        """Answer a query: with all there is, as it is now."""
        self.number += 1
        self.said.append(self.number)
        answer = {"id": self.number, "result": {"status": self.state}}
        self.outbox.put_reply(msgspec.json.encode(answer), 0)

    @rule()
    def notify(self) -> None:
        """Tell something that is no state."""
        self.number += 1
        self.said.append(self.number)
        outgoing = Outgoing(GcodeResponse(str(self.number)).encode())
        self.outbox.put_notification(outgoing, 0)

    @precondition(lambda self: self.outbox)
    @rule(count=st.integers(1, 3))
    def read(self, count: int) -> None:
        """Let the client read."""
        for _ in range(count):
            if self.outbox:
                self.take()

    def take(self) -> None:
        """Let the client read one message."""
        message = msgspec.json.decode(self.outbox.take()[1:-1])
        if "id" in message:
            self.heard.append(message["id"])
            self.learn(message["result"]["status"])
        elif message["method"] == "notify_gcode_response":
            self.heard.append(int(message["params"][0]))
        else:
            self.learn(message["params"][0])

    def learn(self, status: Status) -> None:
        """Let the client take over values, none of which may be older than what it knows."""
        for name, fields in status.items():
            known = self.seen.setdefault(name, {})
            for key, value in fields.items():
                assert value >= known.get(key, 0), "something old came after something new"
                known[key] = value

    @rule()
    def catch_up(self) -> None:
        """Let the client read all there is: it has heard all, and knows what is."""
        while self.outbox:
            self.take()
        assert self.heard == self.said
        assert self.seen == self.state
        assert self.outbox.size == 0


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
