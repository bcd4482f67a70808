"""Distributions, and the images that are made of them for printers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.host.machines import ORANGE_PI, PC, PI_3, PI_4, grow
from txraker.system.host.distribution import Distribution, VersionParts, read_distribution


def test_raspbian(tmp_path: Path) -> None:
    """Raspbian is described as in the documentation."""
    assert read_distribution(grow(tmp_path, PI_3), "5.10.103-v7+") == Distribution(
        name="Raspbian GNU/Linux 10 (buster)",
        id="raspbian",
        version="10",
        version_parts=VersionParts("10", "", ""),
        like="debian",
        codename="buster",
        release_info={},
        kernel_version="5.10.103-v7+",
    )


def test_ubuntu(tmp_path: Path) -> None:
    """A version in two parts keeps its zero."""
    found = read_distribution(grow(tmp_path, PC), "6.5.0")
    assert (found.version, found.version_parts) == ("22.04", VersionParts("22", "04", ""))


def test_mainsailos(tmp_path: Path) -> None:
    """An image's own file is told beside the distribution it is made of."""
    found = read_distribution(grow(tmp_path, PI_4), "6.1")
    assert (found.id, found.like) == ("debian", "")
    assert found.release_info == {
        "name": "MainsailOS",
        "version_id": "1.3.2",
        "codename": "bookworm",
        "id": "mainsailos",
    }


def test_armbian(tmp_path: Path) -> None:
    """Armbian's file of variables gives a name that people can read, and not its first comment."""
    assert read_distribution(grow(tmp_path, ORANGE_PI), "6.6").release_info == {
        "name": "armbian",
        "version_id": "24.2.1",
        "codename": "bookworm",
        "id": "armbian",
    }


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ratos-release", "RatOS version 2.1.0-RC2 (bookworm)\n", ("RatOS", "2.1.0-RC2", "bookworm")),
        ("fedora-release", "Fedora release 39 (Thirty Nine)\n", ("Fedora", "39", "Thirty Nine")),
        ("pi-release", "0.3.1\n", ("pi", "0.3.1", None)),
        ("manjaro-release", "Manjaro Linux\n", ("Manjaro Linux", None, None)),
        ("x_release", "Some Thing v2 beta\n", ("Some Thing v2 beta", None, None)),
        ("x-release", "# nothing\n", ("x", None, None)),
    ],
)
def test_release_files(
    tmp_path: Path, name: str, text: str, expected: tuple[str, str | None, str | None]
) -> None:
    """A release file is understood in all its forms."""
    found = read_distribution(grow(tmp_path, {f"etc/{name}": text}), "6.1").release_info
    assert (found["name"], found.get("version_id"), found.get("codename")) == expected
    assert found["id"] == name[: -len("-release")]


def test_other_files(tmp_path: Path) -> None:
    """Files of the distribution in general, of something else, or empty ones are no release files."""
    files = dict.fromkeys(
        ("etc/lsb-release", "etc/system-release", "etc/os-release", "etc/x-release.d", "etc/my-x-release"),
        "Name release 1 (code)\n",
    )
    assert read_distribution(grow(tmp_path, files, {"etc/arch-release": ""}), "6.1").release_info == {}


def test_without_etc(tmp_path: Path) -> None:
    """The vendor's copy is the second source, and quotes and backslashes are resolved."""
    text = (
        '# a comment\nNAME=\'My \\$OS\'\nVERSION="3 (a \\"b\\")"\nVERSION_ID=3.1.4.1\nID=my\nBROKEN\nEMPTY=\n'
    )
    found = read_distribution(grow(tmp_path, {"usr/lib/os-release": text}), "6.1")
    assert (found.name, found.id) == ("My $OS", "my")
    assert (found.version_parts, found.codename) == (VersionParts("3", "1", "4"), 'a "b"')


def test_nothing_known(tmp_path: Path) -> None:
    """Without any file everything but the kernel is empty."""
    found = read_distribution(tmp_path, "6.1")
    assert found == Distribution("", "", "", VersionParts("", "", ""), "", "", {}, "6.1")


def test_rolling_release(tmp_path: Path) -> None:
    """A version that is no number has no parts."""
    found = read_distribution(grow(tmp_path, {"etc/os-release": "ID=arch\nVERSION_ID=rolling\n"}), "6.1")
    assert (found.version, found.version_parts) == ("rolling", VersionParts("", "", ""))
