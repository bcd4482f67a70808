"""Serial ports as sysfs shows them, with the names that udev gives them.

Contract: "List Serial Devices" of the machine document.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from txraker.system.host.files import children, read_text
from txraker.system.peripherals.links import links, target
from txraker.system.peripherals.usb import usb_location

_UNKNOWN_PORT = "0"
"""``PORT_UNKNOWN`` of linux/serial_core.h: the kernel keeps a name for hardware that isn't there."""

_LAYERS = "serial-base"
"""The bus of the devices that Linux 6.5 and later put between a port and its hardware."""


class SerialDevice(msgspec.Struct, frozen=True):
    """A serial port. Its other names, and its place on the USB, are null where it has none."""

    device_type: Literal["usb", "hardware_uart"]
    device_path: str
    device_name: str
    driver_name: str
    path_by_hardware: str | None
    path_by_id: str | None
    usb_location: str | None


def serial_devices(root: Path) -> list[SerialDevice]:
    """Return the serial ports of the machine whose file system is at ``root``, by name and number.

    Terminals without hardware are no ports: they have no device, no driver or no type.
    """
    by_hardware, by_id = links(root, "dev/serial/by-path"), links(root, "dev/serial/by-id")
    found = []
    for terminal in children(root / "sys/class/tty"):
        name, driver = terminal.name, _driver(terminal / "device")
        if driver is None or read_text(terminal / "type") == _UNKNOWN_PORT:
            continue
        location = usb_location(terminal / "device")
        found.append(
            SerialDevice(
                device_type="hardware_uart" if location is None else "usb",
                device_path=f"/dev/{name}",
                device_name=name,
                driver_name=driver,
                path_by_hardware=by_hardware.get(name),
                path_by_id=by_id.get(name),
                usb_location=location,
            )
        )
    return sorted(found, key=lambda device: (device.device_name.rstrip("0123456789"), _in_order(device)))


def _in_order(device: SerialDevice) -> tuple[int, str]:
    return len(device.device_name), device.device_name


def _driver(device: Path) -> str | None:
    """Return the name of the driver of a port's hardware, or None if there is none."""
    hardware = Path(os.path.realpath(device))
    while target(hardware / "subsystem") == _LAYERS:
        hardware = hardware.parent
    return target(hardware / "driver")
