"""Pure: the object ``configfile`` - the printer's configuration as text and as values - and SAVE_CONFIG."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from attrs import define, field

from txraker.simulator.definition import DEFAULTS, PRINTER_CFG, WHOLE_NUMBERS
from txraker.simulator.feature import Provider, Status
from txraker.simulator.interpreter import CommandSpec

Sections = dict[str, dict[str, Any]]
Matrix = list[list[float]]


@define
class SavedConfig:
    """What SAVE_CONFIG and SAVE_VARIABLE keep across restarts of the host (in memory only)."""

    meshes: dict[str, Matrix] = field(factory=dict)
    variables: dict[str, Any] = field(factory=dict)
    _staged: dict[str, Matrix | None] = field(factory=dict)

    def stage_mesh(self, name: str, points: Matrix | None) -> None:
        """Remember a mesh profile (None: its removal) for the next SAVE_CONFIG."""
        self._staged[name] = points

    def pending(self) -> dict[str, Any]:
        """What SAVE_CONFIG would write, by section; None is a section to delete."""
        return {
            f"bed_mesh {name}": None if points is None else _mesh_section(points)
            for name, points in self._staged.items()
        }

    def commit(self) -> None:
        """Keep what is pending."""
        for name, points in self._staged.items():
            if points is None:
                self.meshes.pop(name, None)
            else:
                self.meshes[name] = points
        self._staged.clear()

    def discard(self) -> None:
        """Forget what is pending, as a restart does."""
        self._staged.clear()


@define
class ConfigFile:
    """The configuration, read once when the host starts."""

    saved: SavedConfig
    _config: Sections
    _settings: Sections

    @classmethod
    def load(cls, saved: SavedConfig, gcodes: Path, config: Path) -> ConfigFile:
        """Read our own printer definition plus what was saved to it."""
        parser = RawConfigParser(delimiters=(":",))
        parser.read_string(
            PRINTER_CFG.replace("{gcodes}", str(gcodes)).replace("{config}", str(config)),
        )
        sections: Sections = {name: dict(parser[name]) for name in parser.sections()}
        settings: Sections = {
            _settings_name(name): {**DEFAULTS.get(name.split()[0], {}), **_typed(options)}
            for name, options in sections.items()
            if options
        }
        for name, points in saved.meshes.items():
            sections[f"bed_mesh {name}"] = _mesh_section(points)
        return cls(saved, sections, settings)

    def objects(self) -> Mapping[str, Provider]:
        """``configfile``."""
        return {"configfile": self._status}

    def commands(self) -> Iterable[CommandSpec]:
        """None: SAVE_CONFIG restarts the host, so the host has it."""
        return ()

    def _status(self) -> Status:
        pending = self.saved.pending()
        return {
            "config": self._config,
            "warnings": [],
            "save_config_pending": bool(pending),
            "save_config_pending_items": pending,
            "settings": self._settings,
        }


def _settings_name(section: str) -> str:
    return section.lower() if section.startswith("gcode_macro ") else section


def _mesh_section(points: Matrix) -> dict[str, str]:
    rows = "".join("\n" + ", ".join(f"{height:.6f}" for height in row) for row in points)
    return {"version": "1", "points": rows, "x_count": str(len(points[0])), "y_count": str(len(points))}


def _typed(options: Mapping[str, str]) -> dict[str, Any]:
    return {key: _value(key, text) for key, text in options.items()}


def _value(key: str, text: str) -> Any:
    if key.startswith("variable_") or key == "gcode":
        return text
    if key == "heater":
        return [text]
    if text in ("True", "False"):
        return text == "True"
    number = int if key in WHOLE_NUMBERS else float
    try:
        values = [number(part) for part in text.split(",")]
    except ValueError:
        return text
    return values if "," in text else values[0]


def literal(text: str) -> Any:
    """Read a Python literal, as SAVE_VARIABLE and SET_GCODE_VARIABLE take it; ValueError when it is none."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(text) from error
