"""Where something is: a root and the way from there, as clients write it. Nothing here looks at a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from attrs import define, field

from txraker.errors import BadRequest, Forbidden, NotFound

LONGEST_PATH = 4096
"""Characters of a path, as Linux has it."""

DEEPEST = 64
"""Names in a path."""

LONGEST_NAME = 255
"""Bytes of one name in it."""


class Root(msgspec.Struct, frozen=True):
    """A folder that clients know by ``name``. Into one that isn't ``is_writable`` nothing is written."""

    name: str
    path: Path
    is_writable: bool = False

    @property
    def permissions(self) -> str:
        """What may be done in it, as the API has it: ``rw`` or ``r``."""
        return "rw" if self.is_writable else "r"


class Place(msgspec.Struct, frozen=True):
    """A file or folder in a root, there or not; ``parts`` are names, none of them special."""

    root: Root
    parts: tuple[str, ...] = ()

    @property
    def relative(self) -> str:
        """The way from the root, with slashes."""
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        """Its own name; a root's is the root's."""
        return self.parts[-1] if self.parts else self.root.name

    @property
    def parent(self) -> Place:
        """The folder it is in. Raises ValueError for a root."""
        if not self.parts:
            raise ValueError("a root is in no folder")
        return Place(self.root, self.parts[:-1])

    @property
    def path(self) -> Path:
        """Where that is on the disk, if there are no links on the way: ask the disk before it is used."""
        return self.root.path.joinpath(*self.parts)

    def child(self, name: str) -> Place:
        """Return a place in this folder. Raises BadRequest when the name is none."""
        return Place(self.root, (*self.parts, *names_of(name)))

    def is_in(self, folder: Place) -> bool:
        """Say whether it is somewhere in a folder, or the folder itself."""
        return self.root == folder.root and self.parts[: len(folder.parts)] == folder.parts

    def __str__(self) -> str:
        return "/".join((self.root.name, *self.parts))


@define(eq=False, repr=False)
class Roots:
    """The roots of one printer's server, by their names, in the order they were added."""

    _roots: dict[str, Root] = field(factory=dict)

    def put(self, root: Root) -> None:
        """Add a root, or replace the one of its name."""
        self._roots[root.name] = root

    def drop(self, name: str) -> None:
        """Remove a root, if there is one of that name."""
        self._roots.pop(name, None)

    def __iter__(self) -> Iterator[Root]:
        return iter(list(self._roots.values()))

    def names(self) -> list[str]:
        """Return the names of all."""
        return list(self._roots)

    def get(self, name: str) -> Root:
        """Return a root. Raises BadRequest for a name that is no root's."""
        if name not in self._roots:
            raise BadRequest(f"Invalid root path '{name}'")
        return self._roots[name]

    def place(self, path: str, *, within: str | None = None) -> Place:
        """Return the place of a path that begins with a root's name, or, ``within`` a root, doesn't.

        Slashes at the ends, and doubled ones, don't matter. Raises BadRequest.
        """
        if len(path) > LONGEST_PATH:
            raise BadRequest(f"A path has at most {LONGEST_PATH} characters")
        names = names_of(path)
        if within is not None:
            return Place(self.get(within), names)
        if not names:
            raise BadRequest("A path begins with the name of a root")
        return Place(self.get(names[0]), names[1:])


def names_of(path: str) -> tuple[str, ...]:
    """Return the names in a path. Raises BadRequest when one of them is special, or can't be a file's."""
    names = tuple(name for name in path.split("/") if name)
    if len(names) > DEEPEST:
        raise BadRequest(f"A path has at most {DEEPEST} names")
    for name in names:
        if name in (".", ".."):
            raise BadRequest(f"'{name}' can't be part of a path")
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise BadRequest("A path holds characters that no file's name can have")
        if len(name.encode()) > LONGEST_NAME:
            raise BadRequest(f"A name has at most {LONGEST_NAME} bytes")
    return names


def must_be_writable(place: Place) -> None:
    """Raise Forbidden when nothing may be written there."""
    if not place.root.is_writable:
        raise Forbidden(f"The root '{place.root.name}' is read-only")


def not_found(place: Place) -> NotFound:
    """Return what is wrong when something isn't there."""
    return NotFound(f"'{place}' doesn't exist")
