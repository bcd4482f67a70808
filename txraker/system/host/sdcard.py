"""The SD card that the machine has.

Contract: ``sd_info`` of ``machine.system_info``. A card's identification register (CID, 16 bytes) is laid out
in the SD Association's Physical Layer Simplified Specification, section 5.2.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from txraker.system.host.files import children, read_text

_MANUFACTURERS = {
    0x01: "Panasonic",
    0x02: "Toshiba",
    0x03: "Sandisk",
    0x08: "Silicon Power",
    0x09: "ATP",
    0x13: "Kingmax",
    0x18: "Infineon",
    0x1A: "PQI",
    0x1B: "Samsung",
    0x1C: "Transcend",
    0x1D: "ADATA",
    0x27: "Phison",
    0x28: "Lexar",
    0x31: "Silicon Power",
    0x41: "Kingston",
    0x5D: "Swissbit",
    0x74: "Transcend",
    0x76: "Patriot",
    0xAD: "Lexar",
}
"""Whose the numbers are is not published; these are known from the cards that have them."""

_UNKNOWN = "Unknown"
_SECTOR = 512


class SdInfo(msgspec.Struct, frozen=True):
    """An SD card; without one every field is left out.

    Numbers are in hexadecimal, the date is ``month/year``, ``capacity`` is for people.
    """

    manufacturer_id: str | msgspec.UnsetType = msgspec.UNSET
    manufacturer: str | msgspec.UnsetType = msgspec.UNSET
    oem_id: str | msgspec.UnsetType = msgspec.UNSET
    product_name: str | msgspec.UnsetType = msgspec.UNSET
    product_revision: str | msgspec.UnsetType = msgspec.UNSET
    serial_number: str | msgspec.UnsetType = msgspec.UNSET
    manufacturer_date: str | msgspec.UnsetType = msgspec.UNSET
    capacity: str | msgspec.UnsetType = msgspec.UNSET
    total_bytes: int | msgspec.UnsetType = msgspec.UNSET


def read_sd_info(root: Path) -> SdInfo:
    """Return the first SD card; memory that is soldered in (eMMC) is none."""
    for device in children(root / "sys/block", "mmcblk"):
        register = _register(device / "device")
        if register is not None:
            return _describe(register, read_text(device / "size"))
    return SdInfo()


def _register(device: Path) -> bytes | None:
    if read_text(device / "type") not in {"SD", ""}:
        return None
    try:
        register = bytes.fromhex(read_text(device / "cid"))
    except ValueError:
        return None
    return register if len(register) == 16 else None


def _describe(register: bytes, sectors: str) -> SdInfo:
    revision, date = register[8], int.from_bytes(register[13:15])
    size = int(sectors) * _SECTOR if sectors.isdecimal() else 0
    return SdInfo(
        manufacturer_id=register[:1].hex(),
        manufacturer=_MANUFACTURERS.get(register[0], _UNKNOWN),
        oem_id=register[1:3].hex(),
        product_name=_printable(register[3:8]),
        product_revision=f"{revision >> 4}.{revision & 15}",
        serial_number=register[9:13].hex(),
        manufacturer_date=f"{date & 15}/{2000 + (date >> 4 & 255)}",
        capacity=_readable(size),
        total_bytes=size,
    )


def _printable(name: bytes) -> str:
    return "".join(chr(byte) for byte in name if 32 <= byte < 127).strip()


def _readable(size: int) -> str:
    for unit, bytes_each in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return _UNKNOWN
