"""Cura and what is built on its engine: a header of ``;KEY:value``; Griffin is Ultimaker's form of it."""

from __future__ import annotations

import re
from typing import Final

from txraker.metadata.readings import Reading, Recognition, Slicer, first_of, header, temperature, whole
from txraker.metadata.remarks import Remarks, number

_GENERATED: Final = re.compile(r"Generated with Cura_SteamEngine (\S{1,60})")
_GRIFFIN: Final = re.compile(r"GENERATOR\.VERSION:(\S{1,60})")
_TRAIN: Final = re.compile(r"EXTRUDER_TRAIN\.\d{1,3}\.INITIAL_TEMPERATURE")
_METRES: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)m\b")


def recognise(comment: str) -> Recognition | None:
    """Recognise ``Generated with Cura_SteamEngine <version>``, or Griffin's version."""
    found = _GENERATED.match(comment) or _GRIFFIN.match(comment)
    return None if found is None else ("Cura", found[1])


def is_blank(remarks: Remarks) -> bool:
    """Say whether the header is as the engine begins it, before it knows anything of the print.

    Cura replaces it afterwards, others may not. Then ``TIME`` is 6666 or missing, and sizes are of nothing.
    """
    least, most = header("MINX")(remarks), header("MAXX")(remarks)
    if least is not None and most is not None:
        return bool(least > most)
    return "PRINT.SIZE.MAX.Z" in remarks.first and "PRINT.TIME" not in remarks.first


def told(reading: Reading) -> Reading:
    """Read what a header says that isn't blank."""
    return lambda remarks: None if is_blank(remarks) else reading(remarks)


def filament_total(remarks: Remarks) -> float | None:
    """Read ``Filament used: 1.5m, 2m``."""
    found = _METRES.findall(remarks.first.get("Filament used", "")[:256])
    return round(sum(map(float, found)) * 1000, 6) if found else None


def extruder_temperature(remarks: Remarks) -> float | None:
    """Read Griffin's temperature of the first extruder train that is used."""
    said = (text for key, text in remarks.first.items() if _TRAIN.fullmatch(key))
    return next((value for text in said if (value := number(text)) is not None), None)


CURA: Final = Slicer(
    recognise,
    {
        "layer_count": whole(header("LAYER_COUNT")),
        "object_height": told(first_of(header("MAXZ"), header("PRINT.SIZE.MAX.Z"))),
        "estimated_time": told(first_of(header("TIME"), header("PRINT.TIME"))),
        "nozzle_diameter": header("EXTRUDER_TRAIN.0.NOZZLE.DIAMETER"),
        "layer_height": header("Layer height"),
        "first_layer_height": told(header("MINZ")),
        "first_layer_extr_temp": first_of(extruder_temperature, temperature("M109", "M104")),
        "first_layer_bed_temp": first_of(
            header("BUILD_PLATE.INITIAL_TEMPERATURE"), temperature("M190", "M140")
        ),
        "chamber_temp": temperature("M191", "M141"),
        "filament_total": told(filament_total),
    },
)
