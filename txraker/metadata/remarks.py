"""What the lines of a gcode file say, gathered in one pass: comments as settings, and a few commands.

The work is linear in the number of bytes whatever they are: lines are split once, no line is searched
further than ``LONGEST_COMMENT``, and no pattern here can go back over what it has read.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import define, field

LONGEST_COMMENT: Final = 16 * 1024
"""Bytes of a comment that are looked at; settings of many tools are long."""

LONGEST_COMMAND: Final = 256
"""The same for a command; Klippy's own limit is near."""

MOST_SETTINGS: Final = 8192
"""Different keys that are kept of a file; slicers write a few hundred."""

LONGEST_INTRODUCTION: Final = 512
"""Comments at the beginning among which a slicer names itself; some write settings first."""

FIRST_LAYER_HEIGHT: Final = "HEIGHT of LAYER:0"
"""The key of what ``HEIGHT`` says in layer 0; a raft's layers are below."""

FILAMENT_USED: Final = "filament used"
"""The key of what Slic3r says once for each extruder."""

MOST_EXTRUDERS: Final = 64
"""Of how many extruders the filament is noted."""

_SEPARATOR: Final = re.compile(r"[=:,]")
_COMMAND: Final = re.compile(rb"[GM]\d")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_WORD: Final = re.compile(r"([A-Z])([-+]?(?:\d+(?:\.\d*)?|\.\d+))")
_TEMPERATURES: Final = frozenset({"M104", "M109", "M140", "M141", "M190", "M191"})
_HEIGHT_KEYS: Final = frozenset({"Z", "END_LAYER_OBJECT z"})


@define(eq=False, repr=False)
class Remarks:
    """The settings and commands of a file, from its beginning and its end.

    ``first`` and ``last`` map the keys of comments such as ``; key = value``, ``;KEY:value`` and
    ``;  key,value`` to what was said of them first and last. ``introduction`` are the first comments' texts.
    ``start`` is where the first command is, ``end`` where the last one ends, in bytes from the file's
    beginning. ``temperatures`` are the first ones, not 0, that each command sets, in degrees Celsius.
    ``filament_used`` is what was said of it, extruder by extruder.
    """

    first: dict[str, str] = field(factory=dict, init=False)
    last: dict[str, str] = field(factory=dict, init=False)
    introduction: list[str] = field(factory=list, init=False)
    start: int | None = field(default=None, init=False)
    end: int | None = field(default=None, init=False)
    temperatures: dict[str, float] = field(factory=dict, init=False)
    filament_used: list[str] = field(factory=list, init=False)
    highest_layer: float | None = field(default=None, init=False)
    highest_move: float | None = field(default=None, init=False)
    lowest_move: float | None = field(default=None, init=False)
    has_objects: bool = field(default=False, init=False)
    excludes_objects: bool = field(default=False, init=False)
    _is_relative: bool = field(default=False, init=False)
    _layer_is_next: bool = field(default=False, init=False)
    _in_thumbnail: bool = field(default=False, init=False)

    def read(self, window: bytes, offset: int) -> None:
        """Take what a part of the file says that begins at ``offset`` bytes, with a whole line."""
        self._is_relative = self._in_thumbnail = False
        position = offset
        for line in window.split(b"\n"):
            length = len(line) + 1
            if line.startswith(b";"):
                self._comment(line)
            else:
                self._in_thumbnail = False
                self._no_comment(line, position, min(position + length, offset + len(window)))
            position += length

    def _no_comment(self, line: bytes, position: int, end: int) -> None:
        if _COMMAND.match(line):
            self._command(line, position, end)
        elif line.startswith((b"EXCLUDE_OBJECT", b"DEFINE_OBJECT")):
            self.excludes_objects = True

    def _comment(self, line: bytes) -> None:
        text = line[:LONGEST_COMMENT].decode("utf-8", "replace").lstrip(";").strip()
        if text.startswith("thumbnail"):
            self._in_thumbnail = " begin" in text
        if self._in_thumbnail or not text:
            return
        if len(self.introduction) < LONGEST_INTRODUCTION:
            self.introduction.append(text[:LONGEST_COMMAND])
        if text.startswith(("printing object ", "MESH:", "PRINTING:")):
            self.has_objects = True
        self._layer_is_next = self._read_height(text)
        separator = _SEPARATOR.search(text)
        key, value = (text, "") if separator is None else _split(text, separator)
        self._keep(key, value)

    def _read_height(self, text: str) -> bool:
        """Take the height that follows a layer change; return whether the next comment is one."""
        if self._layer_is_next and _NUMBER.fullmatch(text):
            self._layer(text)
        return text == "BEFORE_LAYER_CHANGE"

    def _keep(self, key: str, value: str) -> None:
        if key == FILAMENT_USED and len(self.filament_used) < MOST_EXTRUDERS:
            self.filament_used.append(value)
        if key in _HEIGHT_KEYS:
            self._layer(value)
        elif key.startswith("layer ") and value.startswith("Z = "):
            self._layer(value.removeprefix("Z = "))
        elif key == "HEIGHT" and self.last.get("LAYER") == "0":
            self.first.setdefault(FIRST_LAYER_HEIGHT, value)
        elif key in self.first or len(self.first) < MOST_SETTINGS:
            self.first.setdefault(key, value)
            self.last[key] = value

    def _layer(self, text: str) -> None:
        height = number(text)
        if height is not None:
            self.highest_layer = max(height, self.highest_layer or 0.0)

    def _command(self, line: bytes, position: int, end: int) -> None:
        if self.start is None:
            self.start = max(position - 1, 0)
        self.end = end
        code = line[:5].split(None, 1)[0].partition(b";")[0].decode("ascii", "replace")
        if code in ("G90", "G91"):
            self._is_relative = code == "G91"
        elif code == "G1" and b"Z" in line:
            self._move(line)
        elif code in _TEMPERATURES:
            self._temperature(code, line)
        elif code == "M486":
            self.has_objects = True

    def _move(self, line: bytes) -> None:
        height = _words(line).get("Z")
        if height is not None and not self._is_relative:
            self.highest_move = height if self.highest_move is None else max(height, self.highest_move)
            self.lowest_move = height if self.lowest_move is None else min(height, self.lowest_move)

    def _temperature(self, code: str, line: bytes) -> None:
        degrees = _words(line).get("S")
        if degrees:
            self.temperatures.setdefault(code, degrees)


def _split(text: str, separator: re.Match[str]) -> tuple[str, str]:
    return text[: separator.start()].rstrip(), text[separator.end() :].strip()


def number(text: str) -> float | None:
    """Return the number that a text begins with, None where it begins with none that makes sense."""
    found = _NUMBER.match(text, 0, 64)
    if found is None:
        return None
    value = float(found[0])
    return value if abs(value) < 1e12 else None


def _words(line: bytes) -> dict[str, float]:
    """Return the parameters of a command that are numbers, by their letters."""
    text = line[:LONGEST_COMMAND].partition(b";")[0].decode("ascii", "replace")
    return {letter: float(value) for letter, value in _WORD.findall(text)}
