"""The goals of the project beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidebyside.numbers import spread
from sidebyside.results import Results
from sidebyside.scenario import Goal, Metric, Scenario

_HEAD = (
    "## Goals",
    "",
    "| scenario | Moonraker | txraker | ratio | goal | |",
    "| --- | --- | --- | --- | --- | --- |",
)


def table(results: Results, scenarios: Iterable[Scenario]) -> list[str]:
    """Return the table of goals, nothing when none was measured."""
    rows = [
        _row(results, scenario, metric, metric.goal)
        for scenario in scenarios
        for metric in scenario.metrics
        if metric.goal is not None and results.measured(scenario, metric)
    ]
    return [*_HEAD, *rows, ""] if rows else []


def _row(results: Results, scenario: Scenario, metric: Metric, goal: Goal) -> str:
    return "| " + " | ".join(_cells(results, scenario, metric, goal)) + " |"


def _cells(results: Results, scenario: Scenario, metric: Metric, goal: Goal) -> Iterator[str]:
    yield goal.title
    for server in ("Moonraker", "txraker"):
        values = results.values(scenario.name, server, metric.name).values()
        yield f"{spread(values, metric.digits)} {metric.unit}" if values else ""
    yield spread(results.ratios(scenario.name, metric.name) if metric.has_ratio else [], 3)
    yield goal.bar.text
    medians = results.medians(scenario, metric)
    yield "not measured" if medians is None else "met" if goal.bar.met(medians) else "**missed**"
