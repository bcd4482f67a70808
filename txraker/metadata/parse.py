"""Facts from the beginning and the end of a gcode file: bytes in, values out; nothing raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from txraker.metadata.facts import OBJECTS_PROCESSOR, Facts
from txraker.metadata.readings import Recognition, Slicer
from txraker.metadata.remarks import Remarks
from txraker.metadata.slicers.bambu import BAMBU
from txraker.metadata.slicers.cura import CURA
from txraker.metadata.slicers.kisslicer import KISSLICER, version
from txraker.metadata.slicers.others import ICESL, IDEAMAKER, KIRI_MOTO, LUBAN, UNKNOWN
from txraker.metadata.slicers.prusa import PRUSA, SUPER
from txraker.metadata.slicers.simplify3d import SIMPLIFY3D

SLICERS: Final = (SUPER, PRUSA, BAMBU, CURA, SIMPLIFY3D, KISSLICER, IDEAMAKER, ICESL, KIRI_MOTO, LUBAN)
"""All that name themselves, in the order in which they are asked."""

_OBJECTS_MARKED: Final = "Pre-Processed for Cancel-Object support by preprocess_cancellation"


class Window(msgspec.Struct, frozen=True):
    """A part of a file that begins ``offset`` bytes from its beginning."""

    content: bytes
    offset: int = 0


class Parsed(msgspec.Struct, frozen=True):
    """What a file says. ``has_objects`` asks for a program that marks objects for Klippy."""

    facts: Facts
    file_processors: tuple[str, ...]
    has_objects: bool


def parse(windows: Iterable[Window]) -> Parsed:
    """Return what parts of a file say, in their order."""
    remarks = Remarks()
    for window in windows:
        remarks.read(window.content, window.offset)
    slicer, (name, number) = _recognise(remarks.introduction)
    values: dict[str, Any] = {"slicer": name, "slicer_version": number}
    if remarks.start is not None:
        values.update(gcode_start_byte=remarks.start, gcode_end_byte=remarks.end)
    for field, reading in slicer.fields.items():
        value = reading(remarks)
        if value is not None:
            values[field] = value
    processors = (OBJECTS_PROCESSOR,) if _is_processed(remarks) else ()
    return Parsed(
        msgspec.convert(values, Facts, strict=False),
        processors,
        remarks.has_objects and not remarks.excludes_objects,
    )


def _recognise(introduction: list[str]) -> tuple[Slicer, Recognition]:
    for comment in introduction:
        for slicer in SLICERS:
            found = slicer.recognise(comment)
            if found is not None:
                number = version(introduction) if slicer is KISSLICER else found[1]
                return slicer, (found[0], number)
    return UNKNOWN, ("Unknown", "?")


def _is_processed(remarks: Remarks) -> bool:
    return any(comment.startswith(_OBJECTS_MARKED) for comment in remarks.introduction)
