"""Pure: how G1 and its relatives become toolhead moves - units, offsets, overrides, saved states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from attrs import define, evolve, field

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec, Steps
from txraker.simulator.motion import Position, Toolhead

_LETTERS: Final = "XYZE"
_ARC_SEGMENT: Final = 1.0


@define
class MoveState:
    """What SAVE_GCODE_STATE keeps; positions are X, Y, Z, E in millimetres, speed is in mm/min."""

    absolute: bool = True
    absolute_extrude: bool = True
    base: list[float] = field(factory=lambda: [0.0] * 4)
    last: list[float] = field(factory=lambda: [0.0] * 4)
    origin: list[float] = field(factory=lambda: [0.0] * 4)
    speed: float = 1500.0
    speed_factor: float = 1.0
    extrude_factor: float = 1.0

    def copy(self) -> MoveState:
        """A copy that shares nothing."""
        return evolve(self, base=list(self.base), last=list(self.last), origin=list(self.origin))


@define
class GcodeMove:
    """The gcode coordinate system above a toolhead.

    ``can_extrude`` asks the extruder; ``excluded`` asks whether moves belong to a cancelled object.
    """

    toolhead: Toolhead
    console: Console
    can_extrude: Callable[[], bool]
    excluded: Callable[[], bool]
    state: MoveState = field(factory=MoveState)
    _saved: dict[str, MoveState] = field(factory=dict)
    _retracted: float = 0.0
    _retraction: dict[str, float] = field(
        factory=lambda: {
            "retract_length": 0.5,
            "retract_speed": 20.0,
            "unretract_extra_length": 0.0,
            "unretract_speed": 10.0,
        }
    )

    def reset_position(self) -> None:
        """Take the toolhead's position as the last one commanded, as after homing or an error."""
        self.state.last = list(self.toolhead.position)

    def homed(self, axes: str) -> None:
        """Drop the G92 offset of axes that were just homed."""
        for index in ("xyz".index(axis) for axis in axes):
            self.state.base[index] = self.state.origin[index]

    def objects(self) -> Mapping[str, Provider]:
        """``gcode_move`` and ``firmware_retraction``."""
        return {"gcode_move": self._status, "firmware_retraction": lambda: dict(self._retraction)}

    def commands(self) -> list[CommandSpec]:
        """The commands of the gcode coordinate system."""
        return [
            CommandSpec("G0", self._cmd_move),
            CommandSpec("G1", self._cmd_move),
            CommandSpec("G2", lambda command: self._cmd_arc(command, clockwise=True)),
            CommandSpec("G3", lambda command: self._cmd_arc(command, clockwise=False)),
            *(CommandSpec(name, _ignored) for name in ("G17", "G18", "G19", "G21")),
            CommandSpec("G20", self._cmd_inches),
            CommandSpec("M82", lambda command: self._set_extrude_mode(absolute=True)),
            CommandSpec("M83", lambda command: self._set_extrude_mode(absolute=False)),
            CommandSpec("G90", lambda command: self._set_mode(absolute=True)),
            CommandSpec("G91", lambda command: self._set_mode(absolute=False)),
            CommandSpec("G92", self._cmd_set_position),
            CommandSpec("M220", self._cmd_speed_factor),
            CommandSpec("M221", self._cmd_extrude_factor),
            CommandSpec("SET_GCODE_OFFSET", self._cmd_offset, "Set a virtual offset to g-code positions"),
            CommandSpec("SAVE_GCODE_STATE", self._cmd_save, "Save G-Code coordinate state"),
            CommandSpec("RESTORE_GCODE_STATE", self._cmd_restore, "Restore a previously saved G-Code state"),
            CommandSpec("M114", self._cmd_m114, always=True),
            CommandSpec(
                "GET_POSITION",
                self._cmd_get_position,
                "Return information on the current location of the toolhead",
                always=True,
            ),
            CommandSpec("SET_RETRACTION", self._cmd_set_retraction, "Set firmware retraction parameters"),
            CommandSpec("GET_RETRACTION", self._cmd_get_retraction, "Report firmware retraction parameters"),
            CommandSpec("G10", self._cmd_retract),
            CommandSpec("G11", self._cmd_unretract),
        ]

    def save(self, name: str) -> None:
        """Save the state under a name."""
        self._saved[name] = self.state.copy()

    def restore(self, name: str, speed: float | None) -> Steps | None:
        """Restore a saved state and, given a speed (mm/s), move back to its position."""
        saved = self._saved.get(name)
        if saved is None:
            raise CommandError(f"Unknown g-code state: {name}")
        last_e = self.state.last[3]
        here = list(self.state.last)
        self.state = saved.copy()
        self.state.base[3] += last_e - saved.last[3]
        if speed is None:
            self.state.last = here
            return None
        self.state.last[3] = last_e
        return self._go(speed)

    def _status(self) -> Status:
        state = self.state
        return {
            "speed_factor": state.speed_factor,
            "speed": state.speed,
            "extrude_factor": state.extrude_factor,
            "absolute_coordinates": state.absolute,
            "absolute_extrude": state.absolute_extrude,
            "homing_origin": list(state.origin),
            "position": list(state.last),
            "gcode_position": self._gcode_position(),
            "axis_map": {letter: index for index, letter in enumerate(_LETTERS)},
        }

    def _gcode_position(self) -> list[float]:
        state = self.state
        position = [last - base for last, base in zip(state.last, state.base, strict=True)]
        position[3] /= state.extrude_factor
        return position

    def _cmd_move(self, command: Command) -> Steps | None:
        try:
            words = {letter: float(command.params[letter]) for letter in "XYZEF" if letter in command.params}
        except ValueError:
            raise CommandError(f"Unable to parse move '{command.line}'") from None
        if "F" in words:
            if words["F"] <= 0.0:
                raise CommandError(f"Invalid speed in '{command.line}'")
            self.state.speed = words.pop("F")
        for letter, value in words.items():
            self._aim(_LETTERS.index(letter), value)
        return self._go(self._speed())

    def _aim(self, index: int, value: float) -> None:
        state = self.state
        relative = not state.absolute
        if index == 3:
            value *= state.extrude_factor
            relative = relative or not state.absolute_extrude
        state.last[index] = value + (state.last[index] if relative else state.base[index])

    def _speed(self) -> float:
        return self.state.speed * self.state.speed_factor / 60.0

    def _go(self, speed: float) -> Steps | None:
        x, y, z, e = self.state.last
        if self.excluded():
            self.toolhead.position = (*self.toolhead.position[:3], e)
            return None
        try:
            self.toolhead.move((x, y, z, e), speed, can_extrude=self.can_extrude())
        except CommandError:
            self.reset_position()
            raise
        return self.toolhead.throttle()

    def _cmd_arc(self, command: Command, *, clockwise: bool) -> Iterator[float]:
        x0, y0 = self._gcode_position()[:2]
        center = (x0 + command.number("I", 0.0), y0 + command.number("J", 0.0))
        if center == (x0, y0):
            raise CommandError("G2/G3 requires IJ, IK or JK parameters")
        end = (command.number("X", x0), command.number("Y", y0))
        points = _arc_points((x0, y0), end, center, clockwise=clockwise)
        extrude = command.number("E", 0.0) / len(points)
        feed = f" F{command.params['F']}" if "F" in command.params else ""
        for x, y in points:
            params = {"X": str(x), "Y": str(y)}
            if extrude:
                params["E"] = str(extrude)
            if feed:
                params["F"] = feed[2:]
            steps = self._cmd_move(Command("G1", params, command.line, ""))
            if steps is not None:
                yield from steps

    def _cmd_inches(self, command: Command) -> None:
        raise CommandError("Machine does not support G20 (inches) command")

    def _set_extrude_mode(self, *, absolute: bool) -> None:
        self.state.absolute_extrude = absolute

    def _set_mode(self, *, absolute: bool) -> None:
        self.state.absolute = absolute

    def _cmd_set_position(self, command: Command) -> None:
        given = {index: command.maybe_number(letter) for index, letter in enumerate(_LETTERS)}
        everything = all(value is None for value in given.values())
        for index, value in given.items():
            if everything:
                self.state.base[index] = self.state.last[index]
            elif value is not None:
                factor = self.state.extrude_factor if index == 3 else 1.0
                self.state.base[index] = self.state.last[index] - value * factor

    def _cmd_speed_factor(self, command: Command) -> None:
        self.state.speed_factor = command.number("S", 100.0, above=0.0) / 100.0

    def _cmd_extrude_factor(self, command: Command) -> None:
        state = self.state
        factor = command.number("S", 100.0, above=0.0) / 100.0
        position = self._gcode_position()[3]
        state.base[3] = state.last[3] - position * factor
        state.extrude_factor = factor

    def _cmd_offset(self, command: Command) -> Steps | None:
        state = self.state
        for index, letter in enumerate(_LETTERS):
            offset = command.maybe_number(letter)
            adjust = command.maybe_number(f"{letter}_ADJUST")
            if offset is None:
                if adjust is None:
                    continue
                offset = state.origin[index] + adjust
            delta = offset - state.origin[index]
            state.base[index] += delta
            state.origin[index] = offset
            if command.integer("MOVE", 0):
                state.last[index] += delta
        if command.integer("MOVE", 0):
            return self._go(command.number("MOVE_SPEED", self._speed(), above=0.0))
        return None

    def _cmd_save(self, command: Command) -> None:
        self.save(command.get("NAME", "default"))

    def _cmd_restore(self, command: Command) -> Steps | None:
        speed = command.number("MOVE_SPEED", self._speed(), above=0.0) if command.integer("MOVE", 0) else None
        return self.restore(command.get("NAME", "default"), speed)

    def _cmd_m114(self, command: Command) -> None:
        x, y, z, e = self._gcode_position()
        self.console.raw(f"X:{x:.3f} Y:{y:.3f} Z:{z:.3f} E:{e:.3f}")

    def _cmd_get_position(self, command: Command) -> None:
        x, y, z, _ = self.toolhead.position
        self.console.info(
            f"mcu: stepper_x:{round(x * 20)} stepper_y:{round(y * 20)} stepper_z:{round(z * 100)}\n"
            f"stepper: stepper_x:{x:.6f} stepper_y:{y:.6f} stepper_z:{z:.6f}\n"
            f"kinematic: X:{x:.6f} Y:{y:.6f} Z:{z:.6f}\n"
            f"toolhead: {_words(self.toolhead.position)}\n"
            f"gcode: {_words(self.state.last)}\n"
            f"gcode base: {_words(self.state.base)}\n"
            f"gcode homing: X:{self.state.origin[0]:.6f} Y:{self.state.origin[1]:.6f}"
            f" Z:{self.state.origin[2]:.6f}"
        )

    def _cmd_set_retraction(self, command: Command) -> None:
        for key, value in self._retraction.items():
            self._retraction[key] = command.number(key.upper(), value, minimum=0.0)

    def _cmd_get_retraction(self, command: Command) -> None:
        words = (f"{key.upper()}={value:.5f}" for key, value in self._retraction.items())
        self.console.info(" ".join(words))

    def _cmd_retract(self, command: Command) -> Steps | None:
        if self._retracted:
            return None
        self._retracted = self._retraction["retract_length"]
        return self._slide(-self._retracted, self._retraction["retract_speed"])

    def _cmd_unretract(self, command: Command) -> Steps | None:
        if not self._retracted:
            return None
        length = self._retracted + self._retraction["unretract_extra_length"]
        self._retracted = 0.0
        return self._slide(length, self._retraction["unretract_speed"])

    def _slide(self, length: float, speed: float) -> Steps | None:
        self.state.last[3] += length
        self.state.base[3] += length
        return self._go(speed)


def _ignored(command: Command) -> None:
    """Accept a command that changes nothing here."""


def _words(position: Position | list[float]) -> str:
    return " ".join(f"{letter}:{value:.6f}" for letter, value in zip(_LETTERS, position, strict=True))


def _arc_points(
    start: tuple[float, float], end: tuple[float, float], center: tuple[float, float], *, clockwise: bool
) -> list[tuple[float, float]]:
    """Corners of the line segments, a millimetre long, that stand for an arc."""
    radius = math.dist(start, center)
    begin = math.atan2(start[1] - center[1], start[0] - center[0])
    sweep = math.atan2(end[1] - center[1], end[0] - center[0]) - begin
    if clockwise and sweep >= 0.0:
        sweep -= 2.0 * math.pi
    elif not clockwise and sweep <= 0.0:
        sweep += 2.0 * math.pi
    count = max(1, int(abs(sweep) * radius / _ARC_SEGMENT))
    inner = (begin + sweep * step / count for step in range(1, count))
    return [(center[0] + radius * math.cos(a), center[1] + radius * math.sin(a)) for a in inner] + [end]
