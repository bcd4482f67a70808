"""KISSlicer: settings as ``; key = value`` at the beginning, a summary at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txraker.metadata.readings import (
    Reading,
    Recognition,
    Slicer,
    first_of,
    header,
    highest_layer,
    setting,
    text,
)
from txraker.metadata.remarks import Remarks


def recognise(comment: str) -> Recognition | None:
    """Recognise ``KISSlicer - FREE``; the version is a comment further on."""
    return ("KISSlicer", "?") if comment.startswith("KISSlicer - ") else None


def version(introduction: list[str]) -> str:
    """Return the version in ``version 2 a 2.0.6 Win64``, as one word."""
    found = (comment for comment in introduction if comment.startswith("version "))
    return "-".join(next(found, "? ?").split()[1:])


def _beginning(beginning: str, reading: Callable[[str], Reading]) -> Reading:
    """Read the first key that begins so."""

    def read(remarks: Remarks) -> float | None:
        key = next((key for key in remarks.last if key.startswith(beginning)), None)
        return None if key is None else reading(key)(remarks)

    return read


KISSLICER: Final = Slicer(
    recognise,
    {
        "object_height": highest_layer,
        "estimated_time": first_of(
            setting("Calculated-during-export Build Time", 60.0), setting("Estimated Build Time", 60.0)
        ),
        "layer_height": first_of(setting("max_layer_thickness_mm"), setting("layer_thickness_mm")),
        "first_layer_height": setting("first_layer_thickness_mm"),
        "first_layer_extr_temp": header("first_layer_C"),
        "first_layer_bed_temp": header("bed_C"),
        "chamber_temp": header("chamber_C"),
        "filament_name": text("material_name"),
        "filament_total": first_of(_beginning("Ext 1", setting), _beginning("Ext #1", setting)),
    },
)
