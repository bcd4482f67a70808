"""Cura and what is built on its engine: a header of ``;KEY:value``; Griffin is Ultimaker's form of it."""

from __future__ import annotations

import re
from typing import Final

from txraker.metadata.readings import Recognition, Slicer, first_of, header, temperature, whole
from txraker.metadata.remarks import Remarks, number

_GENERATED: Final = re.compile(r"Generated with Cura_SteamEngine (\S{1,60})")
_GRIFFIN: Final = re.compile(r"GENERATOR\.VERSION:(\S{1,60})")
_METRES: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)m\b")


def recognise(comment: str) -> Recognition | None:
    """Recognise ``Generated with Cura_SteamEngine <version>``, or Griffin's version."""
    found = _GENERATED.match(comment) or _GRIFFIN.match(comment)
    return None if found is None else ("Cura", found[1])


def filament_total(remarks: Remarks) -> float | None:
    """Read ``Filament used: 1.5m, 2m``."""
    found = _METRES.findall(remarks.first.get("Filament used", "")[:256])
    return round(sum(map(float, found)) * 1000, 6) if found else None


def extruder_temperature(remarks: Remarks) -> float | None:
    """Read Griffin's temperature of the first extruder train that is used."""
    said = (text for key, text in remarks.first.items() if key.endswith(".INITIAL_TEMPERATURE"))
    return next((value for text in said if (value := number(text)) is not None), None)


CURA: Final = Slicer(
    recognise,
    {
        "layer_count": whole(header("LAYER_COUNT")),
        "object_height": first_of(header("MAXZ"), header("PRINT.SIZE.MAX.Z")),
        "estimated_time": first_of(header("TIME"), header("PRINT.TIME")),
        "nozzle_diameter": header("EXTRUDER_TRAIN.0.NOZZLE.DIAMETER"),
        "layer_height": header("Layer height"),
        "first_layer_height": header("MINZ"),
        "first_layer_extr_temp": first_of(temperature("M109", "M104"), extruder_temperature),
        "first_layer_bed_temp": first_of(
            temperature("M190", "M140"), header("BUILD_PLATE.INITIAL_TEMPERATURE")
        ),
        "chamber_temp": temperature("M191", "M141"),
        "filament_total": filament_total,
    },
)
