"""Which Linux the machine runs.

Contract: ``distribution`` of ``machine.system_info``, and os-release(5).
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from txraker.system.host.files import children, pairs, read_text

_RELEASE_FILE = re.compile(r"(?!(?:os|lsb|system|oem)[-_])(\w+)[-_]release")
_RELEASE = re.compile(
    r"(?P<name>[^\d=#][^=#]*?)(?:\s+(?:release|version))?(?:\s+v?(?P<version_id>\d\S*))?"
    r"(?:\s+\((?P<codename>[^)]+)\))?"
)
_BARE_VERSION = re.compile(r"v?(\d\S*)")
_VERSION = re.compile(r"\d+(?:\.\d+)*")


class VersionParts(msgspec.Struct, frozen=True):
    """A version in pieces; those it doesn't have are empty."""

    major: str
    minor: str
    build_number: str


class Distribution(msgspec.Struct, frozen=True):
    """The Linux distribution; what isn't known is empty.

    ``release_info`` is what an image made for printers says of itself: name, version_id, codename and id.
    """

    name: str
    id: str
    version: str
    version_parts: VersionParts
    like: str
    codename: str
    release_info: dict[str, str]
    kernel_version: str


def read_distribution(root: Path, kernel_version: str) -> Distribution:
    """Return what the distribution says of itself."""
    text = read_text(root / "etc/os-release") or read_text(root / "usr/lib/os-release")
    said = _assignments(text)
    version = said.get("VERSION_ID", "")
    return Distribution(
        name=said.get("PRETTY_NAME") or said.get("NAME", ""),
        id=said.get("ID", ""),
        version=version,
        version_parts=VersionParts(*_parts(version)),
        like=said.get("ID_LIKE", ""),
        codename=said.get("VERSION_CODENAME")
        or said.get("UBUNTU_CODENAME")
        or _codename(said.get("VERSION", "")),
        release_info=_release_info(root / "etc"),
        kernel_version=kernel_version,
    )


def _assignments(text: str) -> dict[str, str]:
    return {
        key: _unquoted(value) for key, value in pairs(text, "=") if key.replace("_", "").isalnum() and value
    }


def _unquoted(value: str) -> str:
    if value[0] in "'\"":
        value = value[1:].removesuffix(value[0])
    return re.sub(r"\\([\\\"$`'])", r"\1", value)


def _parts(version: str) -> list[str]:
    found = _VERSION.match(version)
    numbers = found[0].split(".") if found else []
    return [*numbers, "", "", ""][:3]


def _codename(version: str) -> str:
    found = re.search(r"\(([^)]*)\)", version)
    return found[1] if found else ""


def _release_info(folder: Path) -> dict[str, str]:
    """Return what the first file like ``/etc/mainsailos-release`` says.

    Moonraker 0.11 was seen to report this, and not what os-release says, as its documentation has it.
    """
    for path in children(folder):
        named = _RELEASE_FILE.fullmatch(path.name)
        text = read_text(path) if named else ""
        if named and text:
            return _release(named[1], text)
    return {}


def _release(identity: str, text: str) -> dict[str, str]:
    """Return what a release file says: ``RatOS version 2.1 (bookworm)``, a mere version, or variables."""
    first = text.splitlines()[0].strip()[:200]
    line, bare = _RELEASE.fullmatch(first), _BARE_VERSION.fullmatch(first)
    if line is not None:
        said = line.groupdict()
    elif bare is not None:
        said = {"name": identity, "version_id": bare[1]}
    else:
        variables = _assignments(text)
        codename = variables.get("DISTRIBUTION_CODENAME")
        said = {"name": identity, "version_id": variables.get("VERSION"), "codename": codename}
    return {key: value for key, value in said.items() if value} | {"id": identity}
