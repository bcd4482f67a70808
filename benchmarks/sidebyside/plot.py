"""The results of a scenario as a picture (SVG): a bar for each number, with the spread over the rounds.

Numbers have units of their own, so each has a scale of its own, from zero to the most of the two servers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

from sidebyside.numbers import spread
from sidebyside.results import Results
from sidebyside.scenario import Metric, Scenario

_WIDTH: Final = 820
_MARGIN: Final = 16
_BARS: Final = 470
"""The width of the longest bar."""
_BAR: Final = 14
_ROW: Final = 58
_HEAD: Final = 64
_COLOURS: Final = {"Moonraker": "#9aa3ad", "txraker": "#2f6db5"}
_STYLE: Final = "font-family: system-ui, sans-serif; font-size: 12px; fill: #222"


def svg(results: Results, scenario: Scenario) -> str:
    """Return the picture of a scenario."""
    metrics = [metric for metric in scenario.metrics if _values(results, scenario, metric)]
    height = _HEAD + _ROW * len(metrics) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{_quoted(scenario.title)}" style="{_STYLE}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="24" font-weight="bold" font-size="14px">{escape(scenario.title)}</text>',
        *_legend(),
    ]
    for number, metric in enumerate(metrics):
        lines += _row(_values(results, scenario, metric), metric, _HEAD + _ROW * number)
    return "\n".join([*lines, "</svg>", ""])


def _values(results: Results, scenario: Scenario, metric: Metric) -> dict[str, Collection[float]]:
    """Return the numbers of each server that has some."""
    found = {server: results.values(scenario.name, server, metric.name).values() for server in _COLOURS}
    return {server: values for server, values in found.items() if values}


def _legend() -> Iterator[str]:
    for number, (server, colour) in enumerate(_COLOURS.items()):
        x = _MARGIN + 110 * number
        yield f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 18}" y="46">{server}</text>'


def _row(values: dict[str, Collection[float]], metric: Metric, top: int) -> Iterator[str]:
    label = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    yield f'<text x="{_MARGIN}" y="{top + 12}">{escape(label)}</text>'
    most = max(max(each) for each in values.values())
    for number, (server, each) in enumerate(values.items()):
        yield from _bar(each, most, top + 18 + number * (_BAR + 3), _COLOURS[server], metric.digits)


def _bar(values: Collection[float], most: float, y: int, colour: str, digits: int) -> Iterator[str]:
    """Draw one bar, the line from the least to the greatest value, and the numbers themselves."""
    least, middle, greatest = (
        _MARGIN + (_BARS * max(0.0, value) / most if most > 0 else 0.0)
        for value in (min(values), median(values), max(values))
    )
    width = max(1.0, middle - _MARGIN)
    centre = y + _BAR / 2
    yield f'<rect x="{_MARGIN}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'
    if len(values) > 1:
        yield (
            f'<path d="M{least:.1f} {centre}H{greatest:.1f}M{least:.1f} {y + 3}v{_BAR - 6}'
            f'M{greatest:.1f} {y + 3}v{_BAR - 6}" stroke="#222" fill="none"/>'
        )
    yield f'<text x="{max(greatest, _MARGIN + width) + 8:.1f}" y="{y + 11}">{spread(values, digits)}</text>'


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})
