"""Pure: the toolhead - what it was told to do, and where it is while it does it.

Moves go into a queue that runs ahead of the present by about a second, so a move's command ends when
there is room for more, not when the toolhead has arrived; M400 waits for that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from attrs import define, field, frozen

from txraker.simulator.errors import CommandError
from txraker.simulator.timeline import Timeline

Position = tuple[float, float, float, float]
"""X, Y, Z and E in millimetres."""

AXES: Final = "xyz"
MINIMUM: Final = (-1.0, -1.0, -5.0)
MAXIMUM: Final = (235.0, 235.0, 250.0)
STEPPERS: Final = ("stepper_x", "stepper_y", "stepper_z", "extruder")

_MAX_Z_VELOCITY: Final = 20.0
_MAX_EXTRUDE_ONLY_DISTANCE: Final = 50.0
_LEAD: Final = 0.25
_BUFFER_HIGH: Final = 1.1
_BUFFER_LOW: Final = 0.9


@frozen
class Move:
    """A straight line travelled at one speed (mm/s), in printer time."""

    start: float
    duration: float
    origin: Position
    target: Position
    velocity: float
    extruder_velocity: float

    @property
    def end(self) -> float:
        """When the move ends."""
        return self.start + self.duration

    def at(self, now: float) -> Position:
        """Where the toolhead is at a time during the move."""
        share = min(1.0, max(0.0, (now - self.start) / self.duration))
        x, y, z, e = (a + (b - a) * share for a, b in zip(self.origin, self.target, strict=True))
        return (x, y, z, e)


@define
class Limits:
    """The limits SET_VELOCITY_LIMIT changes: mm/s and mm/s^2."""

    max_velocity: float = 200.0
    max_accel: float = 2000.0
    minimum_cruise_ratio: float = 0.5
    square_corner_velocity: float = 5.0


@define
class Toolhead:
    """Plans moves and knows where the toolhead is."""

    timeline: Timeline
    limits: Limits = field(factory=Limits)
    position: Position = (0.0, 0.0, 0.0, 0.0)
    homed: set[str] = field(factory=set)
    enabled: dict[str, bool] = field(factory=lambda: dict.fromkeys(STEPPERS, False))
    print_time: float = 0.0
    _moves: deque[Move] = field(factory=deque)
    _rest: Position = (0.0, 0.0, 0.0, 0.0)

    @property
    def homed_axes(self) -> str:
        """The homed axes, in order."""
        return "".join(axis for axis in AXES if axis in self.homed)

    @property
    def moving(self) -> bool:
        """Whether planned motion lies ahead."""
        return self.print_time > self.timeline.now

    def touch(self) -> None:
        """Bring the print time up to the present, as commands that need its value do."""
        self.print_time = max(self.print_time, self.timeline.now + _LEAD)

    def dwell(self, seconds: float) -> None:
        """Add a pause to the plan."""
        self.touch()
        self.print_time += seconds

    def move(self, target: Position, speed: float, *, can_extrude: bool = True) -> None:
        """Plan a move at ``speed`` mm/s; refuse one that leaves the homed range or extrudes cold."""
        self._check(target, can_extrude)
        self.travel(target, speed)

    def travel(self, target: Position, speed: float) -> None:
        """Plan a move without looking at limits, as homing does."""
        deltas = [b - a for a, b in zip(self.position, target, strict=True)]
        distance = math.hypot(*deltas[:3])
        length = distance or abs(deltas[3])
        if not length:
            return
        velocity = min(speed, self.limits.max_velocity)
        if deltas[2]:
            velocity = min(velocity, _MAX_Z_VELOCITY * length / abs(deltas[2]))
        duration = length / velocity
        self.touch()
        extruder_velocity = deltas[3] / duration
        head_velocity = velocity if distance else 0.0
        origin = self.position
        self._moves.append(Move(self.print_time, duration, origin, target, head_velocity, extruder_velocity))
        self.print_time += duration
        self.position = target
        for stepper, delta in zip(STEPPERS, deltas, strict=True):
            self.enabled[stepper] = self.enabled[stepper] or bool(delta)

    def set_position(self, target: Position, homed: str = "") -> None:
        """Declare where the toolhead is."""
        self.position = self._rest = target
        self.homed.update(homed)

    def motors_off(self) -> None:
        """Switch the steppers off; nothing is homed any more."""
        self.enabled = dict.fromkeys(STEPPERS, False)
        self.homed.clear()

    def stop(self) -> None:
        """Forget what is planned and stay where the toolhead is."""
        self.position = self._rest = self.live()[0]
        self._moves.clear()
        self.print_time = min(self.print_time, self.timeline.now)

    def throttle(self) -> Iterator[float] | None:
        """Steps that wait until the plan has room; None when it has."""
        if self.print_time - self.timeline.now < _BUFFER_HIGH:
            return None
        return iter((self.print_time - _BUFFER_LOW,))

    def wait(self) -> Iterator[float]:
        """Steps that wait until everything planned is done."""
        while self.print_time > self.timeline.now:
            yield self.print_time

    def live(self) -> tuple[Position, float, float]:
        """Where the toolhead is now, its velocity and the extruder's (mm/s)."""
        now = self.timeline.now
        while self._moves and self._moves[0].end <= now:
            self._rest = self._moves.popleft().target
        if not self._moves or self._moves[0].start > now:
            return (self._rest, 0.0, 0.0)
        move = self._moves[0]
        return (move.at(now), move.velocity, move.extruder_velocity)

    def _check(self, target: Position, can_extrude: bool) -> None:
        x, y, z, e = target
        where = f"{x:.3f} {y:.3f} {z:.3f} [{e:.3f}]"
        moved = [axis for axis, a, b in zip(AXES, self.position, target, strict=False) if a != b]
        for axis in moved:
            if axis not in self.homed:
                raise CommandError(f"Must home axis first: {where}")
        for axis, low, value, high in zip(AXES, MINIMUM, target, MAXIMUM, strict=False):
            if axis in moved and not low <= value <= high:
                raise CommandError(f"Move out of range: {where}")
        extruded = e - self.position[3]
        if extruded and not can_extrude:
            raise CommandError(
                "Extrude below minimum temp\nSee the 'min_extrude_temp' config option for details"
            )
        if not moved and abs(extruded) > _MAX_EXTRUDE_ONLY_DISTANCE:
            raise CommandError(
                f"Extrude only move too long ({abs(extruded):.3f}mm vs {_MAX_EXTRUDE_ONLY_DISTANCE:.3f}mm)\n"
                "See the 'max_extrude_only_distance' config option for details"
            )
