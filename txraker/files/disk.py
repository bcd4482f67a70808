"""Where places are on the disk: which links are followed, and what nobody gets to see or to change.

Everything here blocks: it is done in a worker thread. Nothing outside a root can be reached but by links that
somebody with access to the machine has made, and by them neither what is ours nor anything hidden.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from attrs import define, field

from txraker.errors import ApiError, BadRequest, Forbidden
from txraker.files.partial import is_partial, told
from txraker.files.places import Place, Roots

GIT = ".git"
"""A folder whose contents are nobody's business. Contract: Moonraker 0.11.0 as measured."""

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that nobody writes to must not hold us, and nothing becomes our terminal.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Entry(msgspec.Struct, frozen=True):
    """Something in a folder: ``modified`` is Unix time, ``size`` bytes, ``real`` where it really is.

    ``permissions`` are ``rw``, ``r`` or, for what clients can't get at, empty.
    """

    name: str
    is_folder: bool
    modified: float
    size: int
    permissions: str
    real: str


@define(eq=False, repr=False)
class Disk:
    """The disk below the roots. ``reserved`` maps names to files and folders that aren't to be reached.

    Links are followed into roots and to what is below one of ``link_targets``, apart from what is hidden
    there. The rules are made anew each time, because links change: a USB stick comes and goes.
    """

    _roots: Roots
    _reserved: Mapping[str, Path] = field(factory=dict)
    _link_targets: Sequence[Path] = ()

    def rules(self) -> Rules:
        """Return what holds at this moment."""
        return Rules(
            {root.name: os.path.realpath(root.path) for root in self._roots},
            {name: os.path.realpath(path) for name, path in self._reserved.items()},
            tuple(os.path.realpath(path) for path in self._link_targets),
        )

    def locate(self, place: Place) -> Path:
        """Return where a place really is, there or not, with every link followed. Raises Forbidden."""
        return self.rules().locate(place)

    def locate_to_write(self, place: Place, may_write: Callable[[str], bool]) -> Path:
        """Return the same for somebody who writes there. Raises Forbidden.

        ``may_write`` says whether they may in a root: a link may lead from one into another.
        """
        rules = self.rules()
        path = rules.locate(place)
        rules.check_writable(path, place, may_write)
        return path


class Rules(msgspec.Struct, frozen=True):
    """What may be reached; all paths are real ones."""

    roots: Mapping[str, str]
    reserved: Mapping[str, str]
    link_targets: tuple[str, ...]

    def locate(self, place: Place) -> Path:
        """Return where a place really is, there or not, with every link followed. Raises ApiError."""
        check_names(place)
        real = os.path.realpath(place.path)
        self.check(real, place)
        return Path(real)

    def entry(self, place: Place) -> Path:
        """Return where a place itself is, be it a link: what is moved and deleted. Raises ApiError."""
        if not place.parts:
            return self.locate(place)
        check_names(place)
        path = self.locate(place.parent) / place.name
        self.check(str(path), place)
        return path

    def check(self, real: str, place: Place) -> None:
        """Raise Forbidden when a real path isn't to be reached; ``place`` is how it was asked for."""
        for name, path in self.reserved.items():
            if is_below(real, path):
                raise Forbidden(f"Access to '{place}' forbidden by reserved path '{name}'")
        if _is_in_git(real):
            raise Forbidden("Access to .git folders is forbidden")
        if not self._is_ours(real):
            raise Forbidden(f"'{place}' is a link that leads out of the root '{place.root.name}'")

    def check_tree(self, real: Path, place: Place) -> None:
        """Raise Forbidden when something reserved, or a root, is in a folder that is to be changed whole."""
        for name, path in (*self.reserved.items(), *self.roots.items()):
            if is_below(path, str(real)):
                raise Forbidden(f"'{place}' holds '{name}', which can't be moved or deleted")

    def check_writable(self, real: Path, place: Place, may_write: Callable[[str], bool]) -> None:
        """Raise Forbidden when a real path is in a root where somebody may not write."""
        for name, path in self.roots.items():
            if is_below(str(real), path) and not may_write(name):
                raise Forbidden(f"'{place}' is in the root '{name}', where you can't write")

    def allows(self, real: str) -> bool:
        """Say whether a real path may be reached."""
        is_reserved = any(is_below(real, path) for path in self.reserved.values())
        return not is_reserved and not _is_in_git(real) and self._is_ours(real)

    def entries(self, folder: Path, place: Place) -> list[Entry]:
        """Return what is in a folder, in no order. Raises ApiError.

        Files and folders, and links to either; not what has no name in UTF-8, which JSON can't say, nor
        files that aren't whole yet.
        """
        found = []
        is_open = self._is_in_root(str(folder))
        with told(f"'{place}' can't be read"), os.scandir(folder) as items:
            for item in items:
                if is_visible(item.name):
                    found.append(self._look(item, place.root.permissions, is_open=is_open))
        return [entry for entry in found if entry is not None]

    def _is_ours(self, real: str) -> bool:
        return self._is_in_root(real) or any(
            is_below(real, target) and not any(name.startswith(".") for name in _names(real, target))
            for target in self.link_targets
        )

    def _is_in_root(self, real: str) -> bool:
        return any(is_below(real, root) for root in self.roots.values())

    def _may_enter(self, item: os.DirEntry[str], real: str, *, is_open: bool) -> bool:
        """Say whether something may be read of a folder that may be; ``is_open`` is one in a root."""
        if item.name == GIT:
            return False
        if real != item.path:
            return self.allows(real)
        return real not in self.reserved.values() and (is_open or not item.name.startswith("."))

    def _look(self, item: os.DirEntry[str], permissions: str, *, is_open: bool) -> Entry | None:
        try:
            about = item.stat()
            is_link = item.is_symlink()
            real = os.path.realpath(item.path) if is_link else item.path
            is_folder = stat.S_ISDIR(about.st_mode)
            if not is_folder and not stat.S_ISREG(about.st_mode):
                return None
            if not self._may_enter(item, real, is_open=is_open):
                permissions = ""
                about = item.stat(follow_symlinks=False)
            elif is_link and not is_folder:
                permissions = "r"
        except OSError:
            return None
        return Entry(item.name, is_folder, about.st_mtime, about.st_size, permissions, real)


def is_below(path: str, folder: str) -> bool:
    """Say whether a path is a folder's, or in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_visible(name: str) -> bool:
    """Say whether clients hear of a name at all."""
    if is_partial(name):
        return False
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def check_names(place: Place) -> None:
    """Raise ApiError for names that nobody may use."""
    if GIT in place.parts:
        raise Forbidden("Access to .git folders is forbidden")
    if not all(map(is_visible, place.parts)):
        raise BadRequest("That name is reserved for files that are being written")


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Open a real folder, to do something in it and nowhere else: no link on the way is followed.

    Yields a descriptor for ``dir_fd``. Raises OSError.
    """
    descriptor = os.open("/", _FOLDER)
    try:
        for name in path.parts[1:]:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(path: Path) -> int:
    """Open the regular file at a real path and return its descriptor. Raises OSError and Forbidden."""
    with opened_folder(path.parent) as folder:
        descriptor = os.open(path.name, _READ, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Forbidden(f"'{path.name}' is no file")
    return descriptor


@contextmanager
def explained(what: str, place: Place, missing: ApiError) -> Iterator[None]:
    """Make what the system says is wrong with a place an ApiError: ``missing`` if it isn't there."""
    with told(f"'{place}' can't be {what}"):
        try:
            yield
        except FileNotFoundError:
            raise missing from None


def no_folder(place: Place) -> BadRequest:
    """Return what is wrong when a folder isn't there. Contract: Moonraker 0.11.0 as measured."""
    return BadRequest(f"Directory does not exist ({place})")


def nothing_at(place: Place) -> BadRequest:
    """Return what is wrong when nothing is there. Contract: Moonraker 0.11.0 as measured."""
    return BadRequest(f"File {place} does not exist")


def _is_in_git(real: str) -> bool:
    return f"/{GIT}/" in f"{real}/"


def _names(real: str, folder: str) -> list[str]:
    return real[len(folder) :].strip("/").split("/")
