"""The machine's network interfaces, with their addresses, and its CAN buses.

Contract: ``network`` and ``canbus`` of ``machine.system_info``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from txraker.system.host.files import children, read_text
from txraker.system.host.netlink import GET_ADDRESSES, GET_LINKS, Address, Dump, Link, addresses, links

_CAN = "280"
"""The hardware type of CAN interfaces: ARPHRD_CAN."""


class IpAddress(msgspec.Struct, frozen=True):
    """An address; one that is link local is of use on its own wire only: 169.254.x.x or fe80::x."""

    family: Literal["ipv4", "ipv6"]
    address: str
    is_link_local: bool


class NetworkInterface(msgspec.Struct, frozen=True):
    """An interface that has hardware and an address."""

    mac_address: str
    ip_addresses: list[IpAddress]


class CanInterface(msgspec.Struct, frozen=True):
    """A CAN bus; ``bitrate`` is null where none is set, ``driver`` empty where there is no hardware."""

    tx_queue_len: int | None
    bitrate: int | None
    driver: str


class Networks(msgspec.Struct, frozen=True):
    """All interfaces by their names."""

    network: dict[str, NetworkInterface]
    canbus: dict[str, CanInterface]


def read_networks(root: Path, dump: Dump) -> Networks:
    """Return the interfaces there are now; without netlink, CAN buses without their bit rates."""
    try:
        found, addressed = links(dump(GET_LINKS)), addresses(dump(GET_ADDRESSES))
    except OSError:
        found, addressed = [], []
    return Networks(_network(found, addressed), _canbus(root, found))


def _network(found: Iterable[Link], addressed: Sequence[Address]) -> dict[str, NetworkInterface]:
    """Leave out the loopback, and what lacks an address or, as Moonraker 0.11 was seen to do, hardware."""
    by_link: dict[int, list[IpAddress]] = {}
    for each in addressed:
        family: Literal["ipv4", "ipv6"] = "ipv4" if each.address.version == 4 else "ipv6"
        shown = IpAddress(family, str(each.address), each.address.is_link_local)
        by_link.setdefault(each.link, []).append(shown)
    return {
        link.name: NetworkInterface(link.mac, by_link[link.index])
        for link in found
        if link.index in by_link and link.mac and not link.is_loopback
    }


def _canbus(root: Path, found: Iterable[Link]) -> dict[str, CanInterface]:
    bitrates = {link.name: link.bitrate for link in found}
    buses = [path for path in children(root / "sys/class/net") if read_text(path / "type") == _CAN]
    return {
        path.name: CanInterface(
            tx_queue_len=_number(read_text(path / "tx_queue_len")),
            bitrate=bitrates.get(path.name),
            driver=_driver(path),
        )
        for path in buses
    }


def _driver(interface: Path) -> str:
    try:
        return (interface / "device/driver").readlink().name
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
