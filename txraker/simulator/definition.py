"""The virtual printer's own configuration, and the defaults Klipper documents for its sections."""

from __future__ import annotations

from typing import Any, Final

#: What the virtual printer's printer.cfg says; ``{gcodes}`` and ``{config}`` are directories.
PRINTER_CFG: Final = """\
[mcu]
serial: /dev/serial/by-id/usb-txraker_virtual-if00
restart_method: command

[printer]
kinematics: cartesian
max_velocity: 200
max_accel: 2000
max_z_velocity: 20
max_z_accel: 200

[thermistor virtual_ntc]
temperature1: 25
resistance1: 100000
beta: 3950

[stepper_x]
step_pin: gpio0
dir_pin: gpio1
enable_pin: !gpio2
endstop_pin: gpio3
microsteps: 4
rotation_distance: 40
position_endstop: 0
position_min: -1
position_max: 235
homing_speed: 50

[tmc2240 stepper_x]
cs_pin: gpio4
run_current: 0.8
rref: 12000

[stepper_y]
step_pin: gpio5
dir_pin: gpio6
enable_pin: !gpio7
endstop_pin: gpio8
microsteps: 4
rotation_distance: 40
position_endstop: 0
position_min: -1
position_max: 235
homing_speed: 50

[stepper_z]
step_pin: gpio9
dir_pin: gpio10
enable_pin: !gpio11
endstop_pin: probe:z_virtual_endstop
microsteps: 4
rotation_distance: 8
position_min: -5
position_max: 250
homing_speed: 10

[probe]
pin: gpio12
z_offset: 0.5
x_offset: 0
y_offset: 0
speed: 8
samples: 1
sample_retract_dist: 1.0

[safe_z_home]
home_xy_position: 100,100
z_hop: 5

[bed_mesh]
speed: 150
horizontal_move_z: 3
mesh_min: 10,10
mesh_max: 220,220
probe_count: 5,5

[extruder]
step_pin: gpio13
dir_pin: gpio14
enable_pin: !gpio15
microsteps: 4
rotation_distance: 33.333
nozzle_diameter: 0.400
filament_diameter: 1.750
heater_pin: gpio16
sensor_type: virtual_ntc
sensor_pin: analog0
control: pid
pid_Kp: 22
pid_Ki: 1.1
pid_Kd: 110
min_temp: 0
max_temp: 300
pressure_advance: 0.04

[heater_bed]
heater_pin: gpio17
sensor_type: virtual_ntc
sensor_pin: analog1
control: pid
pid_Kp: 50
pid_Ki: 1.5
pid_Kd: 300
min_temp: 0
max_temp: 130

[temperature_sensor chamber]
sensor_type: virtual_ntc
sensor_pin: analog2
min_temp: 0
max_temp: 100

[temperature_sensor host]
sensor_type: temperature_host
min_temp: 0
max_temp: 100

[temperature_fan electronics]
pin: gpio18
sensor_type: virtual_ntc
sensor_pin: analog3
control: watermark
min_temp: 0
max_temp: 80
target_temp: 40

[fan]
pin: gpio19

[heater_fan hotend_fan]
pin: gpio20
heater: extruder
heater_temp: 50

[fan_generic aux_fan]
pin: gpio21

[filament_switch_sensor runout]
switch_pin: gpio22
pause_on_runout: True

[output_pin caselight]
pin: gpio23
pwm: True
value: 0.5
cycle_time: 0.01

[firmware_retraction]
retract_length: 0.5

[virtual_sdcard]
path: {gcodes}

[pause_resume]

[display_status]

[exclude_object]

[respond]

[gcode_arcs]

[force_move]
enable_force_move: True

[save_variables]
filename: {config}/variables.cfg

[idle_timeout]
timeout: 3600

[gcode_macro CANCEL_PRINT]
rename_existing: CANCEL_PRINT_BASE
gcode:
    TURN_OFF_HEATERS
    CANCEL_PRINT_BASE

[gcode_macro PAUSE]
rename_existing: PAUSE_BASE
gcode:
    PAUSE_BASE

[gcode_macro RESUME]
rename_existing: RESUME_BASE
gcode:
    RESUME_BASE

[gcode_macro START_PRINT]
description: Heat, home and prime
variable_state: 'idle'
gcode:
    {% set bed = params.BED|default(60)|float %}
    {% set hot = params.HOTEND|default(200)|float %}
    M140 S{bed}
    G28
    M190 S{bed}
    M109 S{hot}

[gcode_macro END_PRINT]
gcode:
    TURN_OFF_HEATERS
    M107
    G91
    G1 Z5 F600
    G90

[gcode_macro SPAM]
description: emits N console lines
gcode:
    {% for i in range(params.N|default(100)|int) %}
    RESPOND MSG="spam line {i}"
    {% endfor %}

[gcode_macro BEEP]
description: Calls the remote method paneldue_beep
gcode:
    {action_call_remote_method("paneldue_beep", frequency=300, duration=1.0)}
"""

_FAN: Final[dict[str, Any]] = {
    "max_power": 1.0,
    "kick_start_time": 0.1,
    "off_below": 0.0,
    "cycle_time": 0.01,
    "hardware_pwm": False,
    "shutdown_speed": 0.0,
}
_STEPPER: Final[dict[str, Any]] = {"full_steps_per_rotation": 200, "gear_ratio": []}
_RAIL: Final[dict[str, Any]] = {
    **_STEPPER,
    "second_homing_speed": 25.0,
    "homing_retract_speed": 50.0,
    "homing_retract_dist": 5.0,
    "homing_positive_dir": False,
}
_THERMISTOR: Final[dict[str, Any]] = {"pullup_resistor": 4700.0, "inline_resistor": 0.0}
_HEATER: Final[dict[str, Any]] = {
    **_THERMISTOR,
    "min_extrude_temp": 170.0,
    "max_power": 1.0,
    "smooth_time": 1.0,
    "pwm_cycle_time": 0.1,
}

#: Documented defaults, by section; a section's first word stands for all sections of its kind.
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "mcu": {"baud": 250000},
    "printer": {"minimum_cruise_ratio": 0.5, "square_corner_velocity": 5.0},
    "stepper_x": _RAIL,
    "stepper_y": _RAIL,
    "stepper_z": {**_RAIL, "second_homing_speed": 5.0, "homing_retract_speed": 10.0},
    "tmc2240": {"hold_current": 0.8, "interpolate": True, "stealthchop_threshold": 0.0},
    "probe": {
        "lift_speed": 8.0,
        "samples_result": "average",
        "samples_tolerance": 0.1,
        "samples_tolerance_retries": 0,
        "deactivate_on_each_sample": True,
        "activate_gcode": "",
        "deactivate_gcode": "",
    },
    "safe_z_home": {"z_hop_speed": 15.0, "speed": 50.0, "move_to_previous": False},
    "bed_mesh": {
        "adaptive_margin": 0.0,
        "mesh_pps": [2, 2],
        "algorithm": "lagrange",
        "bicubic_tension": 0.2,
        "scan_overshoot": 0,
        "fade_start": 1.0,
        "fade_end": 0.0,
        "split_delta_z": 0.025,
        "move_check_distance": 5.0,
    },
    "extruder": {
        **_HEATER,
        **_STEPPER,
        "max_extrude_cross_section": 0.64,
        "max_extrude_only_velocity": 53.216,
        "max_extrude_only_accel": 532.162,
        "max_extrude_only_distance": 50.0,
        "instantaneous_corner_velocity": 1.0,
        "pressure_advance_smooth_time": 0.04,
    },
    "heater_bed": _HEATER,
    "temperature_sensor": {},
    "temperature_fan": {**_FAN, **_THERMISTOR, "max_speed": 1.0, "min_speed": 0.3, "max_delta": 2.0},
    "fan": _FAN,
    "heater_fan": {**_FAN, "shutdown_speed": 1.0, "fan_speed": 1.0},
    "fan_generic": _FAN,
    "filament_switch_sensor": {
        "debounce_delay": 0.0,
        "runout_gcode": "",
        "pause_delay": 0.5,
        "event_delay": 3.0,
    },
    "pause_resume": {"recover_velocity": 50.0},
    "output_pin": {"hardware_pwm": False, "scale": 1.0, "shutdown_value": 0.0},
    "firmware_retraction": {"retract_speed": 20.0, "unretract_extra_length": 0.0, "unretract_speed": 10.0},
    "virtual_sdcard": {"on_error_gcode": "\nTURN_OFF_HEATERS\n"},
    "respond": {"default_type": "echo", "default_prefix": "echo:"},
    "gcode_arcs": {"resolution": 1.0},
    "idle_timeout": {"gcode": "\nTURN_OFF_HEATERS\nM84\n"},
    "gcode_macro": {"description": "G-Code macro"},
}

#: Options that are whole numbers.
WHOLE_NUMBERS: Final = frozenset({"microsteps", "samples", "baud", "probe_count"})
