"""``machine.peripherals.*``: what is plugged into the machine.

Contract: "List USB Devices" and what follows it in the machine document.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from attrs import define
from msgspec import Meta

from txraker.api.caller import Caller
from txraker.api.endpoint import GET, endpoint
from txraker.reactor import OffThread
from txraker.system.peripherals.canbus import CanBus, CanUuid
from txraker.system.peripherals.libcamera import Libcamera, LibcameraDevice
from txraker.system.peripherals.serial import SerialDevice, serial_devices
from txraker.system.peripherals.usb import UsbDevice, usb_devices
from txraker.system.peripherals.video import OpenNode, V4l2Device, open_node, v4l2_devices


class UsbDevices(msgspec.Struct, frozen=True):
    """The USB devices, by bus and device number."""

    usb_devices: list[UsbDevice]


class SerialDevices(msgspec.Struct, frozen=True):
    """The serial ports, by name."""

    serial_devices: list[SerialDevice]


class VideoDevices(msgspec.Struct, frozen=True):
    """What can capture video: as V4L2 sees it, and as libcamera does where that is installed."""

    v4l2_devices: list[V4l2Device]
    libcamera_devices: list[LibcameraDevice]


class CanUuids(msgspec.Struct, frozen=True):
    """The nodes of a CAN bus that have no id yet."""

    can_uuids: list[CanUuid]


@define(eq=False, repr=False)
class Peripherals:
    """Looks for peripherals of the machine whose file system is at ``root``, each time anew."""

    _root: Path
    _off_thread: OffThread
    _libcamera: Libcamera
    _can_bus: CanBus
    _open_node: OpenNode = open_node

    @endpoint("machine.peripherals.usb", GET, "/machine/peripherals/usb")
    async def usb(self, caller: Caller) -> UsbDevices:
        """Return the USB devices that are plugged in, hubs included."""
        return UsbDevices(await self._off_thread(partial(usb_devices, self._root)))

    @endpoint("machine.peripherals.serial", GET, "/machine/peripherals/serial")
    async def serial(self, caller: Caller) -> SerialDevices:
        """Return the serial ports, on USB and others."""
        return SerialDevices(await self._off_thread(partial(serial_devices, self._root)))

    @endpoint("machine.peripherals.video", GET, "/machine/peripherals/video")
    async def video(self, caller: Caller) -> VideoDevices:
        """Return the cameras and what else video can be captured from."""
        v4l2 = await self._off_thread(partial(v4l2_devices, self._root, self._open_node))
        return VideoDevices(v4l2, await self._libcamera.devices())

    @endpoint("machine.peripherals.canbus", GET, "/machine/peripherals/canbus", reads_only=False)
    async def canbus(
        self,
        caller: Caller,
        *,
        interface: Annotated[
            str, Meta(min_length=1, max_length=15, description="The CAN interface to ask on.")
        ] = "can0",
    ) -> CanUuids:
        """Ask the nodes of a CAN bus that have no id yet who they are; it takes two seconds.

        Ask only while a single such node is on the bus: several answer at the same time, and one that loses
        too often goes off the bus until it is reset.
        """
        return CanUuids(await self._can_bus.unassigned(interface))
