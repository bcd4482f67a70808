"""Cameras that libcamera knows, asked in a process of their own.

The distribution's ``python3-libcamera`` can be imported by the distribution's Python only, and it is large:
it is loaded for the time of an answer, and nothing is started where it isn't installed.

Contract: "List Video Capture Devices" of the machine document; libcamera's interface is that of its
documented Python bindings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from attrs import define, field
from twisted.internet.defer import DeferredLock

from txraker.reactor import OffThread
from txraker.system.process import RunProgram

SYSTEM_PYTHON = ("/usr/bin/python3", "-I")
"""The distribution's Python, deaf to the environment of ours."""

PATIENCE = 10.0
"""Seconds that libcamera may take."""

MODULE_PLACES = (
    "usr/lib/python3*/*-packages/libcamera",
    "usr/lib64/python3*/*-packages/libcamera",
    "usr/local/lib/python3*/*-packages/libcamera",
)
"""Where the module may be, below the root."""

# The modes of a sensor are its raw formats; a camera that has none of these (USB) is asked for video. The
# exit is abrupt so that a crash of libcamera's while it is unloaded doesn't spoil the answer.
SCRIPT = """
import json, os, libcamera

def sizes(formats, pixel_format):
    return [f"{size.width}x{size.height}" for size in formats.sizes(pixel_format)]

def modes(camera):
    for role in (libcamera.StreamRole.Raw, libcamera.StreamRole.VideoRecording):
        try:
            formats = camera.generate_configuration([role]).at(0).formats
            found = [{"format": str(f), "resolutions": sizes(formats, f)} for f in formats.pixel_formats]
        except Exception:
            continue
        if found:
            return found
    return []

def model(camera):
    for control, value in camera.properties.items():
        if control.name == "Model":
            return str(value)
    return camera.id

manager = libcamera.CameraManager.singleton()
cameras = [{"libcamera_id": c.id, "model": model(c), "modes": modes(c)} for c in manager.cameras]
print("\\n" + json.dumps(cameras), flush=True)
os._exit(0)
"""


class LibcameraMode(msgspec.Struct, frozen=True):
    """A pixel format and the resolutions in which it is there, as ``<width>x<height>``."""

    format: str
    resolutions: list[str]


class LibcameraDevice(msgspec.Struct, frozen=True):
    """A camera that libcamera knows."""

    libcamera_id: str
    model: str
    modes: list[LibcameraMode]


@define(eq=False, repr=False)
class Libcamera:
    """Asks libcamera, one process at a time; ``python`` is the command to which ``-c`` can be added."""

    _root: Path
    _off_thread: OffThread
    _run: RunProgram
    _python: Sequence[str] = SYSTEM_PYTHON
    _turn: DeferredLock = field(factory=DeferredLock, init=False)

    async def devices(self) -> list[LibcameraDevice]:
        """Return the cameras; there are none where libcamera isn't installed, or fails."""
        if not await self._off_thread(self._is_installed):
            return []
        await self._turn.acquire()
        try:
            finished = await self._run([*self._python, "-c", SCRIPT], PATIENCE)
        finally:
            self._turn.release()
        lines = finished.output.split("\n") if finished.status == 0 else []
        try:
            return msgspec.json.decode("".join(lines[-2:]), type=list[LibcameraDevice])
        except msgspec.DecodeError:
            return []

    def _is_installed(self) -> bool:
        return any(any(self._root.glob(place)) for place in MODULE_PLACES)
