"""Drivers and nodes of V4L2 in memory, made of the structures of linux/videodev2.h."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from attrs import define, field

from txraker.system.peripherals.video import Ioctl


class Capability(ctypes.Structure):
    """``struct v4l2_capability``."""

    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", ctypes.c_uint32),
        ("capabilities", ctypes.c_uint32),
        ("device_caps", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 3),
    )


class Format(ctypes.Structure):
    """``struct v4l2_fmtdesc``."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", ctypes.c_uint32),
        ("mbus_code", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 3),
    )


class FrameSize(ctypes.Structure):
    """``struct v4l2_frmsizeenum``, whose union holds a discrete size."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("pixel_format", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("rest_of_stepwise", ctypes.c_uint32 * 4),
        ("reserved", ctypes.c_uint32 * 2),
    )


VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMESIZES = 0x80685600, 0xC0405602, 0xC02C564A
CAPTURE, OUTPUT, MPLANE, META = 0x1, 0x2, 0x1000, 0x800000
USUAL = 0x200000 | 0x4000000
DEVICE_CAPS = 0x80000000
DISCRETE, STEPWISE = 1, 3


@define
class Pixels:
    """A format of a fake driver."""

    code: bytes
    description: bytes = b""
    sizes: list[tuple[int, int]] = field(factory=list)
    flags: int = 0
    kind: int = DISCRETE


@define
class Driver:
    """A fake driver of one node."""

    caps: int = CAPTURE | USUAL
    formats: list[Pixels] = field(factory=list)
    buffer_type: int = 1
    name: bytes = b"uvcvideo"
    card: bytes = b"UVC Camera (046d:0825)"
    bus: bytes = b"usb-3f980000.usb-1.1"
    version: int = 0x06013F
    of_all_nodes: int = CAPTURE | META | USUAL | DEVICE_CAPS
    endless: bool = False
    asked: int = 0

    def __call__(self, request: int, argument: bytearray, /) -> Literal[0]:
        """Answer as a driver does."""
        self.asked += 1
        if request == VIDIOC_QUERYCAP:
            self.tell_capability(Capability.from_buffer(argument))
        elif request == VIDIOC_ENUM_FMT:
            self.tell_format(Format.from_buffer(argument))
        elif request == VIDIOC_ENUM_FRAMESIZES:
            self.tell_size(FrameSize.from_buffer(argument))
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0

    def tell_capability(self, answer: Capability) -> None:
        """Say what the device is."""
        answer.driver, answer.card, answer.bus_info = self.name, self.card, self.bus
        answer.version, answer.capabilities, answer.device_caps = self.version, self.of_all_nodes, self.caps

    def tell_format(self, answer: Format) -> None:
        """Say which format has an index."""
        if answer.type != self.buffer_type:
            raise OSError(errno.EINVAL, "Invalid argument")
        pixels = self.formats[self.within(answer.index, len(self.formats))]
        answer.flags, answer.description = pixels.flags, pixels.description
        answer.pixelformat = int.from_bytes(pixels.code, "little")

    def tell_size(self, answer: FrameSize) -> None:
        """Say which resolution of a format has an index."""
        code = answer.pixel_format.to_bytes(4, "little")
        pixels = next(pixels for pixels in self.formats if pixels.code == code)
        answer.width, answer.height = pixels.sizes[self.within(answer.index, len(pixels.sizes))]
        answer.type = pixels.kind

    def within(self, index: int, count: int) -> int:
        """Return an index that exists, or refuse."""
        if index >= count and not self.endless:
            raise OSError(errno.EINVAL, "Invalid argument")
        return index % count


@define
class Nodes:
    """Nodes by name, for opening; some fail."""

    root: Path
    drivers: Mapping[str, Driver | OSError]
    open: list[Path] = field(factory=list)

    @contextmanager
    def __call__(self, path: Path) -> Iterator[Ioctl]:
        """Open one."""
        assert path.parent == self.root / "dev"
        driver = self.drivers.get(path.name, FileNotFoundError(errno.ENOENT, "No such file or directory"))
        if isinstance(driver, OSError):
            raise driver
        self.open.append(path)
        try:
            yield driver
        finally:
            self.open.remove(path)


SIZES = [(640, 480), (160, 120), (1280, 960)]
