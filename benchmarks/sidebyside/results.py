"""What was measured: every number of every round, and what follows from them."""

from __future__ import annotations

from statistics import median
from typing import Any

import msgspec

from sidebyside.scenario import Medians, Metric, Numbers, Scenario


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of a core, at most over the windows of one measurement: what else may have set the pace."""

    clients: float
    printer: float
    others: float
    """What ran on the machine besides: everything above a few percent is noise."""
    late: float
    """By how many seconds the printer was late at worst."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario on one server in one round; ``failure`` says why there are no numbers."""

    scenario: str
    server: str
    round: int
    numbers: Numbers
    shares: Shares | None
    failure: str | None = None


class Results(msgspec.Struct, kw_only=True):
    """Everything."""

    environment: dict[str, Any]
    measurements: list[Measurement]

    def of(self, scenario: str, server: str) -> list[Measurement]:
        """Return the measurements of a scenario on a server, by round."""
        return [each for each in self.measurements if (each.scenario, each.server) == (scenario, server)]

    def values(self, scenario: str, server: str, metric: str) -> dict[int, float]:
        """Return what was measured, by round."""
        return {
            each.round: each.numbers[metric] for each in self.of(scenario, server) if metric in each.numbers
        }

    def measured(self, scenario: Scenario, metric: Metric) -> bool:
        """Whether there is a number for either server."""
        return any(
            metric.name in each.numbers for each in self.measurements if each.scenario == scenario.name
        )

    @property
    def failed(self) -> bool:
        """Whether any scenario failed."""
        return any(each.failure is not None for each in self.measurements)

    def ratios(self, scenario: str, metric: str) -> list[float]:
        """Return txraker/Moonraker of each round."""
        ours = self.values(scenario, "txraker", metric)
        theirs = self.values(scenario, "Moonraker", metric)
        return [ours[each] / theirs[each] for each in ours if theirs.get(each)]

    def medians(self, scenario: Scenario, metric: Metric) -> Medians | None:
        """Return the medians over all rounds, None when txraker has no number."""
        ours = self.values(scenario.name, "txraker", metric.name).values()
        theirs = self.values(scenario.name, "Moonraker", metric.name).values()
        ratios = self.ratios(scenario.name, metric.name)
        if not ours:
            return None
        return Medians(
            median(ours),
            median(theirs) if theirs else None,
            median(ratios) if ratios and metric.has_ratio else None,
        )
