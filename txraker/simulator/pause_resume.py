"""Pure: pausing, resuming and cancelling a print."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from txraker.simulator.console import Console
from txraker.simulator.feature import Provider
from txraker.simulator.gcode import Command
from txraker.simulator.gcode_move import GcodeMove
from txraker.simulator.interpreter import CommandSpec, Steps
from txraker.simulator.sdcard import VirtualSdCard

_RECOVER_VELOCITY = 50.0
_STATE_NAME = "PAUSE_STATE"


@define
class PauseResume:
    """The object ``pause_resume`` and the built-in commands the macros of the same name wrap."""

    sdcard: VirtualSdCard
    gcode_move: GcodeMove
    console: Console
    paused: bool = False
    _from_sdcard: bool = False

    def objects(self) -> Mapping[str, Provider]:
        """``pause_resume``."""
        return {"pause_resume": lambda: {"is_paused": self.paused}}

    def commands(self) -> list[CommandSpec]:
        """The built-in commands."""
        return [
            CommandSpec("PAUSE_BASE", self._cmd_pause, "Renamed builtin of 'PAUSE'"),
            CommandSpec("RESUME_BASE", self._cmd_resume, "Renamed builtin of 'RESUME'"),
            CommandSpec("CANCEL_PRINT_BASE", self._cmd_cancel, "Renamed builtin of 'CANCEL_PRINT'"),
            CommandSpec(
                "CLEAR_PAUSE", self._cmd_clear, "Clears the current paused state without resuming the print"
            ),
        ]

    def _cmd_pause(self, command: Command) -> None:
        if self.paused:
            self.console.info("Print already paused")
            return
        self._from_sdcard = self.sdcard.active
        if self._from_sdcard:
            self.sdcard.pause()
        else:
            self.console.info("action:paused")
        self.gcode_move.save(_STATE_NAME)
        self.paused = True

    def _cmd_resume(self, command: Command) -> Steps | None:
        if not self.paused:
            self.console.info("Print is not paused, resume aborted")
            return None
        steps = self.gcode_move.restore(_STATE_NAME, command.number("VELOCITY", _RECOVER_VELOCITY, above=0.0))
        self.paused = False
        if self._from_sdcard:
            self.sdcard.resume()
        else:
            self.console.info("action:resumed")
        return steps

    def _cmd_cancel(self, command: Command) -> None:
        if self.sdcard.active or self._from_sdcard:
            self.sdcard.cancel()
        else:
            self.console.info("action:cancel")
        self._clear()

    def _cmd_clear(self, command: Command) -> None:
        self._clear()

    def _clear(self) -> None:
        self.paused = self._from_sdcard = False
