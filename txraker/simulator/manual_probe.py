"""Pure: the helper with which the user lowers the nozzle by hand (MANUAL_PROBE, PROBE_CALIBRATE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import define

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.gcode_move import GcodeMove
from txraker.simulator.interpreter import CommandSpec, Interpreter
from txraker.simulator.kinematics import Kinematics
from txraker.simulator.motion import Toolhead

_SPEED: Final = 5.0
_SESSION: Final = ("ACCEPT", "NEXT", "ABORT", "TESTZ")


@define
class ManualProbe:
    """The object ``manual_probe``; ACCEPT, ABORT and TESTZ exist only while it is active."""

    interpreter: Interpreter
    kinematics: Kinematics
    gcode_move: GcodeMove
    toolhead: Toolhead
    console: Console
    _active: bool = False
    _lower: float | None = None
    _upper: float | None = None

    def objects(self) -> Mapping[str, Provider]:
        """``manual_probe``."""
        return {"manual_probe": self._status}

    def commands(self) -> list[CommandSpec]:
        """The commands that start a session."""
        return [
            CommandSpec("MANUAL_PROBE", self._cmd_start, "Start manual probe helper script"),
            CommandSpec("PROBE_CALIBRATE", self._cmd_calibrate, "Calibrate the probe's z_offset"),
            CommandSpec("Z_OFFSET_APPLY_PROBE", self._cmd_apply, "Adjust the probe's z_offset"),
        ]

    def _status(self) -> Status:
        return {
            "is_active": self._active,
            "z_position": self.toolhead.position[2] if self._active else None,
            "z_position_lower": self._lower,
            "z_position_upper": self._upper,
        }

    def _cmd_calibrate(self, command: Command) -> Iterator[float]:
        yield from self.kinematics.probe()
        x, y, z, e = self.toolhead.position
        yield from self.kinematics.lift((x, y, z + 5.0, e), _SPEED)
        self._cmd_start(command)

    def _cmd_start(self, command: Command) -> None:
        if self._active:
            raise CommandError("Already in a manual Z probe. Use ABORT to abort it.")
        self.kinematics.require_homed()
        self._active = True
        self.interpreter.register(
            [
                CommandSpec("ACCEPT", self._cmd_accept, "Accept the current Z position"),
                CommandSpec("NEXT", self._cmd_accept, "Accept the current Z position"),
                CommandSpec("ABORT", self._cmd_abort, "Abort manual Z probing tool"),
                CommandSpec("TESTZ", self._cmd_test, "Move to new Z height"),
            ]
        )
        self.console.info(
            "Starting manual Z probe. Use TESTZ to adjust position.\nFinish with ACCEPT or ABORT command."
        )

    def _cmd_test(self, command: Command) -> Iterator[float]:
        text = command.get("Z")
        x, y, z, e = self.toolhead.position
        if text in ("+", "++"):
            self._lower, target = z, z + 0.1
        elif text in ("-", "--"):
            self._upper, target = z, z - 0.1
        else:
            distance = command.number("Z")
            self._lower, self._upper = (z, self._upper) if distance > 0.0 else (self._lower, z)
            target = z + distance
        yield from self.kinematics.lift((x, y, target, e), _SPEED)
        self.console.info(f"Z position: ?????? --> {target:.3f} <-- ??????")

    def _cmd_accept(self, command: Command) -> None:
        self.console.info(f"Z position is {self.toolhead.position[2]:.3f}")
        self._end()

    def _cmd_abort(self, command: Command) -> None:
        self.console.info("Manual probe aborted")
        self._end()

    def _end(self) -> None:
        self._active = False
        self._lower = self._upper = None
        self.interpreter.unregister(_SESSION)

    def _cmd_apply(self, command: Command) -> None:
        offset = self.gcode_move.state.origin[2]
        if not offset:
            self.console.info("Nothing to do: Z Offset is 0")
            return
        self.console.info(
            f"probe: z_offset: {0.5 - offset:.3f}\n"
            "The SAVE_CONFIG command will update the printer config file\n"
            "with the above and restart the printer."
        )
