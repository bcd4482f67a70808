"""What a scenario is: a measurement with a name, on one server, that gives numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from attrs import frozen

from sidebyside.rig import Rig

StartRig = Callable[..., AbstractContextManager[Rig]]
"""Starts a rig; takes the load as keyword arguments."""

Numbers = dict[str, float]
"""What a scenario measured, by the names of its metrics."""


@frozen
class Medians:
    """Medians over all rounds; Moonraker's, and with them the ratio, are None if it was not measured."""

    txraker: float
    moonraker: float | None
    ratio: float | None


@frozen
class Bar:
    """What txraker should reach."""

    text: str
    met: Callable[[Medians], bool]


@frozen
class Goal:
    """A bar that the project set itself, by the words it is known by."""

    title: str
    bar: Bar


@frozen
class Metric:
    """One number of a scenario. ``has_ratio`` says whether txraker/Moonraker means something."""

    name: str
    label: str
    unit: str
    digits: int = 1
    has_ratio: bool = True
    bar: Bar | None = None
    goal: Goal | None = None


class Scenario(Protocol):
    """A measurement."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it measures."""
        ...

    @property
    def size(self) -> Mapping[str, float]:
        """How many clients, how long and so on: shown with the results."""
        ...

    def measure(self, start: StartRig) -> Numbers:
        """Measure one server, once."""
        ...


@runtime_checkable
class Sharing(Scenario, Protocol):
    """A measurement that doesn't mind what was measured on the same server before, if ``shares`` is true."""

    @property
    def shares(self) -> bool:
        """Whether it takes a server on which something else was measured; without any load, that is."""
        ...


@runtime_checkable
class Kept(Scenario, Protocol):
    """A measurement on servers that have been running, with a certain load, for some time."""

    @property
    def load(self) -> Mapping[str, float]:
        """The load of the virtual printer."""
        ...

    @property
    def age(self) -> float:
        """How many seconds the server must have been running, at least."""
        ...


@runtime_checkable
class Seldom(Scenario, Protocol):
    """A measurement that takes long and scatters little: it isn't made in every round."""

    @property
    def most_rounds(self) -> int:
        """In how many rounds it is made, at most."""
        ...


def at_most(limit: float, unit: str) -> Bar:
    """A bar on the value itself."""
    return Bar(f"≤ {limit:g} {unit}".rstrip(), lambda medians: medians.txraker <= limit)


def at_least(limit: float, unit: str) -> Bar:
    """A bar on the value itself, from below."""
    return Bar(f"≥ {limit:g} {unit}".rstrip(), lambda medians: medians.txraker >= limit)


def ratio_at_most(limit: float) -> Bar:
    """A bar on the ratio; not met while nothing is known of Moonraker."""
    return Bar(f"ratio ≤ {limit:g}", lambda medians: medians.ratio is not None and medians.ratio <= limit)
