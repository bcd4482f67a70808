"""Pure: commands about axes - homing, endstops, steppers, the probe - and the toolhead's printer objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from statistics import mean, median, pstdev
from typing import Final

from attrs import define, field

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.gcode_move import GcodeMove
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.motion import AXES, MAXIMUM, MINIMUM, STEPPERS, Position, Toolhead

_SPEEDS: Final = {"x": 50.0, "y": 50.0, "z": 10.0}
_RETRACT: Final = 5.0
_Z_HOP: Final = 5.0
_Z_HOP_SPEED: Final = 15.0
_CENTER: Final = (100.0, 100.0)
_PROBE_SPEED: Final = 8.0
_PROBE_OFFSET: Final = 0.5


def bed_height(x: float, y: float) -> float:
    """Height of the virtual bed above its plane, in millimetres: tilted, with a hump."""
    return (
        0.0004 * (x - 115.0) - 0.0003 * (y - 115.0) + 0.08 * (1.0 - ((x - 115) ** 2 + (y - 115) ** 2) / 22050)
    )


@define
class Kinematics:
    """Homing, probing and the state of the steppers."""

    toolhead: Toolhead
    gcode_move: GcodeMove
    console: Console
    extruder_status: Callable[[], Status]
    _random: Random = field(factory=lambda: Random(5))
    _endstops: dict[str, int] = field(factory=dict)
    _triggered: bool = False
    _probed: Position = (0.0, 0.0, 0.0, 0)
    _pressure_advance: float = 0.04
    _smooth_time: float = 0.04

    def objects(self) -> Mapping[str, Provider]:
        """The toolhead and what surrounds it."""
        return {
            "probe": self._probe_status,
            "query_endstops": lambda: {"last_query": dict(self._endstops)},
            "stepper_enable": lambda: {"steppers": dict(self.toolhead.enabled)},
            "motion_report": self._report_status,
            "toolhead": self._toolhead_status,
            "extruder": self._extruder_status,
        }

    def commands(self) -> list[CommandSpec]:
        """The commands about axes."""
        return [
            CommandSpec("QUERY_PROBE", self._cmd_query_probe, "Return the status of the z-probe"),
            CommandSpec("PROBE", self._cmd_probe, "Probe Z-height at current XY position"),
            CommandSpec(
                "PROBE_ACCURACY", self._cmd_accuracy, "Probe Z-height accuracy at current XY position"
            ),
            CommandSpec("G28", self._cmd_home),
            CommandSpec("QUERY_ENDSTOPS", self._cmd_endstops, "Report on the status of each endstop"),
            CommandSpec("M119", self._cmd_endstops),
            CommandSpec("M18", self._cmd_motors_off),
            CommandSpec("M84", self._cmd_motors_off),
            CommandSpec("SET_STEPPER_ENABLE", self._cmd_enable, "Enable/disable individual stepper by name"),
            CommandSpec("STEPPER_BUZZ", self._cmd_buzz, "Oscillate a given stepper to help id it"),
            CommandSpec(
                "FORCE_MOVE", self._cmd_force_move, "Manually move a stepper; invalidates kinematics"
            ),
            CommandSpec("SET_KINEMATIC_POSITION", self._cmd_set, "Force a low-level kinematic position"),
            CommandSpec("G4", self._cmd_dwell),
            CommandSpec("M400", lambda command: self.toolhead.wait()),
            CommandSpec("SET_VELOCITY_LIMIT", self._cmd_limits, "Set printer velocity limits"),
            CommandSpec("M204", self._cmd_accel),
            CommandSpec("SET_PRESSURE_ADVANCE", self._cmd_advance, "Set pressure advance parameters"),
            CommandSpec("ACTIVATE_EXTRUDER", self._cmd_activate, "Change the active extruder"),
        ]

    def require_homed(self) -> None:
        """Refuse to go on unless every axis is homed."""
        if self.toolhead.homed_axes != AXES:
            raise CommandError("Must home before probe")

    def query_endstops(self) -> Iterator[float]:
        """Steps that read every endstop into the object ``query_endstops``."""
        self.toolhead.touch()
        yield from self.toolhead.wait()
        self._endstops = dict.fromkeys(STEPPERS[:3], 0)

    def endstops(self) -> dict[str, str]:
        """The endstops as they were read last: "open" or "TRIGGERED"."""
        return {name: "TRIGGERED" if value else "open" for name, value in self._endstops.items()}

    def probe(self, speed: float = _PROBE_SPEED) -> Iterator[float]:
        """Steps that lower the toolhead until the probe triggers."""
        self.require_homed()
        x, y, _, e = self.toolhead.position
        z = round(_PROBE_OFFSET + bed_height(x, y) + self._random.gauss(0.0, 0.0015), 6)
        self.toolhead.travel((x, y, z, e), speed)
        yield from self.toolhead.wait()
        self.gcode_move.reset_position()
        self._probed = (x, y, z - _PROBE_OFFSET, 0)
        self.console.info(f"probe at {x:.3f},{y:.3f} is z={z:.6f}")

    def lift(self, target: Position, speed: float) -> Iterator[float]:
        """Steps that travel to a position and wait until it is reached."""
        self.toolhead.travel(target, speed)
        yield from self.toolhead.wait()
        self.gcode_move.reset_position()

    def _probe_status(self) -> Status:
        return {
            "name": "probe",
            "last_query": self._triggered,
            "last_probe_position": list(self._probed),
            "last_z_result": self._probed[2],
        }

    def _report_status(self) -> Status:
        position, velocity, extruder_velocity = self.toolhead.live()
        return {
            "live_position": list(position),
            "live_velocity": velocity,
            "live_extruder_velocity": extruder_velocity,
            "steppers": sorted(STEPPERS),
            "trapq": ["extruder", "toolhead"],
        }

    def _toolhead_status(self) -> Status:
        limits = self.toolhead.limits
        return {
            "homed_axes": self.toolhead.homed_axes,
            "axis_minimum": [*MINIMUM, 0],
            "axis_maximum": [*MAXIMUM, 0],
            "print_time": self.toolhead.print_time,
            "stalls": 0,
            "estimated_print_time": round(self.toolhead.timeline.now, 8),
            "extruder": "extruder",
            "position": list(self.toolhead.position),
            "max_velocity": limits.max_velocity,
            "max_accel": limits.max_accel,
            "minimum_cruise_ratio": limits.minimum_cruise_ratio,
            "square_corner_velocity": limits.square_corner_velocity,
            "extra_axes": {"extruder": 3},
        }

    def _extruder_status(self) -> Status:
        return {
            **self.extruder_status(),
            "pressure_advance": self._pressure_advance,
            "smooth_time": self._smooth_time,
            "motion_queue": None,
        }

    def _cmd_home(self, command: Command) -> Iterator[float]:
        axes = "".join(axis for axis in AXES if axis.upper() in command.params) or AXES
        yield from self.toolhead.wait()
        if "z" not in self.toolhead.homed:
            yield from self._hop()
        for axis in axes:
            if axis == "z":
                yield from self._over_center()
            yield from self._home_axis(axis)
        self.gcode_move.homed(axes)
        self.gcode_move.reset_position()

    def _hop(self) -> Iterator[float]:
        x, y, _, e = self.toolhead.position
        self.toolhead.set_position((x, y, 0.0, e))
        yield from self.lift((x, y, _Z_HOP, e), _Z_HOP_SPEED)

    def _over_center(self) -> Iterator[float]:
        if not {"x", "y"} <= self.toolhead.homed:
            raise CommandError("Must home X and Y axes first")
        _, _, z, e = self.toolhead.position
        yield from self.lift((*_CENTER, max(z, _Z_HOP), e), _SPEEDS["x"])

    def _home_axis(self, axis: str) -> Iterator[float]:
        """Approach twice; like Klippy, count the axis as homed from the start of the approach."""
        index, speed = AXES.index(axis), _SPEEDS[axis]
        end = _PROBE_OFFSET if axis == "z" else 0.0
        if axis not in self.toolhead.homed:
            far = _Z_HOP + 10.0 if axis == "z" else MAXIMUM[index] / 2.0
            self.toolhead.set_position(self._with(index, far), axis)
        for place, rate in ((end, speed), (end + _RETRACT, speed), (end, speed / 2.0)):
            yield from self.lift(self._with(index, place), rate)

    def _with(self, index: int, value: float) -> Position:
        x, y, z, e = (value if i == index else old for i, old in enumerate(self.toolhead.position))
        return (x, y, z, e)

    def _cmd_endstops(self, command: Command) -> Iterator[float]:
        yield from self.query_endstops()
        self.console.raw(" ".join(f"{name}:{state}" for name, state in self.endstops().items()))

    def _cmd_query_probe(self, command: Command) -> Iterator[float]:
        self.toolhead.touch()
        yield from self.toolhead.wait()
        self.console.info(f"probe: {'TRIGGERED' if self._triggered else 'open'}")

    def _cmd_probe(self, command: Command) -> Iterator[float]:
        yield from self.probe(command.number("PROBE_SPEED", _PROBE_SPEED, above=0.0))
        self.console.info(f"Result is z={self._probed[2] + _PROBE_OFFSET:.6f}")

    def _cmd_accuracy(self, command: Command) -> Iterator[float]:
        samples = command.integer("SAMPLES", 10, minimum=1)
        x, y, z, e = self.toolhead.position
        self.console.info(
            f"PROBE_ACCURACY at X:{x:.3f} Y:{y:.3f} Z:{z:.3f} (samples={samples} retract=1.000 "
            f"speed={_PROBE_SPEED:.1f} lift_speed={_PROBE_SPEED:.1f})"
        )
        heights = []
        for _ in range(samples):
            yield from self.probe()
            height = self.toolhead.position[2]
            heights.append(height)
            yield from self.lift((x, y, height + 1.0, e), _PROBE_SPEED)
        self.console.info(
            f"probe accuracy results: maximum {max(heights):.6f}, minimum {min(heights):.6f}, "
            f"range {max(heights) - min(heights):.6f}, average {mean(heights):.6f}, "
            f"median {median(heights):.6f}, standard deviation {pstdev(heights):.6f}"
        )

    def _cmd_motors_off(self, command: Command) -> Iterator[float]:
        yield from self.toolhead.wait()
        self.toolhead.motors_off()

    def _stepper(self, command: Command) -> str:
        return command.one_of("STEPPER", {name: name for name in STEPPERS})

    def _cmd_enable(self, command: Command) -> None:
        self.toolhead.enabled[self._stepper(command)] = bool(command.integer("ENABLE", 1))

    def _cmd_buzz(self, command: Command) -> Iterator[float]:
        self.toolhead.enabled[self._stepper(command)] = True
        self.toolhead.dwell(10.0)
        yield from self.toolhead.wait()

    def _cmd_force_move(self, command: Command) -> Iterator[float]:
        stepper = self._stepper(command)
        distance, velocity = command.number("DISTANCE"), command.number("VELOCITY", above=0.0)
        self.toolhead.enabled[stepper] = True
        self.toolhead.dwell(abs(distance) / velocity)
        yield from self.toolhead.wait()

    def _cmd_set(self, command: Command) -> Iterator[float]:
        yield from self.toolhead.wait()
        x, y, z, e = self.toolhead.position
        target = (command.number("X", x), command.number("Y", y), command.number("Z", z), e)
        homed = command.get("SET_HOMED", AXES).lower()
        self.toolhead.homed -= set(command.get("CLEAR_HOMED", "").lower())
        self.toolhead.set_position(target, "".join(axis for axis in AXES if axis in homed))
        self.gcode_move.reset_position()

    def _cmd_dwell(self, command: Command) -> Iterator[float]:
        seconds = command.number("P", 0.0, minimum=0.0) / 1000.0
        self.toolhead.dwell(seconds or command.number("S", 0.0, minimum=0.0))
        yield from self.toolhead.wait()

    def _cmd_limits(self, command: Command) -> None:
        limits = self.toolhead.limits
        limits.max_velocity = command.number("VELOCITY", limits.max_velocity, above=0.0)
        limits.max_accel = command.number("ACCEL", limits.max_accel, above=0.0)
        limits.minimum_cruise_ratio = command.number(
            "MINIMUM_CRUISE_RATIO", limits.minimum_cruise_ratio, minimum=0.0
        )
        limits.square_corner_velocity = command.number(
            "SQUARE_CORNER_VELOCITY", limits.square_corner_velocity, minimum=0.0
        )
        if not command.params:
            self.console.info(
                f"max_velocity: {limits.max_velocity:.6f}\n"
                f"max_accel: {limits.max_accel:.6f}\n"
                f"minimum_cruise_ratio: {limits.minimum_cruise_ratio:.6f}\n"
                f"square_corner_velocity: {limits.square_corner_velocity:.6f}"
            )

    def _cmd_accel(self, command: Command) -> None:
        accel = command.maybe_number("S")
        if accel is None:
            printing, travel = command.maybe_number("P"), command.maybe_number("T")
            if printing is None or travel is None:
                self.console.info(f'Invalid M204 command "{command.line}"')
                return
            accel = min(printing, travel)
        self.toolhead.limits.max_accel = accel

    def _cmd_advance(self, command: Command) -> None:
        command.one_of("EXTRUDER", {"extruder": "extruder"}, "extruder")
        self._pressure_advance = command.number("ADVANCE", self._pressure_advance, minimum=0.0)
        self._smooth_time = command.number("SMOOTH_TIME", self._smooth_time, minimum=0.0, maximum=0.2)
        self.console.info(
            f"pressure_advance: {self._pressure_advance:.6f}\n"
            f"pressure_advance_smooth_time: {self._smooth_time:.6f}"
        )

    def _cmd_activate(self, command: Command) -> None:
        command.one_of("EXTRUDER", {"extruder": "extruder"})
        self.console.info("Extruder extruder already active")
