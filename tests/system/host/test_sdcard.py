"""SD cards, and what isn't one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.system.host.machines import PC, PI_3, Tree, grow
from txraker.system.host.sdcard import SdInfo, read_sd_info

EMMC = "15010038475446345201e9a1d2c3b4a5"


def test_sandisk(tmp_path: Path) -> None:
    """A card is described as in the documentation."""
    assert read_sd_info(grow(tmp_path, PI_3)) == SdInfo(
        manufacturer_id="03",
        manufacturer="Sandisk",
        oem_id="5344",
        product_name="SU32G",
        product_revision="8.0",
        serial_number="0046ba46",
        manufacturer_date="4/2018",
        capacity="29.7 GiB",
        total_bytes=31914983424,
    )


def card(cid: str, size: str = "62333952\n", name: str = "mmcblk0", kind: str = "SD\n") -> Tree:
    """Make the files of a card."""
    place = f"sys/block/{name}"
    return {f"{place}/device/cid": cid, f"{place}/size": size, f"{place}/device/type": kind}


def test_late_month(tmp_path: Path) -> None:
    """Months of two digits and years after 2015 are read out of their bits."""
    info = read_sd_info(grow(tmp_path, card("27504853443332473001b44eed0189ff")))
    assert (info.manufacturer_date, info.manufacturer, info.product_revision) == ("9/2024", "Phison", "3.0")


def test_unknown_maker(tmp_path: Path) -> None:
    """A maker that isn't known, and a name that can't be printed, don't hide the rest."""
    info = read_sd_info(grow(tmp_path, card("ee3434" + "41ff00427f" + "21" + "00000001" + "010c00")))
    assert (info.manufacturer_id, info.manufacturer) == ("ee", "Unknown")
    assert (info.product_name, info.product_revision) == ("AB", "2.1")


@pytest.mark.parametrize(
    ("size", "capacity", "total"),
    [
        ("249737216", "119.1 GiB", 127865454592),
        ("2147483648", "1.0 TiB", 1099511627776),
        ("1000000", "488.3 MiB", 512000000),
        ("", "Unknown", 0),
        ("soon", "Unknown", 0),
    ],
)
def test_capacity(tmp_path: Path, size: str, capacity: str, total: int) -> None:
    """The capacity has a unit that suits it, and is unknown if the kernel doesn't say."""
    cid = str(PI_3["sys/block/mmcblk0/device/cid"])
    info = read_sd_info(grow(tmp_path, card(cid, size)))
    assert (info.capacity, info.total_bytes) == (capacity, total)


@pytest.mark.parametrize(
    "files",
    [
        {},
        PC,
        card(""),
        card("0353445355"),
        card("not hexadecimal, and 32 characters"),
        card(EMMC, kind="MMC\n"),
    ],
)
def test_no_card(tmp_path: Path, files: Tree) -> None:
    """No card, a broken description or soldered memory (eMMC) are an empty object."""
    assert msgspec.to_builtins(read_sd_info(grow(tmp_path, files))) == {}


def test_second_slot(tmp_path: Path) -> None:
    """On a board with soldered memory the card is found in the second place."""
    cid = str(PI_3["sys/block/mmcblk0/device/cid"])
    files = (card(EMMC, kind="MMC\n"), card(cid, name="mmcblk1"))
    assert read_sd_info(grow(tmp_path, *files)).product_name == "SU32G"
