"""What the kernel tells of network interfaces and addresses: a small reader of netlink dumps.

Contract: netlink(7), rtnetlink(7) and the kernel's ``linux/can/netlink.h``. Numbers are in the machine's own
byte order. Dumps come from the kernel; one that is cut off is read as far as it goes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

GET_LINKS = 18
GET_ADDRESSES = 22

Dump = Callable[[int], bytes]
"""Asks the kernel for GET_LINKS or GET_ADDRESSES and returns the messages it answers with; raises OSError."""

_TIME_LIMIT = 2.0
_NEW_LINK, _NEW_ADDRESS = 16, 20
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x301

_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, hardware type, index, flags, change
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_CODE = struct.Struct("=i")
_NUMBER = struct.Struct("=I")
_TYPE_MASK = 0x3FFF

_IS_LOOPBACK = 0x8
_LINK_HARDWARE, _LINK_NAME, _LINK_INFO = 1, 3, 18
_INFO_DATA, _CAN_BITTIMING = 2, 1
_PEER, _LOCAL = 1, 2
_MAC_BYTES = 6


class Link(msgspec.Struct, frozen=True):
    """A network interface; ``mac`` is empty and ``bitrate`` None where there is none."""

    index: int
    name: str
    is_loopback: bool
    mac: str
    bitrate: int | None


class Address(msgspec.Struct, frozen=True):
    """An address of the interface with the index ``link``."""

    link: int
    address: IPv4Address | IPv6Address


def dump(kind: int) -> bytes:
    """Ask the kernel: the Dump of a real machine."""
    header = _LINK if kind == GET_LINKS else _ADDRESS
    size = _MESSAGE.size + header.size
    request = _MESSAGE.pack(size, kind, _REQUEST_DUMP, 1, 0) + bytes(header.size)
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as kernel:
        kernel.settimeout(_TIME_LIMIT)
        kernel.bind((0, 0))
        kernel.send(request)
        pieces: list[bytes] = []
        while not pieces or not _is_last(pieces[-1]):
            pieces.append(kernel.recv(256 * 1024))
    return b"".join(pieces)


def links(data: bytes) -> list[Link]:
    """Return the interfaces that a dump tells of, in its order."""
    found = []
    for kind, body in _messages(data):
        if kind == _NEW_LINK and len(body) >= _LINK.size:
            _, _, index, flags, _ = _LINK.unpack_from(body)
            attributes = _attributes(body[_LINK.size :])
            name = attributes.get(_LINK_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
            mac = _mac(attributes.get(_LINK_HARDWARE, b""))
            bitrate = _bitrate(attributes.get(_LINK_INFO, b""))
            found.append(Link(index, name, bool(flags & _IS_LOOPBACK), mac, bitrate))
    return found


def addresses(data: bytes) -> list[Address]:
    """Return the IP addresses that a dump tells of, in its order."""
    found = []
    for kind, body in _messages(data):
        if kind == _NEW_ADDRESS and len(body) >= _ADDRESS.size:
            *_, index = _ADDRESS.unpack_from(body)
            attributes = _attributes(body[_ADDRESS.size :])
            packed = attributes.get(_LOCAL) or attributes.get(_PEER, b"")
            if len(packed) in {4, 16}:
                found.append(Address(index, ip_address(packed)))
    return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _MESSAGE.size <= len(data):
        size, kind, *_ = _MESSAGE.unpack_from(data, offset)
        if size < _MESSAGE.size or offset + size > len(data):
            return
        yield kind, data[offset + _MESSAGE.size : offset + size]
        offset += _aligned(size)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size or offset + size > len(data):
            break
        found[kind & _TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + size]
        offset += _aligned(size)
    return found


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def _is_last(piece: bytes) -> bool:
    """Say whether a dump ends with this piece. Raises OSError when the kernel refused."""
    for kind, body in _messages(piece):
        if kind == _ERROR:
            code = -_CODE.unpack(body[:4].ljust(4, b"\0"))[0]
            raise OSError(code, os.strerror(code))
        if kind == _DONE:
            return True
    return not piece


def _mac(hardware: bytes) -> str:
    return hardware.hex(":") if len(hardware) == _MAC_BYTES else ""


def _bitrate(info: bytes) -> int | None:
    timing = _attributes(_attributes(info).get(_INFO_DATA, b"")).get(_CAN_BITTIMING, b"")
    return _NUMBER.unpack_from(timing)[0] if len(timing) >= _NUMBER.size else None
