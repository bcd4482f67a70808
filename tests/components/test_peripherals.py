"""``machine.peripherals.*`` as clients see it, on the machine of the documentation."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest
from attrs import define, field

from tests.components.bench import ComponentBench
from tests.system.peripherals.boards import PI_3, USB_IDS, grow
from tests.system.peripherals.cameras import SEEN, Programs, install
from tests.system.peripherals.can import Wires, failure, frame
from tests.system.peripherals.v4l2 import SIZES, Driver, Nodes, Pixels
from txraker.api.endpoint import declared_by
from txraker.components.machine.peripherals import Peripherals
from txraker.errors import BadRequest
from txraker.system.peripherals.canbus import LISTENING_SECONDS
from txraker.system.peripherals.libcamera import Libcamera
from txraker.testing.threads import at_once


@define(eq=False)
class PeripheralsBench(ComponentBench):
    """The component on its bench, below ``root``."""

    root: Path = field(kw_only=True)
    wires: Wires = field(factory=Wires)
    programs: Programs = field(factory=Programs)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        libcamera = Libcamera(self.root, at_once, self.programs.run)
        nodes = Nodes(self.root, {"video1": Driver(formats=[Pixels(b"MJPG", sizes=SIZES)])})
        self.serve(Peripherals(self.root, at_once, libcamera, self.wires.bus, nodes))


@pytest.fixture
def bench(tmp_path: Path) -> PeripheralsBench:
    """Make a Raspberry Pi with much on it."""
    return PeripheralsBench(root=grow(tmp_path, {**PI_3, "usr/share/misc/usb.ids": USB_IDS}))


def test_usb(bench: PeripheralsBench) -> None:
    """USB devices have all documented fields."""
    answer = bench.call("machine.peripherals.usb")
    assert list(answer) == ["usb_devices"]
    assert answer["usb_devices"][0] == {
        "device_num": 1,
        "bus_num": 1,
        "vendor_id": "1d6b",
        "product_id": "0002",
        "usb_location": "1:1",
        "manufacturer": "Linux 6.1.0-rpi7-rpi-v8 dwc_otg_hcd",
        "product": "DWC OTG Controller",
        "serial": "3f980000.usb",
        "class": "Hub",
        "subclass": None,
        "protocol": "Single TT",
        "description": "Linux Foundation 2.0 root hub",
    }


def test_serial(bench: PeripheralsBench) -> None:
    """Serial ports have all documented fields."""
    answer = bench.call("machine.peripherals.serial")
    assert list(answer) == ["serial_devices"]
    assert answer["serial_devices"][0] == {
        "device_type": "usb",
        "device_path": "/dev/ttyACM0",
        "device_name": "ttyACM0",
        "driver_name": "cdc_acm",
        "path_by_hardware": "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0",
        "path_by_id": "/dev/serial/by-id/usb-Klipper_stm32f407xx_2A003-if00",
        "usb_location": "1:4",
    }


def test_video(bench: PeripheralsBench) -> None:
    """Cameras are those of V4L2, and without libcamera there are no others."""
    answer = bench.call("machine.peripherals.video")
    (camera,) = answer.pop("v4l2_devices")
    assert answer == {"libcamera_devices": []}
    assert camera["usb_location"] == "1:3"
    assert camera["modes"][0]["resolutions"] == ["640x480", "160x120", "1280x960"]


def test_video_with_libcamera(bench: PeripheralsBench) -> None:
    """With libcamera its cameras are there, too."""
    install(bench.root / "usr/lib/python3/dist-packages")
    assert bench.call("machine.peripherals.video")["libcamera_devices"] == SEEN


@pytest.mark.parametrize(
    ("arguments", "interface"), [({}, "can0"), ({"interface": "can1"}, "can1"), ({"interface": None}, "can0")]
)
def test_canbus(bench: PeripheralsBench, arguments: dict[str, object], interface: str) -> None:
    """Nodes are asked for on can0 or another interface."""
    asked = bench.begin("machine.peripherals.canbus", **arguments)
    bench.wires.come(frame("20 11aabbccddee 01"), interface=interface)
    bench.wires.reactor.advance(LISTENING_SECONDS)
    answer = msgspec.to_builtins(asked.result())
    assert answer == {"can_uuids": [{"uuid": "11aabbccddee", "application": "Klipper"}]}


@pytest.mark.parametrize("interface", ["", "interface-of-can-0", "../can0", ["can0"], {}])
def test_canbus_without_a_name(bench: PeripheralsBench, interface: object) -> None:
    """What is no name of an interface is refused."""
    with pytest.raises(BadRequest):
        bench.call("machine.peripherals.canbus", interface=interface)
    assert bench.wires.opened == {}


def test_canbus_that_is_down(bench: PeripheralsBench) -> None:
    """An interface that is down is named."""
    bench.wires.cannot_send = failure(errno.ENETDOWN)
    with pytest.raises(BadRequest, match="CAN interface 'can1' is down"):
        bench.call("machine.peripherals.canbus", interface="can1")


def test_bare_machine(tmp_path: Path) -> None:
    """A container that shows nothing has nothing, and says so without an error."""
    bench = PeripheralsBench(root=tmp_path)
    assert bench.call("machine.peripherals.usb") == {"usb_devices": []}
    assert bench.call("machine.peripherals.serial") == {"serial_devices": []}
    assert bench.call("machine.peripherals.video") == {"v4l2_devices": [], "libcamera_devices": []}


def test_declarations() -> None:
    """All four are asked by GET where they are documented; the one that sends something is no mere read."""
    declared = {endpoint.name: endpoint for endpoint in declared_by(Peripherals)}
    assert {name: endpoint.path for name, endpoint in declared.items()} == {
        f"machine.peripherals.{what}": f"/machine/peripherals/{what}"
        for what in ("usb", "serial", "video", "canbus")
    }
    assert [name for name, endpoint in declared.items() if not endpoint.reads_only] == [
        "machine.peripherals.canbus"
    ]
