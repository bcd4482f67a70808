"""What is read from files of real slicers, beside what Moonraker 0.11.0 said of the same files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from txraker.metadata.gallery import ICON
from txraker.metadata.parse import parse
from txraker.metadata.thumbnails import pictures
from txraker.metadata.windows import read_windows

SAMPLES = Path(__file__).parent.parent / "data" / "gcode"
COLLECTED = Path(os.environ.get("TXRAKER_GCODE_SAMPLES") or SAMPLES)
"""Where files of other people's are, which aren't ours to give away: see the README beside ours."""

FOUND = {path.stem: path for folder in (COLLECTED, SAMPLES) for path in folder.glob("*.gcode")}
MEASURED: dict[str, dict[str, Any]] = json.loads((SAMPLES / "moonraker-0.11.0.json").read_text())

MORE = object()
"""Moonraker leaves it out."""

LONELY = "Moonraker takes the next line for a part of a last command that has no arguments"

DIFFERENT: dict[str, dict[str, Any]] = {
    "bambustudio-1.9": {
        "estimated_time": (1366, MORE),
        "filament_total": (4069.84, "Moonraker takes the first of several filaments"),
        "filament_weight_total": (12.33, "the same"),
    },
    "bambustudio-2.0.1": {"estimated_time": (3965, MORE)},
    "cura-4.10.0": {
        "chamber_temp": (36, MORE),
        "first_layer_extr_temp": (235, MORE),
        "slicer_version": ("4.10.0", "Moonraker keeps the carriage return"),
    },
    "cura-4.8.0": {"slicer_version": ("4.8.0", "carriage return")},
    "curaengine-5.0.0": {
        "estimated_time": (None, "6666 is what the engine writes before it knows"),
        "filament_total": (None, "the same: 0"),
        "first_layer_height": (None, "the same: 2.14748e+06"),
    },
    "curaengine-5.0.0-griffin": {
        "estimated_time": (37, MORE),
        "first_layer_bed_temp": (57, MORE),
        "nozzle_diameter": (0.4, MORE),
        "object_height": (1.07, MORE),
        "slicer_version": ("5.0.0", "Moonraker keeps the key"),
    },
    "icesl": {"gcode_start_byte": (0, "Moonraker doesn't see a command in the first line")},
    "icesl-2023": {
        "gcode_start_byte": (0, "Moonraker doesn't see a command in the first line"),
        "gcode_end_byte": (940, "nor one without arguments in the last line"),
    },
    "ideamaker-4.3.2": {"chamber_temp": (34, MORE), "gcode_end_byte": (1296, LONELY)},
    "kirimoto-3.0": {
        "first_layer_extr_temp": (210, "0 is Kiri:Moto's way to say: as in all layers"),
        "first_layer_bed_temp": (70, "the same"),
    },
    "kirimoto-3.6": {
        "first_layer_bed_temp": (52, "0 is Kiri:Moto's way to say: as in all layers"),
        "gcode_end_byte": (7113, LONELY),
    },
    "kisslicer-1.6.2": {
        "estimated_time": (750, MORE),
        "filament_name": ("Birch wood PLA", MORE),
        "filament_total": (417.36, MORE),
        "slicer_version": ("1.6.2-Release-Win64", "carriage return"),
    },
    "kisslicer-1.6.3": {
        "estimated_time": (476.4, MORE),
        "filament_name": ("test", MORE),
        "filament_total": (298.83, MORE),
        "slicer_version": ("1.6.3-Release-Win64", "carriage return"),
    },
    "kisslicer-2.0.1": {"filament_name": ("Smoke ABS", MORE)},
    "kisslicer-2.0.6": {
        "filament_name": ("test", MORE),
        "slicer_version": ("2-a-2.0.6-Win64", "carriage return"),
    },
    "luban-3.15.0": {
        "slicer": ("Snapmaker Luban", "Moonraker doesn't know it"),
        "slicer_version": ("3.15.0", "the same"),
        "estimated_time": (9602.18, MORE),
        "layer_count": (26, MORE),
        "layer_height": (0.15, MORE),
        "object_height": (4, "Moonraker takes the height of moves"),
        "first_layer_height": (None, "the same: 0, from the start gcode"),
    },
    "luban-4.7.3": {
        "slicer": ("Snapmaker Luban", "Moonraker doesn't know it"),
        "slicer_version": ("4.7.3", "the same"),
        "estimated_time": (1460.25, MORE),
        "filament_total": (612.1, MORE),
        "filament_type": ("PLA", MORE),
        "filament_weight_total": (1.83, MORE),
        "first_layer_height": (None, "Luban doesn't tell; Moonraker takes the lowest move"),
        "gcode_end_byte": (1359, LONELY),
        "layer_count": (3, MORE),
        "layer_height": (0.22, MORE),
        "nozzle_diameter": (0.4, MORE),
    },
    "orcaslicer-2.3.0": {
        "layer_count": (72, MORE),
        "object_height": (20.08, "what the slicer says, and not the highest move of a file that is cut"),
    },
    "prusaslicer-2.4.0": {
        "object_height": (5, "the highest layer; 5.4 is a lift"),
        "printer_model": ("Voron_v2_300_aferburner", "carriage return"),
        "printer_variant": ("0.4", "carriage return"),
        "printer_vendor": ("", "carriage return"),
    },
    "prusaslicer-2.5.0": {"object_height": (3.05, "the highest layer; most moves are cut out")},
    "prusaslicer-2.9.2-klipper": {"gcode_end_byte": (7513, LONELY)},
    "simplify3d-4.1.0": {
        "first_layer_bed_temp": (76, MORE),
        "first_layer_extr_temp": (243, MORE),
    },
    "simplify3d-4.1.2": {
        "gcode_end_byte": (8188, LONELY),
        "object_height": (12, "the highest layer"),
    },
    "simplify3d-5.0.0": {
        "first_layer_bed_temp": (99, MORE),
        "first_layer_extr_temp": (258, MORE),
        "gcode_end_byte": (828, LONELY),
        "object_height": (0.504, "the highest layer; 5 is a relative move at the end"),
    },
    "slic3r-1.2.9": {"filament_total": (1516.5, MORE)},
    "slic3r-1.2.9-two": {"filament_total": (137.75, MORE)},
    "slic3r-1.3.0": {"filament_total": (22.5, MORE)},
    "superslicer-2.3.56": {
        "object_height": (5, "the highest layer; 5.4 is a lift"),
        "printer_model": ("Voron_v2_300_aferburner", "carriage return"),
        "printer_variant": ("0.4", "carriage return"),
        "printer_vendor": ("", "carriage return"),
    },
    "superslicer-2.5.59": {
        "first_layer_height": (0.3, "SuperSlicer's percentage is one of the nozzle"),
        "gcode_end_byte": (2137, LONELY),
    },
}
"""Where we say something else: what, and why."""

ONLY_OURS = {"luban-3.15.0": (300, 150), "luban-4.7.3": (60, 30)}
"""Pictures that Moonraker doesn't find."""


def read(name: str) -> dict[str, Any]:
    """Return what we find in a sample."""
    path = FOUND[name]
    with path.open("rb") as file:
        parsed = parse(read_windows(file, path.stat().st_size))
    found: dict[str, Any] = msgspec.to_builtins(parsed.facts)
    return found


@pytest.mark.parametrize("name", sorted(FOUND))
def test_as_moonraker(name: str) -> None:
    """Of every sample we say what Moonraker says, except where there is a reason."""
    measured = {key: value for key, value in MEASURED[f"{name}.gcode"].items() if key != "thumbnails"}
    ours = read(name)
    different = DIFFERENT.get(name, {})
    for key, (value, why) in different.items():
        assert ours.get(key) == (pytest.approx(value) if isinstance(value, float) else value), key
        assert measured.get(key) != ours.get(key), f"{key} is no difference"
        assert (key in measured) is (why is not MORE), key
    for key in {*measured, *ours} - set(different):
        expected = measured.get(key)
        assert ours.get(key) == (pytest.approx(expected) if isinstance(expected, float) else expected), key


def test_every_sample_is_measured() -> None:
    """No sample is forgotten."""
    assert {path.name for path in FOUND.values()} <= set(MEASURED)
    assert set(DIFFERENT) <= {name.removesuffix(".gcode") for name in MEASURED}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_pictures_as_moonraker(name: str) -> None:
    """Pictures are those that Moonraker finds, apart from the icon it makes itself; Luban's is one more."""
    measured = [
        (picture["width"], picture["height"])
        for picture in MEASURED[f"{name}.gcode"].get("thumbnails", [])
        if "-32x32." not in picture["relative_path"]
    ]
    content = FOUND[name].read_bytes()
    sizes = [(picture.width, picture.height) for picture in pictures(content)]
    ours = [size for size in sizes if size != (ICON, ICON)]
    assert ours == ([ONLY_OURS[name]] if name in ONLY_OURS else measured)


HAVE_OBJECTS = {
    "cura-4.10.0": True,
    "cura-5.4.0": True,
    "curaengine-4.13.0": True,
    "ideamaker-4.2.0": True,
    "ideamaker-4.3.2": True,
    "orcaslicer-2.1.1": False,
    "orcaslicer-2.3.1": True,
    "prusaslicer-2.5.0": True,
    "prusaslicer-2.5.0-objects": True,
    "prusaslicer-2.9.2-klipper": False,
    "prusaslicer-2.9.2-m486": True,
    "simplify3d-4.1.0": False,
    "simplify3d-4.1.2": False,
    "slic3r-1.3.0": False,
}


@pytest.mark.parametrize(("sample", "fact"), [pair for pair in HAVE_OBJECTS.items() if pair[0] in FOUND])
def test_objects(sample: str, fact: bool) -> None:
    """Objects are noticed where a slicer names them in comments, and not where they are defined already."""
    path = FOUND[sample]
    with path.open("rb") as file:
        assert parse(read_windows(file, path.stat().st_size)).has_objects is fact
