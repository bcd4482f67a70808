"""Pure: heaters, temperature sensors and the fans that depend on them, as printer objects and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from attrs import define, field

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.feature import Provider, Status
from txraker.simulator.gcode import Command
from txraker.simulator.interpreter import CommandSpec
from txraker.simulator.thermal import Heater, Plant, Sensor
from txraker.simulator.timeline import Timeline

_REPORT_EVERY: Final = 1.0
_MIN_EXTRUDE_TEMP: Final = 170.0
_FAN_HEATER_TEMP: Final = 50.0
_MAX_FAN_TARGET: Final = 80.0


@define
class Heating:
    """The heaters and sensors of the printer.

    ``touch`` tells the toolhead that a command is at work (so the printer counts as printing); ``enabled``
    answers whether a stepper's driver is switched on.
    """

    plant: Plant
    timeline: Timeline
    console: Console
    touch: Callable[[], None]
    enabled: Callable[[str], bool]
    heaters: dict[str, Heater] = field(init=False)
    _sensors: dict[str, Sensor] = field(init=False)
    _fan_target: float = 40.0
    _fan_speed: float = 0.0
    _run_current: float = 0.8
    _on: bool = True

    def __attrs_post_init__(self) -> None:
        self.heaters = {
            "heater_bed": Heater(self.plant.sensor("heater_bed"), maximum=130.0),
            "extruder": Heater(self.plant.sensor("extruder"), maximum=300.0),
        }
        self._sensors = {
            "chamber": self.plant.sensor("chamber"),
            "host": self.plant.sensor("host", noise=0.0),
            "electronics": self.plant.sensor("electronics", noise=0.01),
            "driver": self.plant.sensor("driver", noise=0.05),
        }

    @property
    def can_extrude(self) -> bool:
        """Whether the extruder is hot enough to extrude."""
        return self.heaters["extruder"].temperature >= _MIN_EXTRUDE_TEMP

    def advance(self) -> None:
        """Let the plant catch up with the timeline."""
        while self.plant.due(self.timeline.now):
            self._read()
            if self._on:
                self._control()

    def shut_down(self) -> None:
        """Cut all power for good."""
        self._on = False
        self.plant.power_off()

    def turn_off(self) -> None:
        """Set every target to zero."""
        for heater in self.heaters.values():
            heater.target = 0.0

    def set_target(self, name: str, target: float) -> None:
        """Set a heater's target in degrees Celsius; 0 switches it off."""
        heater = self.heaters[name]
        if target and not heater.minimum <= target <= heater.maximum:
            raise CommandError(
                f"Requested temperature ({target:.1f}) out of range "
                f"({heater.minimum:.1f}:{heater.maximum:.1f})"
            )
        heater.target = max(0.0, target)

    def report(self) -> str:
        """The temperatures in the words of M105."""
        bed, extruder = self.heaters["heater_bed"], self.heaters["extruder"]
        return (
            f"B:{bed.temperature:.1f} /{bed.target:.1f} T0:{extruder.temperature:.1f} /{extruder.target:.1f}"
        )

    def objects(self) -> Mapping[str, Provider]:
        """Heaters, sensors and temperature-driven fans."""
        return {
            "heaters": self._status,
            "heater_bed": lambda: self._heater_status("heater_bed"),
            "temperature_sensor chamber": lambda: _sensor_status(self._sensors["chamber"]),
            "temperature_host host": lambda: {"temperature": self._sensors["host"].temperature},
            "temperature_sensor host": lambda: _sensor_status(self._sensors["host"]),
            "heater_fan hotend_fan": self._hotend_fan_status,
            "temperature_fan electronics": self._temperature_fan_status,
            "tmc2240 stepper_x": self._driver_status,
        }

    def extruder_status(self) -> Status:
        """The heater's part of the ``extruder`` object."""
        return {**self._heater_status("extruder"), "can_extrude": self.can_extrude}

    def commands(self) -> list[CommandSpec]:
        """The commands about temperatures."""
        return [
            CommandSpec("TURN_OFF_HEATERS", self._cmd_turn_off, "Turn off all heaters"),
            CommandSpec("M105", self._cmd_m105, always=True),
            CommandSpec("SET_HEATER_TEMPERATURE", self._cmd_set, "Sets a heater temperature"),
            CommandSpec("TEMPERATURE_WAIT", self._cmd_wait, "Wait for a temperature on a sensor"),
            CommandSpec("M104", lambda command: self._cmd_target(command, "extruder")),
            CommandSpec("M109", lambda command: self._cmd_target_wait(command, "extruder")),
            CommandSpec("M140", lambda command: self._cmd_target(command, "heater_bed")),
            CommandSpec("M190", lambda command: self._cmd_target_wait(command, "heater_bed")),
            CommandSpec("SET_TEMPERATURE_FAN_TARGET", self._cmd_fan_target, "Sets a temperature fan target"),
            CommandSpec("SET_TMC_CURRENT", self._cmd_current, "Set the current of a TMC driver"),
            CommandSpec("PID_CALIBRATE", self._cmd_pid_calibrate, "Run PID calibration test"),
            CommandSpec("QUERY_ADC", self._cmd_query_adc, "Report the last value of an analog pin"),
        ]

    def _read(self) -> None:
        self.plant.bodies["driver"].power = 1.0 if self.enabled("stepper_x") else 0.0
        for heater in self.heaters.values():
            heater.sensor.read()
        for sensor in self._sensors.values():
            sensor.read()

    def _control(self) -> None:
        for heater in self.heaters.values():
            heater.control()
        electronics = self.plant.bodies["electronics"]
        electronics.power = 1.0 if any(heater.power for heater in self.heaters.values()) else 0.5
        excess = self._sensors["electronics"].temperature - self._fan_target
        self._fan_speed = round(min(1.0, max(0.0, excess / 5.0)), 2) if self._fan_target else 0.0

    def _status(self) -> Status:
        return {
            "available_heaters": list(self.heaters),
            "available_sensors": [
                "heater_bed",
                "temperature_sensor chamber",
                "temperature_sensor host",
                "temperature_fan electronics",
                "extruder",
            ],
            "available_monitors": ["tmc2240 stepper_x"],
        }

    def _heater_status(self, name: str) -> Status:
        heater = self.heaters[name]
        return {"temperature": heater.temperature, "target": heater.target, "power": heater.power}

    def _hotend_fan_status(self) -> Status:
        extruder = self.heaters["extruder"]
        running = extruder.target > 0.0 or extruder.temperature > _FAN_HEATER_TEMP
        return {"speed": 1.0 if running else 0.0, "rpm": None}

    def _temperature_fan_status(self) -> Status:
        return {
            "speed": self._fan_speed,
            "rpm": None,
            "temperature": self._sensors["electronics"].temperature,
            "target": self._fan_target,
        }

    def _driver_status(self) -> Status:
        """A temperature monitor: null while the driver is switched off, as the documentation says."""
        on = self.enabled("stepper_x")
        return {
            "mcu_phase_offset": 12 if on else None,
            "phase_offset_position": 0.15 if on else None,
            "drv_status": {"cs_actual": 16} if on else None,
            "temperature": round(self._sensors["driver"].temperature, 1) if on else None,
            "run_current": self._run_current,
            "hold_current": self._run_current,
        }

    def _cmd_turn_off(self, command: Command) -> None:
        self.turn_off()

    def _cmd_m105(self, command: Command) -> None:
        self.console.raw(self.report())

    def _cmd_set(self, command: Command) -> None:
        name = command.one_of("HEATER", {name: name for name in self.heaters})
        self._set(name, command.number("TARGET", 0.0))

    def _cmd_target(self, command: Command, name: str) -> None:
        self._set(name, command.number("S", 0.0))

    def _cmd_target_wait(self, command: Command, name: str) -> Iterator[float]:
        self._set(name, command.number("S", 0.0))
        yield from self._wait(lambda: self.heaters[name].busy)

    def _set(self, name: str, target: float) -> None:
        self.set_target(name, target)
        self.touch()

    def _cmd_wait(self, command: Command) -> Iterator[float]:
        sensors = self._named_sensors()
        sensor = sensors[command.one_of("SENSOR", {name: name for name in sensors})]
        low, high = command.maybe_number("MINIMUM"), command.maybe_number("MAXIMUM")
        if low is None and high is None:
            raise CommandError("Error on 'TEMPERATURE_WAIT': missing MINIMUM or MAXIMUM.")
        if low is not None and high is not None and low >= high:
            raise CommandError("Error on 'TEMPERATURE_WAIT': MINIMUM must be less than MAXIMUM.")
        yield from self._wait(
            lambda: (
                (low is not None and sensor.temperature < low)
                or (high is not None and sensor.temperature > high)
            )
        )

    def _wait(self, busy: Callable[[], bool]) -> Iterator[float]:
        while busy():
            self.touch()
            self.console.raw(self.report())
            yield self.timeline.now + _REPORT_EVERY

    def _named_sensors(self) -> dict[str, Sensor]:
        return {
            **{name: heater.sensor for name, heater in self.heaters.items()},
            "temperature_sensor chamber": self._sensors["chamber"],
            "temperature_sensor host": self._sensors["host"],
            "temperature_fan electronics": self._sensors["electronics"],
        }

    def _cmd_fan_target(self, command: Command) -> None:
        command.one_of("TEMPERATURE_FAN", {"electronics": "electronics"})
        target = command.number("TARGET", 40.0)
        if target and not 0.0 <= target <= _MAX_FAN_TARGET:
            raise CommandError(
                f"Requested temperature ({target:.1f}) out of range (0.0:{_MAX_FAN_TARGET:.1f})"
            )
        self._fan_target = target

    def _cmd_current(self, command: Command) -> None:
        command.one_of("STEPPER", {"stepper_x": "stepper_x"})
        self._run_current = command.number("CURRENT", self._run_current, minimum=0.0, maximum=3.0)
        self.console.info(f"Run Current: {self._run_current:.2f}A Hold Current: {self._run_current:.2f}A")

    def _cmd_pid_calibrate(self, command: Command) -> Iterator[float]:
        name = command.one_of("HEATER", {name: name for name in self.heaters})
        self._set(name, command.number("TARGET"))
        yield from self._wait(lambda: self.heaters[name].busy)
        yield self.timeline.now + 20.0
        self.heaters[name].target = 0.0
        self.console.info(
            "PID parameters: pid_Kp=22.000 pid_Ki=1.100 pid_Kd=110.000\n"
            "The SAVE_CONFIG command will update the printer config file\n"
            "with these parameters and restart the printer."
        )

    def _cmd_query_adc(self, command: Command) -> None:
        self.console.info('Available ADC objects: "analog0", "analog1", "analog2"')


def _sensor_status(sensor: Sensor) -> Status:
    return {
        "temperature": sensor.temperature,
        "measured_min_temp": sensor.lowest,
        "measured_max_temp": sensor.highest,
    }
