"""Serial ports, found in sysfs and named by udev."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.system.peripherals.boards import (
    ARMBIAN,
    PC,
    PI_3,
    PI_5,
    Tree,
    grow,
    platform_port,
    terminal,
    usb,
)
from txraker.system.peripherals.links import links
from txraker.system.peripherals.serial import serial_devices
from txraker.system.peripherals.usb import usb_devices


def test_documented_example(tmp_path: Path) -> None:
    """The machine of the documentation has the documented ports, by name, and no virtual terminals."""
    hardware = {"path_by_hardware": None, "path_by_id": None, "usb_location": None}
    assert msgspec.to_builtins(serial_devices(grow(tmp_path, PI_3))) == [
        {
            "device_type": "usb",
            "device_path": "/dev/ttyACM0",
            "device_name": "ttyACM0",
            "driver_name": "cdc_acm",
            "path_by_hardware": "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0",
            "path_by_id": "/dev/serial/by-id/usb-Klipper_stm32f407xx_2A003-if00",
            "usb_location": "1:4",
        },
        {
            "device_type": "hardware_uart",
            "device_path": "/dev/ttyAMA0",
            "device_name": "ttyAMA0",
            "driver_name": "uart-pl011",
            **hardware,
        },
        {
            "device_type": "hardware_uart",
            "device_path": "/dev/ttyS0",
            "device_name": "ttyS0",
            "driver_name": "bcm2835-aux-uart",
            **hardware,
        },
        {
            "device_type": "usb",
            "device_path": "/dev/ttyUSB0",
            "device_name": "ttyUSB0",
            "driver_name": "ftdi_sio",
            "path_by_hardware": "/dev/serial/by-path/platform-3f980000.usb-usb-0:1.4:1.0-port0",
            "path_by_id": "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
            "usb_location": "1:5",
        },
    ]


@pytest.mark.parametrize(
    ("board", "ports"),
    [
        (PI_5, [("ttyAMA0", "uart-pl011"), ("ttyAMA10", "uart-pl011")]),
        (PC, [("ttyS0", "serial")]),
        (ARMBIAN, [("ttyS2", "dw-apb-uart"), ("ttyS10", "dw-apb-uart")]),
    ],
)
def test_boards(tmp_path: Path, board: Tree, ports: list[tuple[str, str]]) -> None:
    """Ports have the driver of their hardware, are in order, and names without hardware are no ports."""
    found = serial_devices(grow(tmp_path, board))
    assert [(port.device_name, port.driver_name) for port in found] == ports
    assert {port.device_type for port in found} == {"hardware_uart"}


def test_same_location_as_usb(tmp_path: Path) -> None:
    """A port's location is that of a USB device."""
    root = grow(tmp_path, PI_3)
    locations = {port.usb_location for port in serial_devices(root) if port.device_type == "usb"}
    assert locations < {device.usb_location for device in usb_devices(root)}


def test_port_of_unknown_type(tmp_path: Path) -> None:
    """A port that doesn't tell its type is a port; one whose type is 0 is none."""
    untold = platform_port("ttyAMA0", "soc/1.serial", "uart-pl011")
    nothing = platform_port("ttyS0", "serial8250", "serial8250", "0")
    assert [port.device_name for port in serial_devices(grow(tmp_path, untold | nothing))] == ["ttyAMA0"]


def test_terminals_that_are_no_ports(tmp_path: Path) -> None:
    """A Bluetooth terminal on a USB adapter has no driver and is no port."""
    adapter = usb("pci/usb1", "1-3", "1:6", "0a12:0001", "e0:01:01", "", "CSR8510 A10")
    rfcomm = terminal("rfcomm0", "pci/usb1/1-3/1-3:1.0/bluetooth/hci0/hci0:12")
    assert serial_devices(grow(tmp_path, adapter | rfcomm)) == []


def test_no_udev(tmp_path: Path) -> None:
    """In a container without udev ports have no other names."""
    root = grow(tmp_path, {name: content for name, content in PI_3.items() if not name.startswith("dev/")})
    found = serial_devices(root)
    assert len(found) == 4
    assert {(port.path_by_id, port.path_by_hardware) for port in found} == {(None, None)}


def test_no_sysfs(tmp_path: Path) -> None:
    """Without sysfs no ports are known."""
    assert serial_devices(tmp_path) == []


def test_links(tmp_path: Path) -> None:
    """Links are known by what they lead to, the first counts, and what is no link or no text is skipped."""
    root = grow(tmp_path, {"x/b": "->dev/ttyUSB0", "x/a": "->dev/ttyUSB0", "x/file": "", "x/c": "->dev/gone"})
    os.symlink("../dev/ttyUSB1", os.fsencode(root) + b"/x/\xff")
    assert links(root, "x") == {"ttyUSB0": "/x/a", "gone": "/x/c"}
