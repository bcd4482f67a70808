"""What the virtual printer does with commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from txraker.simulator.options import SimulatorOptions

from .bench import Bench

HOMED = "SET_KINEMATIC_POSITION X=100 Y=100 Z=5"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("M104 S400", "Requested temperature (400.0) out of range (0.0:300.0)"),
        ("M140 S200", "Requested temperature (200.0) out of range (0.0:130.0)"),
        ("SET_HEATER_TEMPERATURE HEATER=x TARGET=1", "The value 'x' is not valid for HEATER"),
        ("SET_HEATER_TEMPERATURE TARGET=1", "missing HEATER"),
        ("G1 E5", "Extrude below minimum temp"),
        ("G1 X10", "Must home axis first: 10.000 0.000 0.000 [0.000]"),
        ("G28 Z", "Must home X and Y axes first"),
        ("G20", "Machine does not support G20 (inches) command"),
        ("SDCARD_PRINT_FILE FILENAME=nosuch.gcode", "Unable to open file"),
        ("RESTORE_GCODE_STATE NAME=x", "Unknown g-code state: x"),
        ("BED_MESH_PROFILE LOAD=x", "bed_mesh: Unknown profile [x]"),
        ("CALL_REMOTE_METHOD NAME=x", "Remote Method 'x' not registered"),
        ("SET_GCODE_VARIABLE MACRO=START_PRINT VARIABLE=state VALUE=(", "Unable to parse '(' as a literal"),
        ("SET_PIN caselight", "Malformed command 'SET_PIN caselight'"),
    ],
)
def test_errors(script: str, error: str) -> None:
    """A command that cannot be done fails in Klippy's words, in the reply and on the console."""
    client = Bench().ready()
    reply = client.run(script)
    assert error in reply["error"]["message"]
    assert client.console()[-1].startswith("!! ")


@pytest.mark.parametrize(
    ("script", "name", "expected"),
    [
        ("M106 S127.5", "fan", {"speed": 0.5}),
        ("SET_FAN_SPEED FAN=aux_fan SPEED=0.3", "fan_generic aux_fan", {"speed": 0.3}),
        ("SET_PIN PIN=caselight VALUE=1", "output_pin caselight", {"value": 1.0}),
        (
            "SET_TEMPERATURE_FAN_TARGET TEMPERATURE_FAN=electronics TARGET=50",
            "temperature_fan electronics",
            {"target": 50.0},
        ),
        (
            "SET_FILAMENT_SENSOR SENSOR=runout ENABLE=0",
            "filament_switch_sensor runout",
            {"enabled": False},
        ),
        ("SET_VELOCITY_LIMIT VELOCITY=100 ACCEL=500", "toolhead", {"max_velocity": 100, "max_accel": 500}),
        ("M204 S700", "toolhead", {"max_accel": 700}),
        ("SET_PRESSURE_ADVANCE ADVANCE=0.1", "extruder", {"pressure_advance": 0.1}),
        ("M220 S50", "gcode_move", {"speed_factor": 0.5}),
        ("M221 S90", "gcode_move", {"extrude_factor": 0.9}),
        ("SET_GCODE_OFFSET Z=0.2", "gcode_move", {"homing_origin": [0.0, 0.0, 0.2, 0.0]}),
        ("G91", "gcode_move", {"absolute_coordinates": False}),
        ("M117 hello", "display_status", {"message": "hello"}),
        ("SET_DISPLAY_TEXT MSG=hi", "display_status", {"message": "hi"}),
        ("M73 P40", "display_status", {"progress": 0.4}),
        ("SET_IDLE_TIMEOUT TIMEOUT=60", "idle_timeout", {"idle_timeout": 60.0}),
        ("SAVE_VARIABLE VARIABLE=x VALUE=[1,2]", "save_variables", {"variables": {"x": [1, 2]}}),
        (
            "SET_GCODE_VARIABLE MACRO=START_PRINT VARIABLE=state VALUE=\"'busy'\"",
            "gcode_macro START_PRINT",
            {"state": "busy"},
        ),
        ("SET_RETRACTION RETRACT_LENGTH=2", "firmware_retraction", {"retract_length": 2.0}),
        ("PAUSE", "pause_resume", {"is_paused": True}),
    ],
)
def test_effects(script: str, name: str, expected: dict[str, object]) -> None:
    """A command shows in the printer object it is about."""
    client = Bench().ready()
    assert "result" in client.run(script)
    status = client.status(name)
    assert {key: status[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("M115", "FIRMWARE_VERSION:v0.13.0-730-g0000000-simulator FIRMWARE_NAME:Klipper"),
        ("M118 hello", "echo: hello"),
        ("RESPOND MSG=hello", "echo: hello"),
        ("RESPOND TYPE=error MSG=hello", "!! hello"),
        ("RESPOND TYPE=command MSG=action:x", "// action:x"),
        ("QUERY_ENDSTOPS", "stepper_x:open stepper_y:open stepper_z:open"),
        ("QUERY_FILAMENT_SENSOR SENSOR=runout", "// Filament Sensor runout: filament detected"),
        ("M27", "Not SD printing."),
        ("M114", "X:0.000 Y:0.000 Z:0.000 E:0.000"),
        ("RESUME", "// Print is not paused, resume aborted"),
        ("SPAM N=3", "echo: spam line 2"),
    ],
)
def test_console(script: str, line: str) -> None:
    """A command that reports something writes it on the console."""
    client = Bench().ready()
    client.run(script)
    assert client.console()[-1] == line


def test_scripts_wait_for_each_other() -> None:
    """A script is answered when it ends, and the next one starts only then."""
    bench = Bench()
    client = bench.ready()
    slow, quick = client.script("G4 P2000"), client.script("M117 x")
    bench.advance(1.9)
    assert client.reply(slow) is client.reply(quick) is None
    bench.advance(0.5)
    assert [m["id"] for _, m in client.received[-2:]] == [slow, quick]


def test_speed() -> None:
    """A speed of 50 makes a ten-second wait last a fifth of a second, and leaves the ticks alone."""
    bench = Bench(SimulatorOptions(speed=50.0))
    client = bench.ready()
    client.request("objects/subscribe", objects={"toolhead": None})
    number = client.script("G4 S10")
    bench.advance(0.21)
    assert client.reply(number) is not None
    before = len(client.received)
    bench.advance(1.0)
    assert len(client.received) - before == 4


def test_motion() -> None:
    """Between planning and arrival the live position lies on the way, and M400 waits for the arrival."""
    bench = Bench()
    client = bench.ready()
    client.run(HOMED)
    number = client.script("G1 X150 F3000", "M400")
    bench.advance(0.75)
    report = client.status("motion_report")
    assert 100.0 < report["live_position"][0] < 150.0
    assert report["live_velocity"] == 50.0
    assert client.status("toolhead")["position"][0] == 150.0
    assert client.reply(number) is None
    bench.advance(0.6)
    assert client.reply(number) is not None
    assert client.status("motion_report")["live_position"][0] == 150.0


def test_arc() -> None:
    """An arc ends where it was told to, after the length of its way."""
    bench = Bench()
    client = bench.ready()
    client.run(HOMED)
    start = client.status("toolhead")["print_time"]
    client.run("G2 X100 Y100 I10 J0 F600", "M400")
    toolhead = client.status("toolhead")
    assert toolhead["position"][:2] == pytest.approx([100.0, 100.0])
    assert toolhead["print_time"] - start > 6.0


def test_gcode_state() -> None:
    """A restored state brings back modes, and its position when asked to move."""
    client = Bench().ready()
    client.run(HOMED, "SAVE_GCODE_STATE NAME=a", "G91", "G1 X10", "RESTORE_GCODE_STATE NAME=a MOVE=1", "M400")
    move = client.status("gcode_move")
    assert move["absolute_coordinates"]
    assert move["position"][0] == 100.0


def test_offsets() -> None:
    """G92 and SET_GCODE_OFFSET shift gcode positions, not the toolhead."""
    client = Bench().ready()
    client.run(HOMED, "G92 X0", "G1 X5", "M400")
    assert client.status("toolhead")["position"][0] == 105.0
    assert client.status("gcode_move")["gcode_position"][0] == 5.0


def test_heating() -> None:
    """M109 is answered when the extruder is hot; then it can extrude, and its fan runs."""
    bench = Bench()
    client = bench.ready()
    client.run("M109 S200")
    extruder = client.status("extruder")
    assert extruder["temperature"] == pytest.approx(200.0, abs=1.5)
    assert extruder["can_extrude"]
    assert client.status("heater_fan hotend_fan")["speed"] == 1.0
    assert "result" in client.run("G91", "G1 E5 F300")
    client.run("TURN_OFF_HEATERS")
    bench.advance(200.0)
    assert client.status("extruder")["temperature"] < 40.0


def test_temperature_wait() -> None:
    """TEMPERATURE_WAIT ends when the sensor has reached the bound."""
    client = Bench().ready()
    client.run("M140 S60", "TEMPERATURE_WAIT SENSOR=heater_bed MINIMUM=40")
    assert 40.0 <= client.status("heater_bed")["temperature"] < 45.0


def test_monitor() -> None:
    """The driver's temperature is null until the driver is switched on."""
    client = Bench().ready()
    assert client.status("heaters")["available_monitors"] == ["tmc2240 stepper_x"]
    assert client.status("tmc2240 stepper_x")["temperature"] is None
    client.run("SET_STEPPER_ENABLE STEPPER=stepper_x ENABLE=1")
    assert client.status("tmc2240 stepper_x")["temperature"] is not None


def test_homing() -> None:
    """G28 homes every axis and M84 forgets it."""
    client = Bench().ready()
    client.run("G28")
    assert client.status("toolhead")["homed_axes"] == "xyz"
    client.run("M84")
    assert client.status("toolhead")["homed_axes"] == ""


def test_bed_mesh_survives_a_restart() -> None:
    """A calibrated mesh waits for SAVE_CONFIG, which restarts the host and keeps it."""
    bench = Bench()
    client = bench.ready()
    client.run("G28", "BED_MESH_CALIBRATE", seconds=900.0)
    mesh = client.status("bed_mesh")
    assert (len(mesh["probed_matrix"]), len(mesh["mesh_matrix"])) == (5, 13)
    assert client.result("bed_mesh/dump_mesh")["current_mesh"]["name"] == "default"
    config = client.status("configfile")
    assert config["save_config_pending"]
    assert list(config["save_config_pending_items"]) == ["bed_mesh default"]
    client.run("SAVE_CONFIG")
    bench.advance(2.0)
    client = bench.ready()
    assert list(client.status("bed_mesh")["profiles"]) == ["default"]
    assert not client.status("configfile")["save_config_pending"]


def test_manual_probe() -> None:
    """ACCEPT exists only during a manual probe."""
    client = Bench().ready()
    client.run(HOMED, "MANUAL_PROBE", "TESTZ Z=-1")
    assert client.status("manual_probe")["is_active"]
    assert "ACCEPT" in client.status("gcode")["commands"]
    client.run("ACCEPT")
    assert "ACCEPT" not in client.status("gcode")["commands"]


@pytest.mark.parametrize(
    "name", ["../secret.gcode", "/../secret.gcode", "link.gcode", "sub/../../secret.gcode"]
)
def test_files_outside_are_never_read(tmp_path: Path, name: str) -> None:
    """No name, and no symbolic link, leads out of the directory of gcode files."""
    gcodes = tmp_path / "gcodes"
    (gcodes / "sub").mkdir(parents=True)
    (tmp_path / "secret.gcode").write_text("M117 secret\n")
    (gcodes / "link.gcode").symlink_to(tmp_path / "secret.gcode")
    client = Bench(gcodes=gcodes).ready()
    reply = client.run(f"SDCARD_PRINT_FILE FILENAME={name}")
    assert reply["error"]["message"] == "Unable to open file"


def test_print_of_a_small_file(tmp_path: Path) -> None:
    """A print runs every line, the last one without a line end too, and reports where it is."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.gcode").write_text("; top\nM117 one\nG4 P3000\nM117 two")
    bench = Bench(gcodes=tmp_path)
    client = bench.ready()
    client.run("SDCARD_PRINT_FILE FILENAME=sub/A.gcode")
    bench.advance(0.5)
    card = client.status("virtual_sdcard")
    assert (card["file_position"], card["is_active"]) == (15, True)
    bench.advance(5.0)
    assert client.status("display_status")["message"] == "two"
    stats = client.status("print_stats")
    assert (stats["state"], stats["filename"]) == ("complete", "sub/a.gcode")
    assert client.status("virtual_sdcard")["progress"] == 1.0


def test_print_that_fails(tmp_path: Path) -> None:
    """A failing line ends the print in state error and turns the heaters off."""
    (tmp_path / "a.gcode").write_text("M140 S60\nG1 X10\nM117 never\n")
    bench = Bench(gcodes=tmp_path)
    client = bench.ready()
    client.run("SDCARD_PRINT_FILE FILENAME=a.gcode")
    bench.advance(1.0)
    stats = client.status("print_stats")
    assert (stats["state"], stats["message"]) == ("error", "Must home axis first: 10.000 0.000 0.000 [0.000]")
    assert client.status("heater_bed")["target"] == 0.0


def test_excluded_object_is_skipped(tmp_path: Path) -> None:
    """Moves inside an excluded object are not made, and what follows is not disturbed."""
    (tmp_path / "a.gcode").write_text(
        f"{HOMED}\nEXCLUDE_OBJECT_DEFINE NAME=a CENTER=1,2\nEXCLUDE_OBJECT NAME=a\n"
        "EXCLUDE_OBJECT_START NAME=a\nG1 X200\nEXCLUDE_OBJECT_END NAME=a\nG4 P500\nG1 X101\n"
    )
    bench = Bench(gcodes=tmp_path)
    client = bench.ready()
    client.run("SDCARD_PRINT_FILE FILENAME=a.gcode")
    bench.advance(0.4)
    assert client.status("toolhead")["position"][0] == 100.0
    assert client.status("exclude_object") == {
        "objects": [{"name": "A", "center": [1, 2]}],
        "excluded_objects": ["A"],
        "current_object": None,
    }
    bench.advance(3.0)
    assert client.status("toolhead")["position"][0] == 101.0


def test_filament_runout_pauses_the_print(tmp_path: Path) -> None:
    """When filament runs out during a print, the print pauses."""
    (tmp_path / "a.gcode").write_text("G4 P1000\n" * 10)
    bench = Bench(gcodes=tmp_path)
    client = bench.ready()
    client.run("SDCARD_PRINT_FILE FILENAME=a.gcode")
    client.run("SIMULATE_FILAMENT DETECTED=0")
    bench.advance(2.0)
    assert client.status("print_stats")["state"] == "paused"
