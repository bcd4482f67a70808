"""What is known of a gcode file: the shapes of metadata, inside and on the wire.

Contract: "Get GCode Metadata" of the file management document. What a slicer doesn't tell is left out.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

ImageFormat = Literal["png", "jpg", "qoi"]
"""What slicers write pictures in; browsers don't know the last."""

OBJECTS_PROCESSOR = "preprocess_cancellation"
"""What ``file_processors`` calls the program that marks objects."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a slicer has written about a print: lengths in mm, times in s, weights in g, degrees Celsius.

    ``filament_name`` and ``filament_type`` are a JSON array, as text, when there are several.
    ``first_layer_bed_temp`` and ``first_layer_extr_temp`` are those of the first tool.
    """

    slicer: str = "Unknown"
    slicer_version: str = "?"
    gcode_start_byte: int | UnsetType = UNSET
    gcode_end_byte: int | UnsetType = UNSET
    layer_count: int | UnsetType = UNSET
    object_height: float | UnsetType = UNSET
    estimated_time: float | UnsetType = UNSET
    nozzle_diameter: float | UnsetType = UNSET
    layer_height: float | UnsetType = UNSET
    first_layer_height: float | UnsetType = UNSET
    first_layer_extr_temp: float | UnsetType = UNSET
    first_layer_bed_temp: float | UnsetType = UNSET
    chamber_temp: float | UnsetType = UNSET
    filament_name: str | UnsetType = UNSET
    filament_type: str | UnsetType = UNSET
    filament_colors: list[str] | UnsetType = UNSET
    filament_change_count: int | UnsetType = UNSET
    extruder_colors: list[str] | UnsetType = UNSET
    filament_temps: list[int] | UnsetType = UNSET
    referenced_tools: list[int] | UnsetType = UNSET
    mmu_print: int | UnsetType = UNSET
    filament_total: float | UnsetType = UNSET
    filament_weight_total: float | UnsetType = UNSET
    filament_weights: list[float] | UnsetType = UNSET
    printer_vendor: str | UnsetType = UNSET
    printer_model: str | UnsetType = UNSET
    printer_variant: str | UnsetType = UNSET
    profile_version: str | UnsetType = UNSET


class Thumbnail(msgspec.Struct, frozen=True):
    """A picture of a print, kept beside its file: ``size`` is in bytes.

    ``relative_path`` begins at the folder of the gcode file.
    """

    width: int
    height: int
    size: int
    relative_path: str


class ThumbnailDetails(msgspec.Struct, frozen=True):
    """The same for who asks for thumbnails alone: ``thumbnail_path`` begins at the root of gcode files."""

    width: int
    height: int
    size: int
    thumbnail_path: str


class Metadata(Facts, frozen=True, kw_only=True):
    """All that is known of one version of a file: ``modified`` is Unix time, ``size`` bytes.

    ``job_id`` and ``print_start_time`` (Unix time) are those of its last print, null before the first.
    ``filename`` begins at the root of gcode files.
    """

    size: int
    modified: float
    uuid: str
    file_processors: list[str]
    filename: str
    thumbnails: list[Thumbnail] | UnsetType = UNSET
    print_start_time: float | None = None
    job_id: str | None = None

    def is_of(self, size: int, modified: float) -> bool:
        """Say whether it was read from a file of that size that was last written then."""
        return self.size == size and abs(self.modified - modified) < 1e-3
