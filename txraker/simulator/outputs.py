"""Pure: fans, pins, the filament sensor and the display."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define

from txraker.simulator.console import Console
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.timeline import Timeline

_M73_SECONDS: Final = 5.0


@define
class Outputs:
    """The part fan, a generic fan and a light; values run from 0 to 1."""

    console: Console
    _fan: float = 0.0
    _aux_fan: float = 0.0
    _light: float = 0.5

    def shut_down(self) -> None:
        """Everything off, as after an emergency stop."""
        self._fan = self._aux_fan = self._light = 0.0

    def objects(self) -> Mapping[str, Provider]:
        """Fans and pins."""
        return {
            "fan": lambda: {"speed": self._fan, "rpm": None},
            "fan_generic aux_fan": lambda: {"speed": self._aux_fan, "rpm": None},
            "output_pin caselight": lambda: {"value": self._light},
        }

    def commands(self) -> list[CommandSpec]:
        """The commands of fans and pins."""
        return [
            CommandSpec("M106", self._cmd_fan_on),
            CommandSpec("M107", self._cmd_fan_off),
            CommandSpec("SET_FAN_SPEED", self._cmd_fan_speed, "Sets the speed of a fan"),
            CommandSpec("SET_PIN", self._cmd_pin, "Set the value of an output pin"),
        ]

    def _cmd_fan_on(self, command: Command) -> None:
        self._fan = min(1.0, command.number("S", 255.0, minimum=0.0) / 255.0)

    def _cmd_fan_off(self, command: Command) -> None:
        self._fan = 0.0

    def _cmd_fan_speed(self, command: Command) -> None:
        command.one_of("FAN", {"aux_fan": "aux_fan"})
        self._aux_fan = command.number("SPEED", minimum=0.0, maximum=1.0)

    def _cmd_pin(self, command: Command) -> None:
        command.one_of("PIN", {"caselight": "caselight"})
        self._light = command.number("VALUE", minimum=0.0, maximum=1.0)


@define
class FilamentSensor:
    """A runout switch; ``runout`` is called when filament ends while the sensor is enabled."""

    console: Console
    runout: Callable[[], None]
    detected: bool = True
    _enabled: bool = True

    def objects(self) -> Mapping[str, Provider]:
        """``filament_switch_sensor runout``."""
        return {"filament_switch_sensor runout": self._status}

    def commands(self) -> list[CommandSpec]:
        """The commands of the sensor."""
        return [
            CommandSpec("QUERY_FILAMENT_SENSOR", self._cmd_query, "Query the status of the Filament Sensor"),
            CommandSpec("SET_FILAMENT_SENSOR", self._cmd_set, "Sets the filament sensor on/off"),
            CommandSpec(
                "SIMULATE_FILAMENT",
                self._cmd_simulate,
                "Simulator: DETECTED=0 makes the filament run out, DETECTED=1 inserts it",
            ),
        ]

    def _status(self) -> Status:
        return {"filament_detected": self.detected, "enabled": self._enabled}

    def _cmd_query(self, command: Command) -> None:
        command.one_of("SENSOR", {"runout": "runout"})
        found = "filament detected" if self.detected else "filament not detected"
        self.console.info(f"Filament Sensor runout: {found}")

    def _cmd_set(self, command: Command) -> None:
        command.one_of("SENSOR", {"runout": "runout"})
        self._enabled = bool(command.integer("ENABLE", 1))

    def _cmd_simulate(self, command: Command) -> None:
        before, self.detected = self.detected, bool(command.integer("DETECTED", 0))
        if before and not self.detected and self._enabled:
            self.runout()


@define
class Display:
    """The object ``display_status``; ``sdcard_progress`` is shown unless a recent M73 says otherwise."""

    timeline: Timeline
    sdcard_progress: Callable[[], float]
    _message: str | None = None
    _progress: float | None = None
    _expires: float = 0.0

    def objects(self) -> Mapping[str, Provider]:
        """``display_status``."""
        return {"display_status": self._status}

    def commands(self) -> list[CommandSpec]:
        """The commands of the display."""
        return [
            CommandSpec("M73", self._cmd_progress),
            CommandSpec("M117", self._cmd_message),
            CommandSpec("SET_DISPLAY_TEXT", self._cmd_text, "Set or clear the display message"),
        ]

    def _status(self) -> Status:
        if self._progress is not None and self.timeline.now >= self._expires:
            self._progress = None
        progress = self.sdcard_progress() if self._progress is None else self._progress
        return {"progress": progress, "message": self._message}

    def _cmd_progress(self, command: Command) -> None:
        percent = command.maybe_number("P")
        if percent is not None:
            self._progress = min(1.0, max(0.0, percent / 100.0))
            self._expires = self.timeline.now + _M73_SECONDS

    def _cmd_message(self, command: Command) -> None:
        self._message = command.text or None

    def _cmd_text(self, command: Command) -> None:
        self._message = command.maybe("MSG")
