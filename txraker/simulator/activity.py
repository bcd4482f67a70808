"""Pure: the object ``idle_timeout`` - whether the printer prints, is ready, or has long been idle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define

from txraker.simulator.console import Console
from txraker.simulator.feature import Provider
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.timeline import Timeline

_SETTLE: Final = 0.5


@define
class IdleTimeout:
    """Follows the printer's activity.

    ``busy`` asks whether scripts or a print run, ``print_time`` is the end of the planned motion; after
    ``timeout`` seconds without either, ``idle`` is called.
    """

    timeline: Timeline
    console: Console
    busy: Callable[[], bool]
    print_time: Callable[[], float]
    idle: Callable[[], None]
    state: str = "Idle"
    timeout: float = 3600.0
    _since: float = 0.0

    def update(self) -> None:
        """Look at what the printer does now."""
        now, end = self.timeline.now, self.print_time()
        if self.state != "Printing":
            if end > now:
                self._enter("Printing")
            elif self.state == "Ready" and now - self._since >= self.timeout:
                self._enter("Idle")
                self.idle()
        elif now > end + _SETTLE and not self.busy():
            self._enter("Ready")

    def objects(self) -> Mapping[str, Provider]:
        """``idle_timeout``."""
        return {
            "idle_timeout": lambda: {
                "state": self.state,
                "printing_time": self.timeline.now - self._since if self.state == "Printing" else 0.0,
                "idle_timeout": self.timeout,
            }
        }

    def commands(self) -> list[CommandSpec]:
        """SET_IDLE_TIMEOUT."""
        return [CommandSpec("SET_IDLE_TIMEOUT", self._cmd_set, "Set the idle timeout in seconds")]

    def _enter(self, state: str) -> None:
        self.state, self._since = state, self.timeline.now

    def _cmd_set(self, command: Command) -> None:
        self.timeout = command.number("TIMEOUT", self.timeout, above=0.0)
        self.console.info(f"idle_timeout: Timeout set to {self.timeout:.2f} s")
