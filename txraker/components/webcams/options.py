"""The settings of a camera, and the ``[webcam ...]`` sections.

Contract: "[webcam]" of Moonraker's configuration document.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txraker.components.webcams.rules import ROTATIONS, is_aspect_ratio, is_url
from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.schema import Option
from txraker.server_warnings import ServerWarnings


def _rotation(text: str) -> str:
    if text.strip() not in map(str, ROTATIONS):
        raise ValueError("must be one of 0, 90, 180, 270")
    return text


def _aspect_ratio(text: str) -> str:
    if not is_aspect_ratio(text.strip()):
        raise ValueError("must be a ratio such as 4:3")
    return text.strip()


def _url(text: str) -> str:
    if not is_url(text.strip()):
        raise ValueError("must be a URL, or a path on this machine")
    return text.strip()


class WebcamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[webcam my_camera]`: how a camera is to be shown; the defaults hold for every camera.

    URLs are complete or paths on this machine, at port 80. `rotation` is in degrees, clockwise.
    """

    location: str = "printer"
    icon: str = "mdiWebcam"
    enabled: bool = True
    service: str = "mjpegstreamer"
    target_fps: int = 15
    target_fps_idle: int = 5
    stream_url: Annotated[str, Option(clean=_url)]
    snapshot_url: Annotated[str, Option(clean=_url)] = ""
    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotation: Annotated[int, Option(clean=_rotation)] = 0
    aspect_ratio: Annotated[str, Option(clean=_aspect_ratio)] = "4:3"


def configured_webcams(configuration: Configuration, warnings: ServerWarnings) -> dict[str, WebcamOptions]:
    """Return the cameras of the configuration by name; one that can't be read is a warning."""
    found = {}
    for section in configuration.named("webcam"):
        name = section.split(maxsplit=1)[1]
        try:
            found[name] = configuration.read(section, WebcamOptions)
        except ConfigError as error:
            warnings.put(f"webcam {name}", f"The webcam '{name}' is left out: {error}")
    return found
