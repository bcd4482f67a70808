"""Pure: the virtual printer's gcode macros, saved variables and console commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define, field

from txraker.simulator.config import SavedConfig, literal
from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec, Interpreter, Steps

#: Calls a method that some client registered under a name.
RemoteCall = Callable[[str, dict[str, Any]], None]

_PREFIXES: Final = {"echo": "echo:", "command": "//", "error": "!!"}


@define
class Macros:
    """The macros of the printer's definition, expanded in Python instead of by a template language."""

    interpreter: Interpreter
    console: Console
    saved: SavedConfig
    remote_call: RemoteCall
    _variables: dict[str, dict[str, Any]] = field(factory=lambda: {"START_PRINT": {"state": "idle"}})

    def objects(self) -> Mapping[str, Provider]:
        """One object a macro, holding its variables, and ``save_variables``."""
        return {
            "save_variables": lambda: {"variables": dict(self.saved.variables)},
            **{f"gcode_macro {name}": self._provider(name) for name in self._expansions()},
        }

    def commands(self) -> list[CommandSpec]:
        """The macros and the commands about them."""
        helps = {
            "START_PRINT": "Heat, home and prime",
            "SPAM": "emits N console lines",
            "BEEP": "Calls the remote method paneldue_beep",
        }
        return [
            *(
                CommandSpec(name, self._runner(expand), helps.get(name, "G-Code macro"))
                for name, expand in self._expansions().items()
            ),
            CommandSpec("SET_GCODE_VARIABLE", self._cmd_variable, "Set the value of a G-Code macro variable"),
            CommandSpec("SAVE_VARIABLE", self._cmd_save, "Save arbitrary variables to disk"),
            CommandSpec(
                "CALL_REMOTE_METHOD",
                self._cmd_call,
                "Simulator: NAME=x KEY=VALUE calls a registered remote method, as a macro would",
            ),
            CommandSpec("M118", self._cmd_m118, always=True),
            CommandSpec(
                "RESPOND", self._cmd_respond, "Echo the message prepended with a prefix", always=True
            ),
        ]

    def _expansions(self) -> dict[str, Callable[[Command], str]]:
        return {
            "CANCEL_PRINT": lambda command: "TURN_OFF_HEATERS\nCANCEL_PRINT_BASE",
            "PAUSE": lambda command: "PAUSE_BASE",
            "RESUME": lambda command: "RESUME_BASE",
            "START_PRINT": _start_print,
            "END_PRINT": lambda command: "TURN_OFF_HEATERS\nM107\nG91\nG1 Z5 F600\nG90",
            "SPAM": _spam,
            "BEEP": lambda command: "CALL_REMOTE_METHOD NAME=paneldue_beep FREQUENCY=300 DURATION=1.0",
        }

    def _provider(self, name: str) -> Provider:
        return lambda: dict(self._variables.get(name, {}))

    def _runner(self, expand: Callable[[Command], str]) -> Callable[[Command], Steps]:
        return lambda command: self.interpreter.run_script(expand(command))

    def _cmd_variable(self, command: Command) -> None:
        macro = command.one_of("MACRO", {name: name for name in self._expansions()})
        name = command.get("VARIABLE")
        variables = self._variables.get(macro, {})
        if name not in variables:
            raise CommandError(f"Unknown gcode_macro variable '{name}'")
        variables[name] = _literal(command)

    def _cmd_save(self, command: Command) -> None:
        name = command.get("VARIABLE")
        if name != name.lower():
            raise CommandError("VARIABLE must not contain upper case")
        self.saved.variables = {**self.saved.variables, name: _literal(command)}

    def _cmd_call(self, command: Command) -> None:
        params = {key.lower(): _loose(text) for key, text in command.params.items() if key != "NAME"}
        self.remote_call(command.get("NAME"), params)

    def _cmd_m118(self, command: Command) -> None:
        self.console.raw(f"echo: {command.text}")

    def _cmd_respond(self, command: Command) -> None:
        kinds = {name: name for name in _PREFIXES} | {"echo_no_space": "echo"}
        kind = command.get("TYPE", "echo")
        if kind not in kinds:
            raise CommandError(
                "RESPOND TYPE '" + kind + "' is invalid. Must be one of 'echo', 'command', or 'error'"
            )
        prefix = command.get("PREFIX", _PREFIXES[kinds[kind]])
        space = "" if kind == "echo_no_space" else " "
        self.console.raw(f"{prefix}{space}{command.get('MSG', '')}")


def _start_print(command: Command) -> str:
    bed, hotend = command.number("BED", 60.0), command.number("HOTEND", 200.0)
    return f"M140 S{bed}\nG28\nM190 S{bed}\nM109 S{hotend}"


def _spam(command: Command) -> str:
    return "\n".join(f'RESPOND MSG="spam line {i}"' for i in range(command.integer("N", 100, minimum=0)))


def _literal(command: Command) -> Any:
    text = command.get("VALUE")
    try:
        return literal(text)
    except ValueError:
        raise CommandError(f"Unable to parse '{text}' as a literal") from None


def _loose(text: str) -> Any:
    try:
        return literal(text)
    except ValueError:
        return text
