"""How a camera is kept in the database: in the form that front-ends know from Moonraker's.

Contract: what Moonraker 0.11.0 writes into the namespace ``webcams``, and reads from it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from txraker.components.webcams.options import WebcamOptions
from txraker.components.webcams.rules import is_aspect_ratio, is_rotation, is_url
from txraker.events import Webcam

_NAMES: Final = {
    "service": "service",
    "target_fps": "targetFps",
    "stream_url": "urlStream",
    "snapshot_url": "urlSnapshot",
    "flip_horizontal": "flipX",
    "flip_vertical": "flipY",
    "enabled": "enabled",
    "target_fps_idle": "targetFpsIdle",
    "aspect_ratio": "aspectRatio",
    "icon": "icon",
    "location": "location",
    "rotation": "rotation",
}
"""The names of settings: on the wire to those in the database."""

_DEFAULTS: Final = msgspec.structs.asdict(WebcamOptions(stream_url=""))


def to_stored(webcam: Webcam) -> dict[str, Any]:
    """Return what is kept of a camera; its uid is the key."""
    settings = {stored: getattr(webcam, name) for name, stored in _NAMES.items()}
    return {"name": webcam.name, **settings, "extra_data": webcam.extra_data}


def from_stored(uid: str, value: object) -> Webcam | None:
    """Return the camera that is kept under a uid, None for what isn't one.

    What is missing or makes no sense is as by default: others write there, too.
    """
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    settings = {name: _setting(value, stored, _DEFAULTS[name]) for name, stored in _NAMES.items()}
    if "rotation" not in value:
        settings["rotation"] = _setting(value, "rotate", 0)  # as older front-ends wrote it
    if not is_rotation(settings["rotation"]):
        settings["rotation"] = 0
    if not is_aspect_ratio(settings["aspect_ratio"]):
        settings["aspect_ratio"] = _DEFAULTS["aspect_ratio"]
    for name in ("stream_url", "snapshot_url"):
        if not is_url(settings[name]):
            settings[name] = ""
    extra = value.get("extra_data")
    extra_data = extra if isinstance(extra, dict) else {}
    return Webcam(name=value["name"], source="database", uid=uid, extra_data=extra_data, **settings)


def _setting(value: dict[str, Any], stored: str, default: Any) -> Any:
    try:
        return msgspec.convert(value.get(stored, default), type(default), strict=False)
    except msgspec.ValidationError:
        return default
