"""USB devices as sysfs shows them, with what the ``usb.ids`` file of the distribution calls them.

Contract: "List USB Devices" of the machine document; the format of ``usb.ids`` is explained in that file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

import msgspec

from txraker.system.host.files import children, read_text

USB_IDS = (
    "usr/share/misc/usb.ids",
    "usr/share/hwdata/usb.ids",
    "var/lib/usbutils/usb.ids",
    "usr/share/usb.ids",
    "usr/local/share/usb.ids",
)
"""Where distributions keep the file, below the root."""

_CodePath = tuple[str, ...]
"""Codes of ``usb.ids`` from the margin inwards: vendor, product; or ``C`` and class, subclass, protocol."""

_NOT_LISTED: Mapping[_CodePath, str] = {
    ("1d50", "614e"): "Klipper 3d-Printer Firmware",
    ("1d50", "6177"): "Katapult Bootloader (CDC_ACM)",
}
"""What boards of printers run and ``usb.ids`` doesn't list: from OpenMoko's register of its products."""

_NO_CLASS_NAMES = ("", "?", "Unused")


class UsbDevice(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """A USB device. Texts are null when neither the device nor ``usb.ids`` says them."""

    device_num: int
    bus_num: int
    vendor_id: str
    product_id: str
    usb_location: str
    manufacturer: str | None
    product: str | None
    serial: str | None
    class_: str | None
    subclass: str | None
    protocol: str | None
    description: str | None


def usb_devices(root: Path) -> list[UsbDevice]:
    """Return the USB devices of the machine whose file system is at ``root``, by bus and device number.

    A device that vanishes while it is read is left out.
    """
    found = [facts for folder in children(root / "sys/bus/usb/devices") if (facts := _facts(folder))]
    names = _names(root, {path for facts in found for path in facts.paths()})
    devices = [_described(facts, names) for facts in found]
    return sorted(devices, key=lambda device: (device.bus_num, device.device_num))


def usb_location(device: Path) -> str | None:
    """Return the ``usb_location`` of the USB device that a device of sysfs is part of, or None."""
    folder = Path(os.path.realpath(device))
    for candidate in (folder, *folder.parents):
        bus, number = _number(candidate / "busnum"), _number(candidate / "devnum")
        if bus is not None and number is not None:
            return _location(bus, number)
    return None


class _Facts(msgspec.Struct, frozen=True):
    """What sysfs says of a device; texts that it doesn't say are empty."""

    bus: int
    number: int
    vendor_id: str
    product_id: str
    manufacturer: str
    product: str
    serial: str
    class_codes: tuple[str, ...]

    def paths(self) -> tuple[_CodePath, ...]:
        """Return what to look up in ``usb.ids``: vendor, product, class, subclass, protocol."""
        of_class = (f"C {self.class_codes[0]}", *self.class_codes[1:])
        return (
            (self.vendor_id,),
            (self.vendor_id, self.product_id),
            *(of_class[:depth] for depth in (1, 2, 3)),
        )


def _facts(folder: Path) -> _Facts | None:
    bus, number = _number(folder / "busnum"), _number(folder / "devnum")
    vendor, product = read_text(folder / "idVendor"), read_text(folder / "idProduct")
    if bus is None or number is None or not vendor or not product:
        return None  # an interface of a device, or a device that has just gone
    return _Facts(
        bus=bus,
        number=number,
        vendor_id=vendor,
        product_id=product,
        manufacturer=read_text(folder / "manufacturer"),
        product=read_text(folder / "product"),
        serial=read_text(folder / "serial"),
        class_codes=tuple(read_text(folder / f"bDevice{part}") for part in ("Class", "SubClass", "Protocol")),
    )


def _described(facts: _Facts, names: Mapping[_CodePath, str]) -> UsbDevice:
    vendor, product, *of_class = (names.get(path) for path in facts.paths())
    class_, subclass, protocol = (_class_name(name) for name in of_class)
    return UsbDevice(
        device_num=facts.number,
        bus_num=facts.bus,
        vendor_id=facts.vendor_id,
        product_id=facts.product_id,
        usb_location=_location(facts.bus, facts.number),
        manufacturer=facts.manufacturer or vendor,
        product=facts.product or product,
        serial=facts.serial or None,
        class_=class_,
        subclass=subclass,
        protocol=protocol,
        description=" ".join(name for name in (vendor, product) if name) or None,
    )


def _class_name(name: str | None) -> str | None:
    """Return a name, unless it stands for none: class 00 is "(Defined at Interface level)"."""
    return None if name is None or name in _NO_CLASS_NAMES or name.startswith("(") else name


def _location(bus: int, number: int) -> str:
    return f"{bus}:{number}"


def _number(path: Path) -> int | None:
    text = read_text(path)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _names(root: Path, wanted: Set[_CodePath]) -> dict[_CodePath, str]:
    """Return the names of what is wanted, from the first ``usb.ids`` that can be read."""
    if not wanted:
        return {}
    for place in USB_IDS:
        try:
            with (root / place).open(encoding="utf-8", errors="replace") as file:
                names = _scan(file, wanted)
        except OSError:
            continue
        return {path: name for path, name in _NOT_LISTED.items() if path[:1] in names} | names
    return {}


def _scan(lines: Iterable[str], wanted: Set[_CodePath]) -> dict[_CodePath, str]:
    """Pick names from lines of ``code  name``, in which each tab at the beginning is a step inwards."""
    names: dict[_CodePath, str] = {}
    path: _CodePath = ()
    for line in lines:
        code, _, name = line.strip().partition("  ")
        if not code or code.startswith("#"):
            continue
        path = (*path[: len(line) - len(line.lstrip("\t"))], code)
        if path in wanted and name:
            names.setdefault(path, name.strip())
    return names
