"""Pure: what a virtual printer counts, so that measurements can ask how often it was bothered."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, field


@define
class Statistics:
    """Counts since the start, or since they were last reset.

    ``worst_lateness`` is by how many seconds something was done too late at worst, which tells whether the
    simulator itself kept up.
    """

    requests: Counter[str] = field(factory=Counter)
    updates: int = 0
    console_lines: int = 0
    worst_lateness: float = 0.0

    def late(self, seconds: float) -> None:
        """Note how late something was done."""
        self.worst_lateness = max(self.worst_lateness, seconds)

    def report(self) -> dict[str, Any]:
        """All counts, as the method ``simulator/statistics`` answers them."""
        return {
            "requests": dict(self.requests),
            "updates": self.updates,
            "console_lines": self.console_lines,
            "worst_lateness": self.worst_lateness,
        }

    def reset(self) -> None:
        """Start to count anew."""
        self.requests.clear()
        self.updates = self.console_lines = 0
        self.worst_lateness = 0.0
