"""Medians, percentiles and spreads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` (0 to 1) of the values don't exceed; NaN when there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Collection[float], digits: int) -> str:
    """Return the median, with the least and the greatest value in brackets; nothing when there are none."""
    if not values:
        return ""
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"
