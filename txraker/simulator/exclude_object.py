"""Pure: objects of a print that can be cancelled one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import define, field

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec


@define
class ExcludeObject:
    """The object ``exclude_object``; names are upper-case."""

    console: Console
    _objects: list[dict[str, Any]] = field(factory=list)
    _excluded: list[str] = field(factory=list)
    _current: str | None = None

    def excluding(self) -> bool:
        """Whether the toolhead is inside a cancelled object."""
        return self._current is not None and self._current in self._excluded

    def reset(self) -> None:
        """Forget every object."""
        self._objects = []
        self._excluded = []
        self._current = None

    def objects(self) -> Mapping[str, Provider]:
        """``exclude_object``."""
        return {
            "exclude_object": lambda: {
                "objects": list(self._objects),
                "excluded_objects": list(self._excluded),
                "current_object": self._current,
            }
        }

    def commands(self) -> list[CommandSpec]:
        """The commands about objects."""
        return [
            CommandSpec(
                "EXCLUDE_OBJECT_START",
                self._cmd_start,
                "Marks the beginning the current object as labeled",
            ),
            CommandSpec("EXCLUDE_OBJECT_END", self._cmd_end, "Marks the end the current object"),
            CommandSpec("EXCLUDE_OBJECT", self._cmd_exclude, "Cancel moves inside a specified objects"),
            CommandSpec("EXCLUDE_OBJECT_DEFINE", self._cmd_define, "Provides a summary of an object"),
        ]

    def _cmd_define(self, command: Command) -> None:
        if command.maybe("RESET") is not None:
            self.reset()
        elif command.maybe("NAME") is None:
            self._show(", ".join(entry["name"] for entry in self._objects))
        else:
            entry: dict[str, Any] = {"name": command.get("NAME").upper()}
            if command.maybe("CENTER") is not None:
                entry["center"] = _json(command, "CENTER", f"[{command.get('CENTER')}]")
            if command.maybe("POLYGON") is not None:
                entry["polygon"] = _json(command, "POLYGON", command.get("POLYGON"))
            self._add(entry)

    def _add(self, entry: dict[str, Any]) -> None:
        self._objects = sorted([*self._objects, entry], key=lambda known: str(known["name"]))

    def _cmd_start(self, command: Command) -> None:
        name = command.get("NAME").upper()
        if all(entry["name"] != name for entry in self._objects):
            self._add({"name": name})
        self._current = name

    def _cmd_end(self, command: Command) -> None:
        if self._current is None:
            self.console.info("EXCLUDE_OBJECT_END called, but no object is currently active")
        self._current = None

    def _cmd_exclude(self, command: Command) -> None:
        name = command.get("NAME", "").upper()
        if command.maybe("RESET") is not None:
            self._excluded = [known for known in self._excluded if name and known != name]
        elif name:
            self._exclude(name)
        elif command.maybe("CURRENT") is not None:
            if self._current is None:
                raise CommandError("There is no current object to cancel")
            self._exclude(self._current)
        else:
            self._show(", ".join(self._excluded))

    def _exclude(self, name: str) -> None:
        if name not in self._excluded:
            self.console.info(f"Excluding object {name}")
            self._excluded = sorted([*self._excluded, name])

    def _show(self, names: str) -> None:
        self.console.info(f"Known objects: {names}")


def _json(command: Command, key: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise CommandError(f"Error on '{command.line}': unable to parse {key}") from None
