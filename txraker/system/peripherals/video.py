"""Cameras and other devices that V4L2 can capture from, asked by ioctl what they can do.

Contract: "List Video Capture Devices" of the machine document; numbers and structures are those of
linux/videodev2.h.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from txraker.system.host.files import children, read_text
from txraker.system.peripherals.links import links
from txraker.system.peripherals.usb import usb_location

MOST_ENTRIES = 256
"""Formats of a device, and resolutions of a format, that are asked for: a driver may never say "no more"."""

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
"""``v4l2_capability``: driver, card, bus_info, version, capabilities, device_caps."""

_FORMAT = struct.Struct("=III32sI16x")
"""``v4l2_fmtdesc``: index, type, flags, description, pixelformat."""

_FRAME_SIZE = struct.Struct("=IIIII24x")
"""``v4l2_frmsizeenum``: index, pixel_format, type; width and height if the type is discrete."""


def _request(direction: int, number: int, shape: struct.Struct) -> int:
    return direction << 30 | shape.size << 16 | ord("V") << 8 | number


QUERY_CAPABILITY = _request(2, 0, _CAPABILITY)
ENUMERATE_FORMATS = _request(3, 2, _FORMAT)
ENUMERATE_FRAME_SIZES = _request(3, 74, _FRAME_SIZE)

_CAPTURE, _CAPTURE_PLANES, _HAS_DEVICE_CAPABILITIES = 0x1, 0x1000, 0x80000000
_BUFFER_CAPTURE, _BUFFER_CAPTURE_PLANES = 1, 9
_DISCRETE = 1
_BIG_ENDIAN = 0x80000000

_CAPABILITIES = {
    _CAPTURE: "VIDEO_CAPTURE",
    0x2: "VIDEO_OUTPUT",
    0x4: "VIDEO_OVERLAY",
    0x10: "VBI_CAPTURE",
    0x20: "VBI_OUTPUT",
    0x40: "SLICED_VBI_CAPTURE",
    0x80: "SLICED_VBI_OUTPUT",
    0x100: "RDS_CAPTURE",
    0x200: "VIDEO_OUTPUT_OVERLAY",
    0x400: "HW_FREQ_SEEK",
    0x800: "RDS_OUTPUT",
    _CAPTURE_PLANES: "VIDEO_CAPTURE_MPLANE",
    0x2000: "VIDEO_OUTPUT_MPLANE",
    0x4000: "VIDEO_M2M_MPLANE",
    0x8000: "VIDEO_M2M",
    0x10000: "TUNER",
    0x20000: "AUDIO",
    0x40000: "RADIO",
    0x80000: "MODULATOR",
    0x100000: "SDR_CAPTURE",
    0x200000: "EXT_PIX_FORMAT",
    0x400000: "SDR_OUTPUT",
    0x800000: "META_CAPTURE",
    0x1000000: "READWRITE",
    0x4000000: "STREAMING",
    0x8000000: "META_OUTPUT",
    0x10000000: "TOUCH",
    0x20000000: "IO_MC",
}
_FORMAT_FLAGS = {0x1: "COMPRESSED", 0x2: "EMULATED"}


class V4l2Mode(msgspec.Struct, frozen=True):
    """A pixel format and the resolutions in which it is there, as ``<width>x<height>``."""

    format: str
    description: str
    flags: list[str]
    resolutions: list[str]


class _Answers(msgspec.Struct, frozen=True):
    """What a driver says of a device. ``modes`` are those that have discrete resolutions."""

    camera_name: str
    driver_name: str
    hardware_bus: str
    capabilities: list[str]
    version: str
    modes: list[V4l2Mode]


class V4l2Device(_Answers, frozen=True):
    """A device that can capture, with its other names: these are null where it has none."""

    device_name: str
    device_path: str
    alt_name: str | None
    path_by_hardware: str | None
    path_by_id: str | None
    usb_location: str | None


class Ioctl(Protocol):
    """Asks an open device."""

    def __call__(self, request: int, argument: bytearray, /) -> object:
        """Let the driver fill in the argument; raises OSError when it refuses."""


OpenNode = Callable[[Path], AbstractContextManager[Ioctl]]
"""Opens a device node for as long as it is asked; raises OSError."""


@contextmanager
def open_node(path: Path) -> Iterator[Ioctl]:
    """Open a device node of the kernel's."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield partial(fcntl.ioctl, descriptor)
    finally:
        os.close(descriptor)


def v4l2_devices(root: Path, opening: OpenNode) -> list[V4l2Device]:
    """Return what can capture on the machine whose file system is at ``root``, by number.

    What can't be opened or doesn't answer is left out.
    """
    by_hardware, by_id = links(root, "dev/v4l/by-path"), links(root, "dev/v4l/by-id")
    devices = []
    for name in _nodes(root):
        answers = _ask(root / "dev" / name, opening)
        if answers is not None:
            device = V4l2Device(
                device_name=name,
                device_path=f"/dev/{name}",
                alt_name=read_text(root / "sys/class/video4linux" / name / "name") or None,
                path_by_hardware=by_hardware.get(name),
                path_by_id=by_id.get(name),
                usb_location=usb_location(root / "sys/class/video4linux" / name / "device"),
                **msgspec.structs.asdict(answers),
            )
            devices.append(device)
    return devices


def _nodes(root: Path) -> list[str]:
    """Return the names of all nodes; a container may have some without showing them in sysfs."""
    nodes = [*children(root / "sys/class/video4linux"), *children(root / "dev", "video")]
    names = {node.name for node in nodes if re.fullmatch("video[0-9]+", node.name)}
    return sorted(names, key=lambda name: (len(name), name))


def _ask(node: Path, opening: OpenNode) -> _Answers | None:
    """Return what a driver says of a node, or None if that can't be asked or can't capture."""
    answer = bytearray(_CAPABILITY.size)
    try:
        with opening(node) as ioctl:
            ioctl(QUERY_CAPABILITY, answer)
            driver, card, bus, version, capabilities, of_node = _CAPABILITY.unpack(answer)
            if capabilities & _HAS_DEVICE_CAPABILITIES:
                capabilities = of_node
            if not capabilities & (_CAPTURE | _CAPTURE_PLANES):
                return None
            modes = _modes(ioctl, capabilities)
    except OSError:
        return None
    return _Answers(
        camera_name=_text(card),
        driver_name=_text(driver),
        hardware_bus=_text(bus),
        capabilities=_flags(capabilities, _CAPABILITIES),
        version=".".join(str(version >> bits & 0xFF) for bits in (16, 8, 0)),
        modes=modes,
    )


def _modes(ioctl: Ioctl, capabilities: int) -> list[V4l2Mode]:
    buffers = _BUFFER_CAPTURE if capabilities & _CAPTURE else _BUFFER_CAPTURE_PLANES
    modes = []
    for _, _, flags, description, code in _entries(ioctl, ENUMERATE_FORMATS, _FORMAT, buffers):
        sizes = _entries(ioctl, ENUMERATE_FRAME_SIZES, _FRAME_SIZE, code)
        resolutions = [f"{width}x{height}" for _, _, kind, width, height in sizes if kind == _DISCRETE]
        if resolutions:
            mode = V4l2Mode(
                format=_four_characters(code),
                description=_text(description),
                flags=_flags(flags, _FORMAT_FLAGS),
                resolutions=list(dict.fromkeys(resolutions)),
            )
            modes.append(mode)
    return modes


def _entries(ioctl: Ioctl, request: int, shape: struct.Struct, of: int) -> Iterator[tuple[Any, ...]]:
    """Yield what a driver enumerates, until it refuses; the two first numbers say which entry of what."""
    for index in range(MOST_ENTRIES):
        argument = bytearray(shape.size)
        struct.pack_into("=II", argument, 0, index, of)
        try:
            ioctl(request, argument)
        except OSError:
            return
        yield shape.unpack(argument)


def _flags(bits: int, names: dict[int, str]) -> list[str]:
    return [name for bit, name in names.items() if bits & bit]


def _four_characters(code: int) -> str:
    """Return the name of a pixel format; the kernel's own way to print one is followed."""
    name = (code & ~_BIG_ENDIAN).to_bytes(4, "little").decode("ascii", "replace")
    return f"{name}-BE" if code & _BIG_ENDIAN else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace").strip()
