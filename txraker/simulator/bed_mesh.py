"""Pure: bed mesh calibration and its profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from attrs import define, field

from txraker.simulator.config import SavedConfig
from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.gcode_move import GcodeMove
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.kinematics import Kinematics
from txraker.simulator.motion import MAXIMUM, MINIMUM, Toolhead

Matrix = list[list[float]]

_LOW: Final = 10.0
_HIGH: Final = 220.0
_COUNT: Final = 5
_PER_SEGMENT: Final = 2
_SPEED: Final = 150.0
_CLEARANCE: Final = 3.0
_MESH_PARAMS: Final = {
    "min_x": _LOW,
    "max_x": _HIGH,
    "min_y": _LOW,
    "max_y": _HIGH,
    "x_count": _COUNT,
    "y_count": _COUNT,
    "mesh_x_pps": _PER_SEGMENT,
    "mesh_y_pps": _PER_SEGMENT,
    "algo": "lagrange",
    "tension": 0.2,
}


@define
class BedMesh:
    """The active mesh and the saved ones; matrices hold rows of heights in mm, front row first."""

    toolhead: Toolhead
    kinematics: Kinematics
    gcode_move: GcodeMove
    console: Console
    saved: SavedConfig
    _name: str = ""
    _probed: Matrix = field(factory=lambda: [[]])
    _mesh: Matrix = field(factory=lambda: [[]])
    _profiles: dict[str, Matrix] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._profiles = {name: [list(row) for row in points] for name, points in self.saved.meshes.items()}

    def objects(self) -> Mapping[str, Provider]:
        """``bed_mesh``."""
        return {"bed_mesh": self._status}

    def commands(self) -> list[CommandSpec]:
        """The commands of the mesh."""
        return [
            CommandSpec("BED_MESH_CALIBRATE", self._cmd_calibrate, "Perform Mesh Bed Leveling"),
            CommandSpec("BED_MESH_PROFILE", self._cmd_profile, "Bed Mesh Persistent Storage management"),
            CommandSpec("BED_MESH_OUTPUT", self._cmd_output, "Retrieve interpolated grid of probed z-points"),
            CommandSpec("BED_MESH_CLEAR", self._cmd_clear, "Clear the Mesh so no z-adjustment is made"),
        ]

    def dump(self) -> Status:
        """The result of the request ``bed_mesh/dump_mesh``."""
        path = self._points()
        current = {
            "name": self._name,
            "probed_matrix": self._probed,
            "mesh_matrix": self._mesh,
            "mesh_params": dict(_MESH_PARAMS),
        }
        return {
            "current_mesh": current if self._probed[0] else {},
            "profiles": self._profile_status(),
            "calibration": {
                "points": [list(point) for point in path],
                "config": {
                    "x_count": _COUNT,
                    "y_count": _COUNT,
                    "mesh_x_pps": _PER_SEGMENT,
                    "mesh_y_pps": _PER_SEGMENT,
                    "algo": "lagrange",
                    "tension": 0.2,
                    "mesh_min": [_LOW, _LOW],
                    "mesh_max": [_HIGH, _HIGH],
                    "origin": None,
                    "radius": None,
                },
                "probe_path": [list(point) for point in path],
                "rapid_path": [[list(point), False] for point in path],
            },
            "probe_offsets": [0.0, 0.0, 0.5],
            "axis_minimum": [*MINIMUM, 0],
            "axis_maximum": [*MAXIMUM, 0],
        }

    def _status(self) -> Status:
        active = bool(self._probed[0])
        return {
            "profile_name": self._name,
            "mesh_min": [_LOW, _LOW] if active else [0.0, 0.0],
            "mesh_max": [_HIGH, _HIGH] if active else [0.0, 0.0],
            "probed_matrix": self._probed,
            "mesh_matrix": self._mesh,
            "profiles": self._profile_status(),
        }

    def _profile_status(self) -> dict[str, Any]:
        return {
            name: {"points": points, "mesh_params": dict(_MESH_PARAMS)}
            for name, points in self._profiles.items()
        }

    def _points(self) -> list[tuple[float, float]]:
        """The places to probe, row by row, there and back."""
        places = [_LOW + (_HIGH - _LOW) * i / (_COUNT - 1) for i in range(_COUNT)]
        return [
            (x, y) for row, y in enumerate(places) for x in (places if row % 2 == 0 else reversed(places))
        ]

    def _cmd_calibrate(self, command: Command) -> Iterator[float]:
        name = command.get("PROFILE", "default").strip()
        self.kinematics.require_homed()
        self._activate("", [[]])
        heights: dict[tuple[float, float], float] = {}
        for x, y in self._points():
            _, _, _, e = self.toolhead.position
            yield from self.kinematics.lift((*self.toolhead.position[:2], _CLEARANCE, e), _SPEED)
            yield from self.kinematics.lift((x, y, _CLEARANCE, e), _SPEED)
            yield from self.kinematics.probe()
            heights[x, y] = round(self.toolhead.position[2] - 0.5, 6)
        places = sorted({x for x, _ in heights})
        self._activate(name, [[heights[x, y] for x in places] for y in places])
        self.console.info("Mesh Bed Leveling Complete")
        self._save(name)

    def _activate(self, name: str, probed: Matrix) -> None:
        self._name, self._probed = name, probed
        self._mesh = _interpolate(probed) if probed[0] else [[]]

    def _save(self, name: str) -> None:
        self._profiles[name] = self._probed
        self.saved.stage_mesh(name, self._probed)
        self.console.info(
            f"Bed Mesh state has been saved to profile [{name}]\n"
            "for the current session.  The SAVE_CONFIG command will\n"
            "update the printer config file and restart the printer."
        )

    def _cmd_profile(self, command: Command) -> None:
        if command.maybe("LOAD") is not None:
            name = command.get("LOAD")
            if name not in self._profiles:
                raise CommandError(f"bed_mesh: Unknown profile [{name}]")
            self._activate(name, self._profiles[name])
        elif command.maybe("SAVE") is not None:
            if not self._probed[0]:
                self.console.info(
                    f"Unable to save to profile [{command.get('SAVE')}], the bed has not been probed"
                )
                return
            self._name = command.get("SAVE")
            self._save(self._name)
        elif command.maybe("REMOVE") is not None:
            self._remove(command.get("REMOVE"))
        else:
            self.console.info(f"Invalid syntax '{command.line}'")

    def _remove(self, name: str) -> None:
        if self._profiles.pop(name, None) is None:
            self.console.info(f"No profile named [{name}] to remove")
            return
        self.saved.stage_mesh(name, None)
        self.console.info(
            f"Profile [{name}] removed from storage for this session.\n"
            "The SAVE_CONFIG command will update the printer\n"
            "configuration and restart the printer"
        )

    def _cmd_output(self, command: Command) -> None:
        if not self._probed[0]:
            self.console.info("Bed has not been probed")
            return
        rows = "\n".join(" ".join(f"{height:f}" for height in row) for row in self._probed)
        self.console.info(f"Mesh Leveling Probed Z positions:\n{rows}")

    def _cmd_clear(self, command: Command) -> None:
        self._activate("", [[]])


def _interpolate(probed: Matrix) -> Matrix:
    """Put two points between every two neighbours, on a straight line."""
    steps = _PER_SEGMENT + 1
    rows = [_stretch(row, steps) for row in probed]
    columns = [_stretch([row[i] for row in rows], steps) for i in range(len(rows[0]))]
    return [[round(column[j], 6) for column in columns] for j in range(len(columns[0]))]


def _stretch(values: list[float], steps: int) -> list[float]:
    inner = [low + (high - low) * step / steps for low, high in pairwise(values) for step in range(steps)]
    return [*inner, values[-1]]
