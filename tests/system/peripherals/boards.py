"""What is plugged into real machines, as their kernels and udev show it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

Tree = Mapping[str, str | bytes]


def grow(root: Path, tree: Tree) -> Path:
    """Write a tree of files and relative links below a root and return the root.

    A content that begins with ``->`` makes a link to another path of the tree.
    """
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("->"):
            path.symlink_to(os.path.relpath(root / content[2:], path.parent))
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def usb(place: str, name: str, numbers: str, ids: str, kind: str, *texts: str) -> dict[str, str | bytes]:
    """Return a USB device: its folder, ``bus:device``, ``vendor:product`` and ``class:subclass:protocol``.

    ``texts`` are its manufacturer, product and serial number; what is empty isn't there.
    """
    bus, device = numbers.split(":")
    codes = zip(("bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"), kind.split(":"), strict=True)
    files = {"busnum": bus, "devnum": device, **dict(codes)}
    files |= dict(zip(("idVendor", "idProduct"), ids.split(":"), strict=True))
    files |= {
        key: text for key, text in zip(("manufacturer", "product", "serial"), texts, strict=False) if text
    }
    folder = f"sys/devices/{place}/{name}"
    tree: dict[str, str | bytes] = {f"{folder}/{key}": f"{text}\n" for key, text in files.items()}
    return tree | {f"sys/bus/usb/devices/{name}": f"->{folder}"}


def usb_interface(place: str, name: str, driver: str) -> dict[str, str | bytes]:
    """Return an interface of a USB device, and its driver."""
    folder = f"sys/devices/{place}/{name}"
    return {
        f"{folder}/bInterfaceNumber": "00\n",
        f"{folder}/driver": f"->sys/bus/usb/drivers/{driver}",
        f"{folder}/subsystem": "->sys/bus/usb",
        f"sys/bus/usb/devices/{name}": f"->{folder}",
    }


def terminal(name: str, device: str, kind: str = "") -> dict[str, str | bytes]:
    """Return a terminal on a device of sysfs; ``kind`` is the type of its port, if it has any."""
    folder = f"sys/devices/{device}/tty/{name}"
    return {
        f"{folder}/dev": "4:64\n",
        **({f"{folder}/type": f"{kind}\n"} if kind else {}),
        f"{folder}/device": f"->sys/devices/{device}",
        f"sys/class/tty/{name}": f"->{folder}",
    }


def platform_port(name: str, device: str, driver: str, kind: str = "") -> dict[str, str | bytes]:
    """Return a serial port that is part of the board, as before Linux 6.5."""
    return terminal(name, f"platform/{device}", kind) | {
        f"sys/devices/platform/{device}/driver": f"->sys/bus/platform/drivers/{driver}",
        f"sys/devices/platform/{device}/subsystem": "->sys/bus/platform",
    }


def layered_port(name: str, device: str, driver: str, kind: str, number: int = 0) -> dict[str, str | bytes]:
    """Return a serial port that is part of the board, as since Linux 6.5."""
    short = device.rpartition("/")[2]
    controller = f"{device}/{short}:0"
    port = f"{controller}/{short}:0.{number}"
    return terminal(name, port, kind) | {
        f"sys/devices/{port}/driver": "->sys/bus/serial-base/drivers/port",
        f"sys/devices/{port}/subsystem": "->sys/bus/serial-base",
        f"sys/devices/{controller}/driver": "->sys/bus/serial-base/drivers/ctrl",
        f"sys/devices/{controller}/subsystem": "->sys/bus/serial-base",
        f"sys/devices/{device}/driver": f"->sys/bus/{device.partition('/')[0]}/drivers/{driver}",
        f"sys/devices/{device}/subsystem": f"->sys/bus/{device.partition('/')[0]}",
    }


def camera(name: str, device: str, title: str) -> dict[str, str | bytes]:
    """Return a node of V4L2 on a device of sysfs."""
    folder = f"sys/devices/{device}/video4linux/{name}"
    return {
        f"{folder}/name": f"{title}\n",
        f"{folder}/device": f"->sys/devices/{device}",
        f"sys/class/video4linux/{name}": f"->{folder}",
    }


_PI_USB = "platform/soc/3f980000.usb/usb1"
_PI_PORTS = "dev/serial/by-path/platform-3f980000.usb"

PI_3: Tree = {
    **usb(
        "platform/soc/3f980000.usb",
        "usb1",
        "1:1",
        "1d6b:0002",
        "09:00:01",
        "Linux 6.1.0-rpi7-rpi-v8 dwc_otg_hcd",
        "DWC OTG Controller",
        "3f980000.usb",
    ),
    **usb_interface(_PI_USB, "1-0:1.0", "hub"),
    **usb(_PI_USB, "1-1", "1:2", "1a40:0101", "09:00:01", "", "USB 2.0 Hub"),
    **usb(f"{_PI_USB}/1-1", "1-1.1", "1:3", "046d:0825", "ef:02:01", "", "", "66EF0390"),
    **usb_interface(f"{_PI_USB}/1-1/1-1.1", "1-1.1:1.0", "uvcvideo"),
    **usb(f"{_PI_USB}/1-1", "1-1.2", "1:4", "1d50:614e", "02:00:00", "Klipper", "stm32f407xx", "2A003"),
    **usb_interface(f"{_PI_USB}/1-1/1-1.2", "1-1.2:1.0", "cdc_acm"),
    **usb(f"{_PI_USB}/1-1", "1-1.4", "1:5", "0403:6001", "00:00:00", "FTDI", "FT232R USB UART", "A50285BI"),
    **usb_interface(f"{_PI_USB}/1-1/1-1.4", "1-1.4:1.0", "ftdi_sio"),
    **terminal("ttyACM0", f"{_PI_USB}/1-1/1-1.2/1-1.2:1.0"),
    **terminal("ttyUSB0", f"{_PI_USB}/1-1/1-1.4/1-1.4:1.0/ttyUSB0"),
    f"sys/devices/{_PI_USB}/1-1/1-1.4/1-1.4:1.0/ttyUSB0/driver": "->sys/bus/usb-serial/drivers/ftdi_sio",
    f"sys/devices/{_PI_USB}/1-1/1-1.4/1-1.4:1.0/ttyUSB0/subsystem": "->sys/bus/usb-serial",
    **platform_port("ttyS0", "soc/3f215040.serial", "bcm2835-aux-uart", "5"),
    **platform_port("ttyAMA0", "soc/3f201000.serial", "uart-pl011"),
    "sys/class/tty/tty1/active": "tty1\n",
    f"{_PI_PORTS}-usb-0:1.2:1.0": "->dev/ttyACM0",
    f"{_PI_PORTS}-usbv2-0:1.2:1.0": "->dev/ttyACM0",
    f"{_PI_PORTS}-usb-0:1.4:1.0-port0": "->dev/ttyUSB0",
    "dev/serial/by-id/usb-Klipper_stm32f407xx_2A003-if00": "->dev/ttyACM0",
    "dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0": "->dev/ttyUSB0",
    **camera("video0", "platform/soc/3f801000.csi", "unicam-image"),
    **camera("video1", f"{_PI_USB}/1-1/1-1.1/1-1.1:1.0", "UVC Camera (046d:0825)"),
    "dev/v4l/by-path/platform-3f801000.csi-video-index0": "->dev/video0",
    "dev/v4l/by-path/platform-3f980000.usb-usb-0:1.1:1.0-video-index0": "->dev/video1",
    "dev/v4l/by-id/usb-046d_0825_66EF0390-video-index0": "->dev/video1",
}
"""The Raspberry Pi 3 of the documentation: a hub with a webcam, a Klipper board, an FTDI cable; Linux 6.1."""

PI_5: Tree = {
    **layered_port("ttyAMA10", "platform/soc@107c000000/107d001000.serial", "uart-pl011", "32"),
    **layered_port("ttyAMA0", "platform/axi/1f00030000.serial", "uart-pl011", "32"),
}
"""A Raspberry Pi 5 with its debug port and one on its header; Linux 6.12."""

PC: Tree = {
    **layered_port("ttyS0", "pnp0/00:03", "serial", "4"),
    **layered_port("ttyS1", "platform/serial8250", "serial8250", "0", 1),
    **layered_port("ttyS2", "platform/serial8250", "serial8250", "0", 2),
    "sys/class/tty/tty0/dev": "4:0\n",
    "sys/class/tty/ptmx/dev": "5:2\n",
}
"""A PC with one serial port, and names for more of them."""

ARMBIAN: Tree = {
    **platform_port("ttyS2", "ff130000.serial", "dw-apb-uart", "4"),
    **platform_port("ttyS10", "ff1a0000.serial", "dw-apb-uart", "4"),
    **platform_port("ttyS3", "serial8250", "serial8250", "0"),
}
"""A board with a Rockchip RK3328; Linux 6.1."""

USB_IDS = """#
#\tList of USB ID's
# Syntax:
# vendor  vendor_name
#\tdevice  device_name\t\t\t\t<-- single tab

0403  Future Technology Devices International, Ltd
\t6001  FT232 Serial (UART) IC
\t6014  FT232H Single HS USB-UART/FIFO IC
046d  Logitech, Inc.
\t0825  Webcam C270
1a40  Terminus Technology Inc.
\t0101  Hub
1d50  OpenMoko, Inc.
\t606f  Geschwister Schneider CAN adapter
\t\t00  an interface
1d6b  Linux Foundation
\t0002  2.0 root hub
2e8a  Raspberry Pi

# List of known device classes, subclasses and protocols
C 00  (Defined at Interface level)
C 02  Communications
\t02  Abstract (modem)
\t\t01  AT-commands (v.25ter)
C 09  Hub
\t00  Unused
\t\t00  Full speed (or root) hub
\t\t01  Single TT
C ef  Miscellaneous Device
\t02  ?
\t\t01  Interface Association
AT 0100  USB Streaming
\t00  Unused
"""
"""An excerpt of the real file."""
