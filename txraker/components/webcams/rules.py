"""What the settings of a camera may be."""

from __future__ import annotations

import re

ROTATIONS = (0, 90, 180, 270)
"""Degrees, clockwise."""

_RATIO = re.compile(r"[0-9]{1,5}:[0-9]{1,5}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCRIPT = re.compile(r"\s*(javascript|vbscript|data):", re.IGNORECASE)


def is_rotation(degrees: int) -> bool:
    """Say whether a picture can be turned by so much."""
    return degrees in ROTATIONS


def is_aspect_ratio(text: str) -> bool:
    """Say whether a text is a ratio such as ``4:3``."""
    return _RATIO.fullmatch(text) is not None


def is_url(text: str) -> bool:
    """Say whether a text may be the URL of a camera, which may be a path, or nothing at all.

    Front-ends put it into their pages, so it is nothing that a browser would run.
    """
    return not (_CONTROL.search(text) or _SCRIPT.match(text))
