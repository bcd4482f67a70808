"""A libcamera that can be installed anywhere, with cameras of its own, and programs that are never run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred, succeed

from tests.system.peripherals.boards import grow
from txraker.system.process import Finished

MODULE = '''
"""The documented part of libcamera's bindings."""
import atexit, os, sys

class Named:
    def __init__(self, name): self.name = name
    def __str__(self): return self.name

class Size:
    def __init__(self, width, height): self.width, self.height = width, height

class StreamRole:
    Raw, VideoRecording = Named("Raw"), Named("VideoRecording")

class Configuration:
    def __init__(self, formats): self._formats = {Named(n): [Size(*s) for s in f] for n, f in formats.items()}
    def at(self, index): return self
    formats = property(lambda self: self)
    pixel_formats = property(lambda self: list(self._formats))
    def sizes(self, pixel_format): return self._formats[pixel_format]

class Camera:
    def __init__(self, id, properties, formats):
        self.id, self._formats = id, formats
        self.properties = {Named(name): value for name, value in properties.items()}
    def generate_configuration(self, roles):
        formats = self._formats.get(str(roles[0]), {})
        if formats == "error": raise RuntimeError("not supported")
        return None if formats is None else Configuration(formats)

class CameraManager:
    @staticmethod
    def singleton(): return CameraManager()
    cameras = property(lambda self: CAMERAS)

atexit.register(os.abort)
sys.stdout.write("[0:00:01] INFO Camera: without the end of a line")
'''

SENSOR = (
    "/base/soc/i2c0mux/i2c@1/ov5647@36",
    {"Location": 2, "Model": "ov5647"},
    {"Raw": {"SGBRG10_CSI2P": [(640, 480), (1296, 972)]}, "VideoRecording": {"YUV420": [(32, 32)]}},
)
WEBCAM = (
    "/base/soc/usb@7e980000/usb-port@1/usb-port@1-1.1:1.0-046d:0825",
    {"Model": "UVC Camera (046d:0825)"},
    {"Raw": {}, "VideoRecording": {"MJPEG": [(160, 120), (1280, 960)], "YUYV": [(160, 120)]}},
)
Camera = tuple[str, Mapping[str, object], Mapping[str, object]]
SEEN = [
    {
        "libcamera_id": SENSOR[0],
        "model": "ov5647",
        "modes": [{"format": "SGBRG10_CSI2P", "resolutions": ["640x480", "1296x972"]}],
    },
    {
        "libcamera_id": WEBCAM[0],
        "model": "UVC Camera (046d:0825)",
        "modes": [
            {"format": "MJPEG", "resolutions": ["160x120", "1280x960"]},
            {"format": "YUYV", "resolutions": ["160x120"]},
        ],
    },
]


def install(folder: Path, *cameras: Camera) -> Path:
    """Write a fake module and return the folder it can be imported from."""
    lines = [f"CAMERAS = [{', '.join(f'Camera(*{camera!r})' for camera in cameras)}]"]
    grow(folder, {"libcamera/__init__.py": MODULE + "\n".join(lines) + "\n"})
    return folder


@define
class Programs:
    """Runs programs by saying what became of them."""

    finished: Finished = field(factory=lambda: Finished(0, "noise\n" + json.dumps(SEEN) + "\n", "log"))
    commands: list[tuple[Sequence[str], float]] = field(factory=list)
    running: list[Deferred[Finished]] = field(factory=list)

    def run(self, command: Sequence[str], seconds: float) -> Deferred[Finished]:
        """Run a program in no time."""
        self.commands.append((command, seconds))
        return succeed(self.finished)

    def begin(self, command: Sequence[str], seconds: float) -> Deferred[Finished]:
        """Begin to run a program."""
        self.commands.append((command, seconds))
        self.running.append(Deferred())
        return self.running[-1]
