"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from sidebyside import goals
from sidebyside.numbers import spread
from sidebyside.plot import svg
from sidebyside.results import Results, Shares
from sidebyside.scenario import Metric, Scenario

_BUSY = 0.85
"""The share of a core from which on clients and printer may have set the pace, not the server."""


def write(results: Results, scenarios: Sequence[Scenario], path: Path) -> None:
    """Write ``path``.md, and in the folder ``path`` a picture of each scenario, to which it links."""
    path.mkdir(parents=True, exist_ok=True)
    for scenario in scenarios:
        if _is_in(results, scenario):
            (path / f"{scenario.name}.svg").write_text(svg(results, scenario), encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(results, scenarios, path.name), encoding="utf-8")


def markdown(results: Results, scenarios: Sequence[Scenario], pictures: str) -> str:
    """Return the goals, one table a scenario, and what to know about how they came about.

    ``pictures`` is the folder of the scenarios' pictures, as seen from where the text will be.
    """
    parts = ["# txraker and Moonraker side by side", "", *_environment(results), ""]
    parts += goals.table(results, scenarios)
    for scenario in scenarios:
        if _is_in(results, scenario):
            parts += [*_section(results, scenario, f"{pictures}/{scenario.name}.svg"), ""]
    return "\n".join(parts)


def _is_in(results: Results, scenario: Scenario) -> bool:
    return bool(results.of(scenario.name, "txraker") or results.of(scenario.name, "Moonraker"))


def _environment(results: Results) -> list[str]:
    lines = [f"- {name}: {value}" for name, value in results.environment.items()]
    return [
        "Medians over the rounds, with least and greatest value in brackets. The ratio is that of the two",
        "servers in the same round; below 1 txraker is lower. `benchmarks/README.md` says",
        "how it is measured, and how to measure it yourself.",
        "",
        *lines,
    ]


def _section(results: Results, scenario: Scenario, picture: str) -> list[str]:
    size = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in scenario.size.items())
    lines = [
        f"## {scenario.title}",
        "",
        f"`{scenario.name}`: {size}",
        "",
        "| | Moonraker | txraker | ratio | bar | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    measured = [metric for metric in scenario.metrics if results.measured(scenario, metric)]
    lines += [_row(results, scenario, metric) for metric in measured]
    return [
        *lines,
        "",
        f"![{scenario.title}]({picture})",
        "",
        *_failures(results, scenario),
        _harness(results, scenario),
    ]


def _row(results: Results, scenario: Scenario, metric: Metric) -> str:
    theirs = results.values(scenario.name, "Moonraker", metric.name).values()
    ours = results.values(scenario.name, "txraker", metric.name).values()
    ratios = results.ratios(scenario.name, metric.name) if metric.has_ratio else []
    cells = [
        f"{metric.label} ({metric.unit})" if metric.unit else metric.label,
        spread(theirs, metric.digits),
        spread(ours, metric.digits),
        spread(ratios, 3),
        metric.bar.text if metric.bar else "",
        _verdict(results, scenario, metric),
    ]
    return "| " + " | ".join(cells) + " |"


def _verdict(results: Results, scenario: Scenario, metric: Metric) -> str:
    medians = results.medians(scenario, metric)
    if metric.bar is None or medians is None:
        return ""
    return "met" if metric.bar.met(medians) else "**missed**"


def _failures(results: Results, scenario: Scenario) -> list[str]:
    failed = [each for each in results.measurements if each.scenario == scenario.name and each.failure]
    lines = [f"- {each.server}, round {each.round}, failed: {each.failure}" for each in failed]
    return [*lines, ""] if lines else []


def _harness(results: Results, scenario: Scenario) -> str:
    """Say what the harness itself used at most, and whether that may have set the pace."""
    said = []
    for server in ("Moonraker", "txraker"):
        shares = [each.shares for each in results.of(scenario.name, server) if each.shares is not None]
        if shares:
            said.append(f"{server}: {_shares(shares)}")
    return "Harness, at most. " + " ".join(said)


def _shares(shares: list[Shares]) -> str:
    clients, printer = (max(getattr(each, name) for each in shares) for name in ("clients", "printer"))
    others = median(each.others for each in shares)
    text = (
        f"clients {clients:.0%} of a core, printer {printer:.0%} and "
        f"{max(each.late for each in shares):.2f} s late, all else on the machine {others:.0%} (median)."
    )
    if max(each.clients + each.printer for each in shares) > _BUSY:
        text += " **The harness may have set the pace.**"
    return text
