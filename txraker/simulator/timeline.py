"""Pure: the two times of a simulation."""

from __future__ import annotations

from attrs import define


@define
class Timeline:
    """Maps real seconds, handed in by the shell, to the printer's own, possibly faster, seconds.

    ``now`` is the printer's time in seconds since its micro-controller booted; it never goes back.
    """

    started: float
    """Real time at which the simulation began."""
    speed: float = 1.0
    now: float = 0.0

    def printer_time(self, real: float) -> float:
        """Printer time at a real time."""
        return (real - self.started) * self.speed

    def real_time(self, printer: float) -> float:
        """Real time at a printer time."""
        return self.started + printer / self.speed

    def advance_to(self, printer: float) -> None:
        """Move on to a printer time."""
        self.now = max(self.now, printer)
