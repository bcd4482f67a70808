"""The files of a front-end: which one answers a path, in which coding, and for how long it is good.

The rules are those of the files' makers: a name that holds a hash of its content never means another one,
``index.html`` answers for the addresses of a single page's views, and ``name.br`` and ``name.gz`` beside a
file are the same file compressed. Nothing here runs in the reactor's thread.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from txraker import __version__
from txraker.errors import ApiError, NotFound
from txraker.transports.web.conditions import Version, is_known
from txraker.transports.web.file_types import content_type
from txraker.transports.web.sending import OpenFile, open_to_send

INDEX = "index.html"

WELCOME = Path(__file__).parents[2] / "welcome"

WELCOME_NAMES = frozenset({(), (INDEX,), ("app.js",), ("link.js",), ("plot.js",), ("style.css",)})
"""The paths of the welcome page."""

ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Codings that files may be there in, the best first, to the ends of those files' names."""

_ZIP_ROUNDS = 2 * 10**9
"""How far apart (ns) the times of files may be that were packed together: ZIP archives round them."""

_FOREVER = b"public, max-age=31536000, immutable"
_ASK_FIRST = b"no-cache"

_HEX_HASH = re.compile(r"[.-](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,32}(\.[a-z0-9]+)+\Z", re.ASCII)
_VITE_HASH = re.compile(r".*-([A-Za-z0-9_-]{8})(\.[a-z0-9]+)+", re.ASCII)
_WORDS = re.compile(r"[A-Z]*[a-z]*([A-Z][a-z]+)*|[0-9]+")


class Wish(msgspec.Struct, frozen=True):
    """What a browser asks for: the names in the path and what its headers say.

    ``encodings`` are those it takes, the best first; ``if_none_match`` tells of what it has. A navigation is
    an address that a person goes to.
    """

    names: tuple[str, ...]
    is_navigation: bool = False
    encodings: tuple[str, ...] = ()
    if_none_match: str = ""


class File(msgspec.Struct, frozen=True):
    """A file as it is now; ``name`` is what it is served as, whatever the name on the disk."""

    path: str
    name: str
    folder: str
    version: Version
    encoding: str = ""

    @property
    def etag(self) -> str:
        """What no other content has, nor the same in another coding, nor that of another version."""
        variant = "-".join(filter(None, (__version__, self.encoding)))
        return f'{self.version.tag[:-1]}-{variant}"'

    @property
    def content_type(self) -> str:
        """What it is, by the end of its name."""
        return f"{kind}; charset=utf-8" if (kind := content_type(self.name)).startswith("text/") else kind

    @property
    def cache_control(self) -> bytes:
        """How long browsers may use it unasked."""
        return _FOREVER if has_hash(self.folder, self.name) else _ASK_FIRST


class Answer(msgspec.Struct, frozen=True):
    """A file, and its content, to be closed; no content if the browser has it."""

    file: File
    is_welcome: bool
    content: OpenFile | None = None


def look(folder: Path | None, wish: Wish) -> tuple[str, Answer | None]:
    """Return what is wrong with a front-end's folder, if anything, and the answer; None without a file.

    Without a front-end that is the welcome page's.
    """
    problem = what_is_wrong(folder) if folder is not None else ""
    is_welcome = folder is None or bool(problem)
    if is_welcome and wish.names not in WELCOME_NAMES:
        return problem, None
    file = find_file(WELCOME if folder is None or is_welcome else folder, wish)
    if file is None:
        return problem, None
    if is_known(file.etag, wish.if_none_match):
        return problem, Answer(file, is_welcome)
    try:
        content = open_to_send(Path(file.path), NotFound())
    except ApiError:
        return problem, None
    return problem, Answer(msgspec.structs.replace(file, version=content.version), is_welcome, content)


def what_is_wrong(folder: Path) -> str:
    """Say why a folder is no front-end's: empty for one that is."""
    index = folder / INDEX
    try:
        if stat.S_ISREG(index.stat().st_mode) and os.access(index, os.R_OK):
            return ""
        reason = "can't be read"
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
    return f"[server]: frontend_path: {index}: {reason}. A welcome page is shown instead."


def find_file(folder: Path, wish: Wish) -> File | None:
    """Return the file in a folder that answers a wish, or else, for a navigation, its index; None without."""
    names = wish.names or (INDEX,)
    file = _file_at(folder, names)
    if file is None and wish.is_navigation:
        names = (INDEX,)
        file = _file_at(folder, names)
    if file is None:
        return None
    for encoding in wish.encodings:
        packed = _file_at(folder, (*names[:-1], names[-1] + ENCODINGS[encoding]))
        if packed is not None and packed.version.modified >= file.version.modified - _ZIP_ROUNDS:
            return msgspec.structs.replace(packed, name=file.name, encoding=encoding)
    return file


def _file_at(folder: Path, names: Sequence[str]) -> File | None:
    """Return a file that is in a folder, by links or not; None for what is elsewhere, hidden or no file."""
    if not all(map(_is_plain, names)):
        return None
    try:
        root = os.path.realpath(folder)
        path = os.path.realpath(os.path.join(root, *names))
        about = os.stat(path)
        inside = Path(path).relative_to(root).parts
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(about.st_mode) or not all(map(_is_plain, inside)):
        return None
    version = Version(about.st_size, about.st_mtime_ns)
    return File(path, names[-1], names[0] if len(names) > 1 else "", version)


def _is_plain(name: str) -> bool:
    return bool(name) and name[0] != "." and "/" not in name and "\0" not in name


def has_hash(folder: str, name: str) -> bool:
    """Say whether a name holds a hash of the content, as webpack, Workbox and Vite write it.

    ``folder`` is the first on the way to it. In doubt it has none, and browsers ask again: that costs little,
    and a file that is kept by mistake is never renewed.
    """
    if _HEX_HASH.search(name) is not None:
        return True
    found = _VITE_HASH.fullmatch(name) if folder == "assets" else None
    return found is not None and _WORDS.fullmatch(found[1]) is None
