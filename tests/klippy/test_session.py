"""Klippy's state: every input in every state, and what is announced."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from txraker.klippy.session import REPORTED_STATES, KlippyState, Session

WAYS: dict[KlippyState, list[str]] = {
    "disconnected": [],
    "startup": ["connected"],
    "ready": ["connected", "reports_ready"],
    "error": ["connected", "reports_error"],
    "shutdown": ["connected", "reports_shutdown"],
}
"""Inputs that lead from the beginning to each state."""

INPUTS = ("connected", "lost", "reports_startup", "reports_ready", "reports_error", "reports_shutdown")

TABLE: dict[KlippyState, tuple[KlippyState, ...]] = {
    "disconnected": ("startup", *("disconnected",) * 5),
    "startup": ("startup", "disconnected", "startup", "ready", "error", "shutdown"),
    "ready": ("ready", "disconnected", "startup", "ready", "error", "shutdown"),
    "error": ("error", "disconnected", "startup", "ready", "error", "shutdown"),
    "shutdown": ("shutdown", "disconnected", "startup", "ready", "error", "shutdown"),
}
"""The state after each of the inputs, by the state before."""

ANNOUNCED = {"ready": "ready", "shutdown": "shutdown", "disconnected": "disconnected"}


def feed(session: Session, step: str) -> None:
    """Give a session one of the inputs."""
    if step.startswith("reports_"):
        session.reports(step.removeprefix("reports_"))
    else:
        getattr(session, step)()


@define
class Announced:
    """Notes what is announced, and the state at that time."""

    heard: list[str] = field(factory=list)
    states: list[KlippyState] = field(factory=list)
    session: Session | None = None

    def ready(self) -> None:
        """Note it."""
        self._note("ready")

    def shutdown(self) -> None:
        """Note it."""
        self._note("shutdown")

    def disconnected(self) -> None:
        """Note it."""
        self._note("disconnected")

    def _note(self, what: str) -> None:
        self.heard.append(what)
        if self.session is not None:
            self.states.append(self.session.state)


@pytest.mark.parametrize("before", TABLE)
@pytest.mark.parametrize("number", range(len(INPUTS)), ids=INPUTS)
def test_every_input_in_every_state(before: KlippyState, number: int) -> None:
    """Every input in every state leads where the table says, and announces a change just then."""
    announced = Announced()
    session = Session(announced)
    for step in WAYS[before]:
        feed(session, step)
    assert session.state == before
    announced.heard.clear()

    feed(session, INPUTS[number])

    after = TABLE[before][number]
    assert session.state == after
    expected = [ANNOUNCED[after]] if after != before and after in ANNOUNCED else []
    assert announced.heard == expected


@pytest.mark.parametrize("state", ["ready", "shutdown"])
def test_the_new_state_holds_while_it_is_announced(state: str) -> None:
    """Whoever hears an announcement finds the state that is announced."""
    announced = Announced()
    session = announced.session = Session(announced)
    session.connected()
    session.reports(state)
    session.lost()
    assert announced.states == [state, "disconnected"]


@pytest.mark.parametrize("state", ["", "disconnected", "lost", "printing", "Ready", "None"])
def test_unknown_states_are_left_aside(state: str) -> None:
    """A state that Klippy can't report of itself changes nothing."""
    session = Session(Announced())
    session.connected()
    session.reports(state)
    assert session.state == "startup"


@given(st.lists(st.sampled_from(INPUTS)))
def test_any_history(inputs: list[str]) -> None:
    """After any inputs, every loss was announced once, and never two of one announcement in a row."""
    announced = Announced()
    session = Session(announced)
    for step in inputs:
        feed(session, step)
    connections = 0
    up = False
    for step in inputs:
        if step == "connected" and not up:
            up = True
        elif step == "lost" and up:
            up = False
            connections += 1
    assert announced.heard.count("disconnected") == connections
    assert (session.state != "disconnected") is up


def test_reported_states() -> None:
    """Klippy reports every state but the one in which it can't speak."""
    assert {"startup", "ready", "error", "shutdown"} == REPORTED_STATES
