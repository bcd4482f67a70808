"""How one field is read from the remarks in a gcode file: small parts, put together by tables.

A reading returns None where the file doesn't say, or what it says makes no sense; none of them raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from txraker.metadata.remarks import Remarks, number

Reading = Callable[[Remarks], Any]
"""Takes a field's value from remarks."""

Recognition = tuple[str, str]
"""What a slicer is called, and its version."""

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s{0,4}(d|h|m|s)")
_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LIST: Final = re.compile(r"[,;]")
_ITEM: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))\s*(?:;|$)')


class Slicer(msgspec.Struct, frozen=True):
    """A family of slicers: ``recognise`` says from a file's first comments which one it was, if any.

    ``fields`` maps the names of fields of Facts to how they are read.
    """

    recognise: Callable[[str], Recognition | None]
    fields: Mapping[str, Reading]


def first_of(*readings: Reading) -> Reading:
    """Read what the first of several readings finds."""

    def read(remarks: Remarks) -> Any:
        return next((value for reading in readings if (value := reading(remarks)) is not None), None)

    return read


def header(key: str, scale: float = 1.0) -> Reading:
    """Read the number that a key says first."""
    return lambda remarks: _scaled(remarks.first.get(key), scale)


def setting(key: str, scale: float = 1.0) -> Reading:
    """Read the number that a key says last; of a list the first one."""
    return lambda remarks: _scaled(remarks.last.get(key), scale)


def whole(reading: Reading) -> Reading:
    """Read a number as a whole one."""

    def read(remarks: Remarks) -> int | None:
        value = reading(remarks)
        return None if value is None else int(value)

    return read


def positive(reading: Reading) -> Reading:
    """Read a number if it is more than 0."""

    def read(remarks: Remarks) -> float | None:
        value = reading(remarks)
        return value if value is not None and value > 0 else None

    return read


def numbers(key: str) -> Reading:
    """Read a list of numbers, apart by commas or semicolons."""

    def read(remarks: Remarks) -> list[float] | None:
        text = remarks.last.get(key)
        if text is None:
            return None
        found = [number(part.strip()) for part in _LIST.split(text)]
        return [value for value in found if value is not None]

    return read


def total(key: str, scale: float = 1.0) -> Reading:
    """Read the sum of a list of numbers."""

    def read(remarks: Remarks) -> float | None:
        found = numbers(key)(remarks)
        return round(math.fsum(found) * scale, 6) if found else None

    return read


def or_empty(reading: Reading) -> Reading:
    """Read a list that is empty where the file doesn't say."""
    return lambda remarks: reading(remarks) or []


def whole_numbers(key: str) -> Reading:
    """Read a list of whole numbers."""

    def read(remarks: Remarks) -> list[int] | None:
        found = numbers(key)(remarks)
        return None if found is None else [int(value) for value in found]

    return read


def duration(key: str) -> Reading:
    """Read a time such as ``1d 2h 3m 4s``, in seconds; the key begins so and may say more."""

    def read(remarks: Remarks) -> float | None:
        return next((seconds(text) for said, text in remarks.last.items() if said.startswith(key)), None)

    return read


def seconds(text: str) -> float | None:
    """Return how long a time such as ``1d 2h 3m 4s`` is, None where the text has none."""
    found = _DURATION.findall(text[:256])
    return math.fsum(float(amount) * _SECONDS[unit] for amount, unit in found) if found else None


def text(key: str) -> Reading:
    """Read a text, without its quotes."""

    def read(remarks: Remarks) -> str | None:
        said = remarks.last.get(key)
        return None if said is None else _joined(items(said))

    return read


def texts(key: str) -> Reading:
    """Read one text, or several as a JSON array in a text; None where all are empty."""
    reading = text(key)
    return lambda remarks: reading(remarks) or None


def colors(key: str) -> Reading:
    """Read the colours in a list, written as ``#RRGGBB``."""

    def read(remarks: Remarks) -> list[str] | None:
        said = remarks.last.get(key)
        return None if said is None else [item for item in items(said) if item.startswith("#")]

    return read


def items(said: str) -> list[str]:
    """Return the items of a list apart by semicolons, without the quotes that some have."""
    found = []
    position = 0
    while position < len(said):
        item = _ITEM.match(said, position)
        if item is None:  # quotes that don't end: what is left is one item
            found.append(said[position:].strip().strip('"'))
            break
        quoted, bare = item.groups()
        found.append(bare.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = item.end()
    return found


def temperature(*codes: str) -> Reading:
    """Read the temperature that the first of some commands sets which is there at all."""

    def read(remarks: Remarks) -> float | None:
        return next((remarks.temperatures[code] for code in codes if code in remarks.temperatures), None)

    return read


def highest_layer(remarks: Remarks) -> float | None:
    """Read the height of the highest layer."""
    return remarks.highest_layer


def highest_move(remarks: Remarks) -> float | None:
    """Read the height of the highest move, which may be one of the start or end gcode."""
    return remarks.highest_move


def lowest_move(remarks: Remarks) -> float | None:
    """Read the height of the lowest move."""
    return remarks.lowest_move


def _scaled(said: str | None, scale: float) -> float | None:
    value = None if said is None else number(said)
    return None if value is None else round(value * scale, 6)


def _joined(found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    return json.dumps(found, ensure_ascii=False) if any(found) else ""
