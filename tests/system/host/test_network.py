"""Interfaces and buses, as clients see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.host.machines import grow
from tests.system.host.test_netlink import can, link, recorded
from txraker.system.host.netlink import GET_ADDRESSES, GET_LINKS
from txraker.system.host.network import CanInterface, IpAddress, NetworkInterface, Networks, read_networks


def recorded_dump(kind: int) -> bytes:
    """Answer as the recorded kernel did."""
    return recorded({GET_LINKS: "links", GET_ADDRESSES: "addresses"}[kind])


def bus(root: Path, name: str, driver: str = "") -> None:
    """Add a CAN bus to a machine."""
    grow(root, {f"sys/class/net/{name}/type": "280\n", f"sys/class/net/{name}/tx_queue_len": "128\n"})
    if driver:
        device = root / "sys/class/net" / name / "device"
        device.mkdir()
        (device / "driver").symlink_to(f"../../../../bus/drivers/{driver}")


def test_interfaces(tmp_path: Path) -> None:
    """Interfaces with hardware and an address are told, with all addresses, in the kernel's order."""
    assert read_networks(tmp_path, recorded_dump).network == {
        "eth0": NetworkInterface(
            "02:00:5e:10:00:01",
            [
                IpAddress("ipv4", "192.0.2.7", False),
                IpAddress("ipv4", "169.254.3.4", True),
                IpAddress("ipv6", "2001:db8::7", False),
                IpAddress("ipv6", "fe80::5eff:fe10:1", True),
            ],
        )
    }


def test_buses(tmp_path: Path) -> None:
    """CAN buses have the length of their queue, their bit rate and their driver."""
    bus(tmp_path, "can0", "mcp251x")
    bus(tmp_path, "can1", "gs_usb")
    bus(tmp_path, "vcan0")
    grow(tmp_path, {"sys/class/net/eth0/type": "1\n", "sys/class/net/bonding_masters": "\n"})

    def dump(kind: int) -> bytes:
        messages = can(3, "can0", 1_000_000) + can(4, "can1", 500_000) + link(5, "vcan0")
        return messages if kind == GET_LINKS else b""

    assert read_networks(tmp_path, dump) == Networks(
        {},
        {
            "can0": CanInterface(128, 1_000_000, "mcp251x"),
            "can1": CanInterface(128, 500_000, "gs_usb"),
            "vcan0": CanInterface(128, None, ""),
        },
    )


@pytest.mark.parametrize("problem", [PermissionError(1, "no"), TimeoutError("late"), OSError(97, "family")])
def test_without_netlink(tmp_path: Path, problem: OSError) -> None:
    """Without netlink, as in a sandbox, there are no addresses, and buses without bit rates."""
    bus(tmp_path, "can0", "gs_usb")

    def dump(_kind: int) -> bytes:
        raise problem

    assert read_networks(tmp_path, dump) == Networks({}, {"can0": CanInterface(128, None, "gs_usb")})


def test_bus_that_says_little(tmp_path: Path) -> None:
    """A bus whose queue isn't told has none that is known."""
    grow(tmp_path, {"sys/class/net/can0/type": "280\n"})
    assert read_networks(tmp_path, lambda _: b"").canbus == {"can0": CanInterface(None, None, "")}
