"""What is printed from: the root of gcode files, and how their names end."""

from __future__ import annotations

GCODES = "gcodes"
"""The root that print jobs are in."""

_SUFFIXES = (".gcode", ".g", ".gco", ".ufp", ".nc")


def is_printable(path: str) -> bool:
    """Say whether a file's name is that of something to print."""
    return path.lower().endswith(_SUFFIXES)
