"""The rule by which the cache answers queries, and that nobody ever sees the state from before a command."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from txraker.klippy.freshness import MOST_SECONDS, READING_METHODS, Freshness
from txraker.klippy.subscriptions import Status, Subscriptions, Wish

WISH = Wish.of({"printer": ["begun", "ended"], "toolhead": ["estimated_print_time"]})


def query(freshness: Freshness) -> Callable[[], None]:
    """Send something that reads; return what answers it."""
    mark = freshness.mark
    return lambda: freshness.answered(mark, is_command=False)


def command(freshness: Freshness) -> Callable[[], None]:
    """Send something that may change something; return what answers it."""
    freshness.command_sent()
    mark = freshness.mark
    return lambda: freshness.answered(mark, is_command=True)


@pytest.fixture
def fresh() -> Freshness:
    """Make a rule that holds: ticks flow and nothing was done."""
    freshness = Freshness()
    freshness.ticked(10.0)
    assert freshness.is_fresh(10.0)
    return freshness


def test_without_ticks() -> None:
    """Before the first tick nothing is fresh."""
    freshness = Freshness()
    assert not freshness.is_fresh(0.0)
    query(freshness)()
    assert not freshness.is_fresh(0.0)


@pytest.mark.parametrize(("seconds", "holds"), [(0, True), (0.99, True), (MOST_SECONDS, True), (1.01, False)])
def test_ticks_must_flow(fresh: Freshness, seconds: float, holds: bool) -> None:
    """A tick is good for a second."""
    assert fresh.is_fresh(10.0 + seconds) is holds


def test_ticks_that_flow_again(fresh: Freshness) -> None:
    """When ticks flow again after a pause, the cache may answer again."""
    assert not fresh.is_fresh(60.0)
    fresh.ticked(60.0)
    assert fresh.is_fresh(60.0)


def test_a_command_that_is_sent(fresh: Freshness) -> None:
    """From the moment in which a command is sent nothing is fresh, however many ticks come in."""
    command(fresh)
    assert not fresh.is_fresh(10.0)
    for _ in range(3):
        fresh.ticked(10.0)
        assert not fresh.is_fresh(10.0)


def test_a_command_that_has_ended(fresh: Freshness) -> None:
    """After the end of a command the next tick makes the cache fresh."""
    answer = command(fresh)
    fresh.ticked(10.1)
    answer()
    assert not fresh.is_fresh(10.1)
    fresh.ticked(10.2)
    assert fresh.is_fresh(10.2)


def test_a_command_that_runs(fresh: Freshness) -> None:
    """While a command runs, a tick after the answer to something sent later makes the cache fresh."""
    answer = command(fresh)
    ask = query(fresh)
    fresh.ticked(10.1)
    ask()
    assert not fresh.is_fresh(10.1)
    fresh.ticked(10.2)
    assert fresh.is_fresh(10.2)
    answer()
    assert not fresh.is_fresh(10.2)
    fresh.ticked(10.3)
    assert fresh.is_fresh(10.3)


def test_an_answer_to_something_sent_before(fresh: Freshness) -> None:
    """The answer to something that was sent before a command says nothing of the command."""
    early = query(fresh)
    command(fresh)
    early()
    fresh.ticked(10.1)
    assert not fresh.is_fresh(10.1)


def test_two_commands(fresh: Freshness) -> None:
    """The answer to a command says nothing of one that was sent after it."""
    first, second = command(fresh), command(fresh)
    first()
    fresh.ticked(10.1)
    assert not fresh.is_fresh(10.1)
    second()
    fresh.ticked(10.2)
    assert fresh.is_fresh(10.2)


def test_answers_out_of_order(fresh: Freshness) -> None:
    """The later command's answer says that the earlier one has begun; its end needs a tick of its own."""
    first, second = command(fresh), command(fresh)
    second()
    fresh.ticked(10.1)
    assert fresh.is_fresh(10.1)
    first()
    assert not fresh.is_fresh(10.1)
    fresh.ticked(10.2)
    assert fresh.is_fresh(10.2)


def test_a_command_over_another_connection(fresh: Freshness) -> None:
    """What went over a bridge counts as begun when something sent after it is answered."""
    fresh.command_sent()
    fresh.ticked(10.1)
    assert not fresh.is_fresh(10.1)
    query(fresh)()
    assert not fresh.is_fresh(10.1)
    fresh.ticked(10.2)
    assert fresh.is_fresh(10.2)


def test_a_new_connection(fresh: Freshness) -> None:
    """A new connection begins without a tick and without commands."""
    command(fresh)
    fresh.reset()
    assert not fresh.is_fresh(10.0)
    fresh.ticked(10.1)
    assert fresh.is_fresh(10.1)


@pytest.mark.parametrize(
    "method",
    [
        "gcode/script",
        "gcode/restart",
        "emergency_stop",
        "pause_resume/pause",
        "pause_resume/cancel",
        "query_endstops/status",
        "motion_report/dump_stepper",
        "nosuch",
    ],
)
def test_what_counts_as_a_command(method: str) -> None:
    """Whatever isn't known to read only counts as a command."""
    assert method not in READING_METHODS


@define(eq=False)
class Request:
    """One request on its way, at Klippy, or answered."""

    is_command: bool
    mark: int
    number: int = 0


@define(eq=False)
class ModelKlippy:
    """A Klippy in which nothing happens but what the test says.

    It takes requests in their order. A command changes ``begun`` when it begins and ``ended`` just before it
    is answered; commands run side by side, as those do that don't wait for each other. Queries are answered
    at ticks, before the tick's update, which holds what changed and what always moves.
    """

    inbound: deque[Request] = field(factory=deque)
    outbound: deque[tuple[str, Any]] = field(factory=deque)
    running: list[Request] = field(factory=list)
    asked: list[Request] = field(factory=list)
    state: dict[str, frozenset[int]] = field(factory=lambda: {"begun": frozenset(), "ended": frozenset()})
    told: dict[str, frozenset[int]] = field(factory=dict)
    ticks: int = 0

    def take(self) -> None:
        """Take the oldest request that has come."""
        request = self.inbound.popleft()
        if request.is_command:
            self.state["begun"] |= {request.number}
            self.running.append(request)
        else:
            self.asked.append(request)

    def end(self, position: int) -> None:
        """Let a command end."""
        request = self.running.pop(position % len(self.running))
        self.state["ended"] |= {request.number}
        self.outbound.append(("answer", request))

    def tick(self) -> None:
        """Answer queries and report what has changed."""
        self.ticks += 1
        for request in self.asked:
            self.outbound.append(("answer", request))
        self.asked.clear()
        changed = {key: value for key, value in self.state.items() if self.told.get(key) != value}
        self.told = dict(self.state)
        status = {"toolhead": {"estimated_print_time": float(self.ticks)}}
        self.outbound.append(("update", {**status, **({"printer": changed} if changed else {})}))


class CacheMachine(RuleBasedStateMachine):
    """Our end of a connection, and the model at its other end, with delays both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.klippy = ModelKlippy()
        self.freshness = Freshness()
        self.subscriptions = Subscriptions()
        self.now = 0.0
        self.sent = 0
        self.ended_here: frozenset[int] = frozenset()
        self.newest_seen: dict[str, frozenset[int]] = {"begun": frozenset(), "ended": frozenset()}

    @initialize()
    def subscribe(self) -> None:
        """Have everything subscribed, as the union is that covers the query."""
        pending = self.subscriptions.wish("client", WISH)
        status: Status = {"printer": dict(self.klippy.state), "toolhead": {"estimated_print_time": 0.0}}
        self.klippy.told = dict(self.klippy.state)
        self.subscriptions.subscribed(self.subscriptions.union(), status, 0.0)
        self.subscriptions.activate(pending)

    @rule()
    def send_command(self) -> None:
        """Let some client send a command."""
        self.sent += 1
        self.freshness.command_sent()
        self.klippy.inbound.append(Request(True, self.freshness.mark, self.sent))

    @rule()
    def send_query(self) -> None:
        """Let some client's query go to Klippy: one that isn't covered does, fresh or not."""
        self.klippy.inbound.append(Request(False, self.freshness.mark))

    @precondition(lambda self: self.klippy.inbound)
    @rule(count=st.integers(1, 4))
    def klippy_takes(self, count: int) -> None:
        """Let requests arrive at Klippy."""
        for _ in range(min(count, len(self.klippy.inbound))):
            self.klippy.take()

    @precondition(lambda self: self.klippy.running)
    @rule(position=st.integers(0, 100))
    def klippy_ends(self, position: int) -> None:
        """Let a command end."""
        self.klippy.end(position)

    @rule()
    def klippy_ticks(self) -> None:
        """Let Klippy report."""
        self.klippy.tick()

    @precondition(lambda self: self.klippy.outbound)
    @rule(count=st.integers(1, 6))
    def receive(self, count: int) -> None:
        """Let what Klippy sent arrive here."""
        for _ in range(min(count, len(self.klippy.outbound))):
            kind, content = self.klippy.outbound.popleft()
            if kind == "update":
                self.freshness.ticked(self.now)
                self.subscriptions.changed(content, self.now)
            else:
                self.freshness.answered(content.mark, is_command=content.is_command)
                if content.is_command:
                    self.ended_here |= {content.number}

    @rule(seconds=st.sampled_from([0.01, 0.25, 0.9, 2.0]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @precondition(lambda self: len(self.klippy.inbound) < 20)
    @rule()
    def settle(self) -> None:
        """Let all arrive that is under way, and a query and a tick after it: then the cache must be fresh."""
        self.send_query()
        while self.klippy.inbound:
            self.klippy.take()
        for _ in range(2):
            self.klippy.tick()
            self.receive(len(self.klippy.outbound))
        assert self.freshness.is_fresh(self.now)

    @invariant()
    def answers_are_as_good_as_klippys(self) -> None:
        """A query that the cache answers now sees all that was sent begin, and all that was answered end."""
        if not self.freshness.is_fresh(self.now):
            return
        seen = self.subscriptions.view(WISH)["printer"]
        assert seen["begun"] >= frozenset(range(1, self.sent + 1)), "a command's beginning is not seen"
        assert seen["ended"] >= self.ended_here, "a command's end is not seen"
        assert all(seen[key] >= self.newest_seen[key] for key in seen), "time went backwards"
        self.newest_seen = dict(seen)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
