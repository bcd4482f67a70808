"""What V4L2 can capture from."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from tests.system.peripherals.boards import PI_3, camera, grow
from tests.system.peripherals.v4l2 import (
    CAPTURE,
    META,
    MPLANE,
    OUTPUT,
    SIZES,
    STEPWISE,
    USUAL,
    VIDIOC_QUERYCAP,
    Capability,
    Driver,
    Nodes,
    Pixels,
)
from txraker.system.peripherals.video import MOST_ENTRIES, V4l2Device, open_node, v4l2_devices


def devices(root: Path, **drivers: Driver | OSError) -> list[V4l2Device]:
    """Return the devices of a machine whose nodes have these drivers; every node is closed again."""
    nodes = Nodes(root, drivers)
    found = v4l2_devices(root, nodes)
    assert nodes.open == []
    return found


def only(root: Path, driver: Driver) -> V4l2Device:
    """Return the only device of a machine, whose node has this driver."""
    grow(root, camera("video0", "platform/x", "a camera"))
    (device,) = devices(root, video0=driver)
    return device


def test_documented_example(tmp_path: Path) -> None:
    """The machine of the documentation has the documented devices."""
    unicam = Driver(
        caps=CAPTURE | 0x200000 | 0x1000000 | 0x4000000 | 0x20000000,
        name=b"unicam",
        card=b"unicam",
        bus=b"platform:3f801000.csi",
        formats=[Pixels(b"pRAA", b"10-bit Bayer", [(16, 16)], kind=STEPWISE)],
    )
    webcam = Driver(
        formats=[Pixels(b"YUYV", b"YUYV 4:2:2", SIZES), Pixels(b"MJPG", b"Motion-JPEG", SIZES, flags=1)]
    )
    resolutions = ["640x480", "160x120", "1280x960"]
    assert msgspec.to_builtins(devices(grow(tmp_path, PI_3), video0=unicam, video1=webcam)) == [
        {
            "device_name": "video0",
            "device_path": "/dev/video0",
            "camera_name": "unicam",
            "driver_name": "unicam",
            "alt_name": "unicam-image",
            "hardware_bus": "platform:3f801000.csi",
            "capabilities": ["VIDEO_CAPTURE", "EXT_PIX_FORMAT", "READWRITE", "STREAMING", "IO_MC"],
            "version": "6.1.63",
            "path_by_hardware": "/dev/v4l/by-path/platform-3f801000.csi-video-index0",
            "path_by_id": None,
            "usb_location": None,
            "modes": [],
        },
        {
            "device_name": "video1",
            "device_path": "/dev/video1",
            "camera_name": "UVC Camera (046d:0825)",
            "driver_name": "uvcvideo",
            "alt_name": "UVC Camera (046d:0825)",
            "hardware_bus": "usb-3f980000.usb-1.1",
            "capabilities": ["VIDEO_CAPTURE", "EXT_PIX_FORMAT", "STREAMING"],
            "version": "6.1.63",
            "path_by_hardware": "/dev/v4l/by-path/platform-3f980000.usb-usb-0:1.1:1.0-video-index0",
            "path_by_id": "/dev/v4l/by-id/usb-046d_0825_66EF0390-video-index0",
            "usb_location": "1:3",
            "modes": [
                {"format": "YUYV", "description": "YUYV 4:2:2", "flags": [], "resolutions": resolutions},
                {
                    "format": "MJPG",
                    "description": "Motion-JPEG",
                    "flags": ["COMPRESSED"],
                    "resolutions": resolutions,
                },
            ],
        },
    ]


@pytest.mark.parametrize("caps", [OUTPUT | USUAL, META | USUAL, 0x4000 | USUAL, 0])
def test_nodes_that_cannot_capture(tmp_path: Path, caps: int) -> None:
    """Outputs, metadata and codecs are no capture devices, although another node of the device may be one."""
    grow(tmp_path, camera("video0", "platform/x", "x"))
    assert devices(tmp_path, video0=Driver(caps=caps)) == []


def test_old_driver(tmp_path: Path) -> None:
    """A driver that says nothing of the node in particular means all it says for the node."""
    device = only(tmp_path, Driver(caps=0, of_all_nodes=CAPTURE | 0x1000000))
    assert device.capabilities == ["VIDEO_CAPTURE", "READWRITE"]


def test_planes(tmp_path: Path) -> None:
    """A device that captures in planes is asked for such formats."""
    driver = Driver(caps=MPLANE | USUAL, buffer_type=9, formats=[Pixels(b"NM12", b"Y/UV 4:2:0", SIZES)])
    device = only(tmp_path, driver)
    assert device.capabilities == ["VIDEO_CAPTURE_MPLANE", "EXT_PIX_FORMAT", "STREAMING"]
    assert [mode.format for mode in device.modes] == ["NM12"]


@pytest.mark.parametrize(
    ("code", "name"),
    [(b"GREY", "GREY"), (b"Y16 ", "Y16 "), (b"Y16\xa0", "Y16 -BE"), (b"RG\x81\x01", "RG\ufffd\x01")],
)
def test_four_characters(tmp_path: Path, code: bytes, name: str) -> None:
    """A format is called by its four characters, with a mark for big-endian variants."""
    (mode,) = only(tmp_path, Driver(formats=[Pixels(code, sizes=SIZES)])).modes
    assert mode.format == name


@pytest.mark.parametrize(("bits", "names"), [(2, ["EMULATED"]), (3, ["COMPRESSED", "EMULATED"]), (0x104, [])])
def test_format_flags(tmp_path: Path, bits: int, names: list[str]) -> None:
    """Of a format's flags the documented ones are told."""
    (mode,) = only(tmp_path, Driver(formats=[Pixels(b"YUYV", sizes=SIZES, flags=bits)])).modes
    assert mode.flags == names


def test_same_resolution_twice(tmp_path: Path) -> None:
    """A resolution that a driver tells twice is told once, in the place of the first."""
    sizes = [(1280, 720), (640, 480), (1280, 720)]
    (mode,) = only(tmp_path, Driver(formats=[Pixels(b"YUYV", sizes=sizes)])).modes
    assert mode.resolutions == ["1280x720", "640x480"]


def test_endless_driver(tmp_path: Path) -> None:
    """A driver that never says that there is no more is left after a while."""
    driver = Driver(formats=[Pixels(b"YUYV", sizes=[(640, 480)])], endless=True)
    modes = only(tmp_path, driver).modes
    assert len(modes) == MOST_ENTRIES
    assert driver.asked == 1 + MOST_ENTRIES + MOST_ENTRIES**2


@pytest.mark.parametrize("problem", [errno.EACCES, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.ENOENT])
def test_cannot_be_opened(tmp_path: Path, problem: int) -> None:
    """A node that can't be opened is left out, and the others are there."""
    root = grow(tmp_path, PI_3)
    found = devices(root, video0=OSError(problem, "no"), video1=Driver())
    assert [device.device_name for device in found] == ["video1"]


def test_no_v4l2(tmp_path: Path) -> None:
    """A node that doesn't understand the question is left out, and closed."""

    class Deaf(Driver):
        def __call__(self, request: int, argument: bytearray, /) -> Literal[0]:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    grow(tmp_path, camera("video0", "platform/x", "x"))
    assert devices(tmp_path, video0=Deaf()) == []


def test_nodes_without_sysfs(tmp_path: Path) -> None:
    """In a container that has just the nodes, these are found, in order, and nothing that is called alike."""
    for name in ("video10", "video9", "video", "videos", "video1x", "video²"):
        grow(tmp_path, {f"dev/{name}": ""})
    drivers = {name: Driver() for name in ("video9", "video10", "video", "videos", "video1x", "video²")}
    found = devices(tmp_path, **drivers)
    assert [device.device_name for device in found] == ["video9", "video10"]
    assert (found[0].alt_name, found[0].usb_location, found[0].path_by_hardware) == (None, None, None)


def test_texts_of_drivers(tmp_path: Path) -> None:
    """Texts may fill their fields, be cut in the middle of a character, or be padded."""
    driver = Driver(name=b"x" * 16, card=b"  Kamera f\xc3\xbcr 3D \xc3", bus=b"")
    device = only(tmp_path, driver)
    assert (device.driver_name, device.camera_name) == ("x" * 16, "Kamera für 3D \ufffd")
    assert device.hardware_bus == ""


def test_real_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real file is opened without waiting, asked, and closed again; what is no video device refuses."""
    opened: list[tuple[int, int]] = []
    open_really = os.open

    def noted_open(path: Path, flags: int) -> int:
        opened.append((open_really(path, flags), flags))
        return opened[-1][0]

    grow(tmp_path, {"dev/video0": ""})
    monkeypatch.setattr(os, "open", noted_open)
    with pytest.raises(OSError, match="Inappropriate ioctl"), open_node(tmp_path / "dev/video0") as ioctl:
        ioctl(VIDIOC_QUERYCAP, bytearray(ctypes.sizeof(Capability)))
    ((descriptor, flags),) = opened
    assert flags == os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert v4l2_devices(tmp_path, open_node) == []
