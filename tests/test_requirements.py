"""The list of packages for machines on which not all that others ask for can be had."""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LISTED = Path(__file__).parents[1] / "docs" / "requirements-32bit.txt"
UNUSED = {"cbor2", "msgpack", "ujson"}


def listed() -> dict[str, Requirement]:
    """Return what the list asks for, by name."""
    lines = (line.strip() for line in LISTED.read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def needed_by(package: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """Return what a package asks for here."""
    found = [Requirement(text) for text in requires(package) or ()]
    environments = [{"extra": extra} for extra in (extras or {""})]
    return [
        requirement
        for requirement in found
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments))
    ]


def test_list_is_whole() -> None:
    """The list has all that txraker and its packages ask for, in versions that are good, and nothing else."""
    asked: dict[str, set[frozenset[str]]] = {}
    todo = needed_by("txraker")
    while todo:
        requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name not in UNUSED and extras not in asked.setdefault(name, set()):
            asked[name].add(extras)
            todo += needed_by(name, extras)
    assert sorted(asked) == sorted(listed())


def test_versions_are_the_same() -> None:
    """What txraker asks for itself is asked for in the same versions."""
    ours = {canonicalize_name(one.name): one.specifier for one in needed_by("txraker")}
    assert {name: listed()[name].specifier for name in ours} == ours
