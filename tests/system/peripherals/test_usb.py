"""USB devices, found in sysfs and named by ``usb.ids``."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.system.peripherals.boards import PI_3, USB_IDS, grow, usb
from txraker.system.peripherals.usb import UsbDevice, usb_devices, usb_location

PLACE = "usr/share/misc/usb.ids"


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """Make a Raspberry Pi that has the file."""
    return grow(tmp_path, {**PI_3, PLACE: USB_IDS})


def only(root: Path) -> UsbDevice:
    """Return the only device of a machine."""
    (device,) = usb_devices(root)
    return device


def test_documented_example(pi: Path) -> None:
    """The machine of the documentation has the documented devices, in order, and no interfaces."""
    assert [(device.usb_location, device.class_, device.description) for device in usb_devices(pi)] == [
        ("1:1", "Hub", "Linux Foundation 2.0 root hub"),
        ("1:2", "Hub", "Terminus Technology Inc. Hub"),
        ("1:3", "Miscellaneous Device", "Logitech, Inc. Webcam C270"),
        ("1:4", "Communications", "OpenMoko, Inc. Klipper 3d-Printer Firmware"),
        ("1:5", None, "Future Technology Devices International, Ltd FT232 Serial (UART) IC"),
    ]


def test_on_the_wire(pi: Path) -> None:
    """A device has the documented fields; texts that it doesn't have itself come from the file."""
    assert msgspec.to_builtins(usb_devices(pi)[2]) == {
        "device_num": 3,
        "bus_num": 1,
        "vendor_id": "046d",
        "product_id": "0825",
        "usb_location": "1:3",
        "manufacturer": "Logitech, Inc.",
        "product": "Webcam C270",
        "serial": "66EF0390",
        "class": "Miscellaneous Device",
        "subclass": None,
        "protocol": "Interface Association",
        "description": "Logitech, Inc. Webcam C270",
    }


def test_own_texts_first(pi: Path) -> None:
    """What a device says of itself is preferred to the file."""
    hub = usb_devices(pi)[1]
    assert (hub.manufacturer, hub.product, hub.serial) == ("Terminus Technology Inc.", "USB 2.0 Hub", None)


def test_without_the_file(tmp_path: Path) -> None:
    """Without the file only what devices say of themselves is known."""
    hub, webcam, board = usb_devices(grow(tmp_path, PI_3))[1:4]
    assert (hub.manufacturer, hub.product) == (None, "USB 2.0 Hub")
    assert msgspec.structs.asdict(webcam) == {
        "device_num": 3,
        "bus_num": 1,
        "vendor_id": "046d",
        "product_id": "0825",
        "usb_location": "1:3",
        "manufacturer": None,
        "product": None,
        "serial": "66EF0390",
        "class_": None,
        "subclass": None,
        "protocol": None,
        "description": None,
    }
    assert (board.manufacturer, board.product, board.description) == ("Klipper", "stm32f407xx", None)


@pytest.mark.parametrize(
    "place", ["usr/share/misc/usb.ids", "usr/share/hwdata/usb.ids", "var/lib/usbutils/usb.ids"]
)
def test_places(tmp_path: Path, place: str) -> None:
    """The file is found where Debian, Fedora or Arch have it, past one that can't be read."""
    tree = usb("pci0000:00/usb2", "2-1", "2:7", "2e8a:0003", "00:00:00")
    root = grow(tmp_path, {**tree, place: USB_IDS})
    if place != PLACE:
        (root / PLACE).mkdir(parents=True)
    assert only(root).description == "Raspberry Pi"


@pytest.mark.parametrize(
    ("ids", "description"),
    [
        ("2e8a:000a", "Raspberry Pi"),
        ("dead:0002", None),
        ("0403:0825", "Future Technology Devices International, Ltd"),
    ],
)
def test_partly_known(tmp_path: Path, ids: str, description: str | None) -> None:
    """A product that isn't known has the vendor's description, an unknown vendor has none."""
    root = grow(tmp_path, {**usb("usb2", "2-1", "2:7", ids, "00:00:00"), PLACE: USB_IDS})
    assert only(root).description == description
    assert only(root).product is None


def test_firmware_that_is_not_listed(tmp_path: Path) -> None:
    """Klipper and Katapult are named although the file doesn't know them; a file that does comes first."""
    klipper = usb("usb2", "2-1", "2:7", "1d50:614e", "02:00:00")
    katapult = usb("usb2", "2-2", "2:8", "1d50:6177", "02:00:00")
    text = USB_IDS.replace("\t606f", "\t614e  Klipper\n\t606f")
    root = grow(tmp_path, {**klipper, **katapult, PLACE: text})
    assert [(device.product, device.description) for device in usb_devices(root)] == [
        ("Klipper", "OpenMoko, Inc. Klipper"),
        ("Katapult Bootloader (CDC_ACM)", "OpenMoko, Inc. Katapult Bootloader (CDC_ACM)"),
    ]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("02:02:01", ("Communications", "Abstract (modem)", "AT-commands (v.25ter)")),
        ("09:00:00", ("Hub", None, "Full speed (or root) hub")),
        ("09:00:03", ("Hub", None, None)),
        ("09:01:01", ("Hub", None, None)),
        ("00:00:00", (None, None, None)),
        ("ff:ff:ff", (None, None, None)),
    ],
)
def test_classes(tmp_path: Path, kind: str, names: tuple[str | None, ...]) -> None:
    """Class, subclass and protocol are named as far as they are known; "Unused" and the like are no names."""
    root = grow(tmp_path, {**usb("usb2", "2-1", "2:7", "2e8a:0003", kind), PLACE: USB_IDS})
    device = only(root)
    assert (device.class_, device.subclass, device.protocol) == names


def test_order(tmp_path: Path) -> None:
    """Devices are in the order of their numbers, not of their digits."""
    tree = usb("usb10", "10-1", "10:2", "2e8a:0003", "00:00:00")
    for number in (11, 9):
        tree |= usb("usb2", f"2-{number}", f"2:{number}", "2e8a:0003", "00:00:00")
    locations = [device.usb_location for device in usb_devices(grow(tmp_path, tree))]
    assert locations == ["2:9", "2:11", "10:2"]


@pytest.mark.parametrize("missing", ["busnum", "devnum", "idVendor", "idProduct"])
def test_vanishing(pi: Path, missing: str) -> None:
    """A device that goes while it is read is left out, and the others are there."""
    (pi / "sys/bus/usb/devices/1-1.4" / missing).unlink()
    assert [device.device_num for device in usb_devices(pi)] == [1, 2, 3, 4]


@pytest.mark.parametrize("number", ["", "x", "-1", "²", "1\n2", "9" * 5000])
def test_odd_number(pi: Path, number: str) -> None:
    """A device whose number is none is left out."""
    (pi / "sys/bus/usb/devices/1-1.4/devnum").write_text(number)
    assert len(usb_devices(pi)) == 4


def test_odd_texts(tmp_path: Path) -> None:
    """Texts may be anything: blank ones are none, and bytes that are no text are replaced."""
    root = grow(tmp_path, usb("usb2", "2-1", "2:7", "fffe:0003", "00:00:00", "  Odd  ", " ", "x"))
    (root / "sys/bus/usb/devices/2-1/serial").write_bytes(b"\xff\x001\n")
    device = only(root)
    assert (device.manufacturer, device.product, device.serial) == ("Odd", None, "\ufffd\x001")
    assert msgspec.json.encode(device)


def test_missing_class_files(pi: Path) -> None:
    """A device whose class can't be read has none."""
    for name in ("bDeviceClass", "bDeviceSubClass"):
        (pi / "sys/bus/usb/devices/1-1" / name).unlink()
    hub = usb_devices(pi)[1]
    assert (hub.class_, hub.subclass, hub.protocol) == (None, None, None)


def test_damaged_file(tmp_path: Path) -> None:
    """Lines that are cut short, or no text, cost what they say and nothing else; the first of two counts."""
    lines = [
        b"046d  Logitech, Inc.",
        b"\t0003  not ours",
        b"2e8a",
        b"# nobody knows",
        b"",
        b"\t0003  RP2 Boot\xff",
        b"\t\t\t0003  too far right",
        b"\t0003  again",
        b"\t00",
        b"046d",
    ]
    tree = usb("usb2", "2-1", "2:7", "2e8a:0003", "00:00:00") | {PLACE: b"\r\n".join(lines)}
    device = only(grow(tmp_path, tree))
    assert (device.manufacturer, device.product) == (None, "RP2 Boot\ufffd")
    assert device.description == "RP2 Boot\ufffd"


def test_no_usb(tmp_path: Path) -> None:
    """A machine without USB, or a container that doesn't show it, has no devices."""
    assert usb_devices(tmp_path) == []
    grow(tmp_path, {"sys/bus/usb/devices": "no folder"})
    assert usb_devices(tmp_path) == []


@pytest.mark.parametrize(
    ("device", "location"),
    [
        ("sys/class/tty/ttyACM0/device", "1:4"),
        ("sys/class/tty/ttyUSB0/device", "1:5"),
        ("sys/bus/usb/devices/1-1.1", "1:3"),
        ("sys/class/tty/ttyAMA0/device", None),
        ("sys/class/tty/nothing", None),
    ],
)
def test_location(pi: Path, device: str, location: str | None) -> None:
    """What is part of a USB device has its location, anything else has none."""
    assert usb_location(pi / device) == location


def test_location_in_a_loop(tmp_path: Path) -> None:
    """A link that leads to itself leads to no device."""
    (tmp_path / "device").symlink_to("device")
    assert usb_location(tmp_path / "device") is None
