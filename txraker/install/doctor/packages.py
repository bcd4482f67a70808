"""Whether the packages that txraker needs are installed, in versions that it can use.

Contract: "Version specifiers" and "Dependency specifiers" of the Python packaging specifications, as far as
our own requirements and those of what we require go.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.doctor.finding import Finding, bad, good

OURS: Final = "txraker"

_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_EXTRA: Final = re.compile(r"""\s*extra\s*==\s*["']([^"']+)["']\s*""")
_BOUND: Final = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")


@frozen
class Package:
    """A package that is installed, with its requirements as they are written."""

    version: str
    requires: tuple[str, ...] = ()


Installed = Callable[[str], Package | None]
"""Looks a package up by name; None when it isn't installed."""


@frozen
class Lack:
    """A package that is missing, or there in a version that can't be used."""

    requirement: str
    found: str | None


def installed_package(name: str) -> Package | None:
    """Return a package of the Python that runs this."""
    try:
        found = metadata.distribution(name)
        return Package(found.version, tuple(found.requires or ()))
    except (metadata.PackageNotFoundError, KeyError, ValueError):
        return None


def read_packages(installed: Installed) -> tuple[Lack, ...]:
    """Return what is missing of what we need, and of what that needs.

    Requirements for other machines or Pythons are left to pip, which knows them.
    """
    lacks: dict[str, Lack] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(OURS, ())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        package = installed(name)
        for requirement in () if package is None else package.requires:
            wanted = _wanted(requirement, extras)
            if wanted is None:
                continue
            needed, needed_extras, bounds = wanted
            found = installed(needed)
            if found is None or not is_within(found.version, bounds):
                text = requirement.partition(";")[0].strip()
                lacks[text] = Lack(text, None if found is None else found.version)
            if (needed, needed_extras) not in seen:
                seen.add((needed, needed_extras))
                waiting.append((needed, needed_extras))
    return tuple(lacks.values())


def is_within(version: str, bounds: str) -> bool:
    """Say whether a specifier such as ``>=1.2,<2`` allows a version; ``rc1`` and the like don't count."""
    release = _numbers(version)
    return all(
        _allows(operator, release, _numbers(bound), is_prefix=bool(star))
        for operator, bound, star in _BOUND.findall(bounds)
    )


def package_findings(lacks: Sequence[Lack], python: Path) -> Iterator[Finding]:
    """Judge what is missing; ``python`` is the venv's."""
    for lack in lacks:
        how = "isn't installed" if lack.found is None else f"is {lack.found}"
        mend = f"{shlex.quote(str(python))} -m pip install {shlex.quote(lack.requirement)}"
        yield bad(f"The package {lack.requirement} is needed, and {how}", mend)
    if not lacks:
        yield good("All Python packages are installed")


def _wanted(requirement: str, extras: Sequence[str]) -> tuple[str, tuple[str, ...], str] | None:
    """Return the name, extras and version bounds of a requirement; None when it isn't (surely) ours."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        return None
    name, its_extras, bounds, marker = match.groups()
    if marker is not None:
        extra = _EXTRA.fullmatch(marker)
        if extra is None or extra[1] not in extras:
            return None
    return name, tuple(each.strip() for each in (its_extras or "").split(",") if each.strip()), bounds


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release of a version as numbers."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _allows(operator: str, version: tuple[int, ...], bound: tuple[int, ...], *, is_prefix: bool) -> bool:
    length = max(len(version), len(bound))
    left, right = (numbers + (0,) * (length - len(numbers)) for numbers in (version, bound))
    if operator in ("==", "!="):
        is_same = left[: len(bound)] == bound if is_prefix else left == right
        return is_same is (operator == "==")
    if operator == "~=":
        return left >= right and left[: len(bound) - 1] == bound[:-1]
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[operator]
