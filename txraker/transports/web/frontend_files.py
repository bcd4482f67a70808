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

from attrs import evolve, frozen

from txraker import __version__

INDEX = "index.html"

CHUNK = 64 * 1024
"""Bytes of a file that are read at once; no more are in memory for a client, however slowly it reads."""

WELCOME = Path(__file__).parents[2] / "welcome"

WELCOME_NAMES = frozenset({(), (INDEX,), ("app.js",), ("link.js",), ("plot.js",), ("style.css",)})
"""The paths of the welcome page."""

ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Codings that files may be there in, the best first, to the ends of those files' names."""

_ZIP_SECONDS = 2
"""How far apart the times of files may be that were packed together: ZIP archives round them."""

_FOREVER = b"public, max-age=31536000, immutable"
_ASK_FIRST = b"no-cache"

_TYPES = {
    "avif": "image/avif",
    "css": "text/css; charset=utf-8",
    "eot": "application/vnd.ms-fontobject",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "application/xml",
    "zip": "application/zip",
}
"""Content types by the ends of names: the same on every machine, whatever its ``/etc/mime.types`` says."""

_HEX_HASH = re.compile(r"[.-](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,32}(\.[a-z0-9]+)+\Z", re.ASCII)
_VITE_HASH = re.compile(r".*-([A-Za-z0-9_-]{8})(\.[a-z0-9]+)+", re.ASCII)
_WORDS = re.compile(r"[A-Z]*[a-z]*([A-Z][a-z]+)*|[0-9]+")


@frozen
class Wish:
    """What a browser asks for: the names in the path and what its headers say.

    ``encodings`` are those it takes, the best first; ``etags`` are of what it has. A navigation is an address
    that a person goes to.
    """

    names: tuple[str, ...]
    is_navigation: bool = False
    encodings: tuple[str, ...] = ()
    etags: frozenset[str] = frozenset()
    wants_body: bool = True


@frozen
class File:
    """A file as it is now; ``name`` is what it is served as, whatever the name on the disk."""

    path: str
    name: str
    folder: str
    about: os.stat_result
    encoding: str = ""

    @property
    def etag(self) -> str:
        """What no other content has, nor the same in another coding, nor that of another version."""
        version = "-".join(filter(None, (__version__, self.encoding)))
        return f'"{self.about.st_mtime_ns:x}-{self.about.st_size:x}-{version}"'

    @property
    def content_type(self) -> str:
        """What it is, by the end of its name."""
        return _TYPES.get(self.name.rpartition(".")[2].lower(), "application/octet-stream")

    @property
    def cache_control(self) -> bytes:
        """How long browsers may use it unasked."""
        return _FOREVER if has_hash(self.folder, self.name) else _ASK_FIRST

    def is_same(self, about: os.stat_result) -> bool:
        """Say whether what was opened is this file, as it was."""
        return _identity(about) == _identity(self.about)


@frozen
class Answer:
    """A file and how its body begins; an empty beginning when the browser wants none of it."""

    file: File
    is_welcome: bool
    beginning: bytes = b""
    is_known: bool = False


class Changed(Exception):
    """A file was replaced while it was sent."""


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
    is_known = not wish.etags.isdisjoint({file.etag, "*"})
    try:
        beginning = read(file, 0) if wish.wants_body and not is_known else b""
    except (Changed, OSError):
        return problem, None
    return problem, Answer(file, is_welcome, beginning, is_known)


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
        if packed is not None and packed.about.st_mtime >= file.about.st_mtime - _ZIP_SECONDS:
            return evolve(packed, name=file.name, encoding=encoding)
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
    return File(path, names[-1], names[0] if len(names) > 1 else "", about)


def _is_plain(name: str) -> bool:
    return bool(name) and name[0] != "." and "/" not in name and "\0" not in name


def read(file: File, offset: int) -> bytes:
    """Return up to CHUNK bytes of a file. Raises Changed when it isn't the same any more, and OSError."""
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        chunk = os.pread(descriptor, CHUNK, offset)
        if not file.is_same(os.fstat(descriptor)) or (not chunk and offset < file.about.st_size):
            raise Changed
        return chunk
    finally:
        os.close(descriptor)


def _identity(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def has_hash(folder: str, name: str) -> bool:
    """Say whether a name holds a hash of the content, as webpack, Workbox and Vite write it.

    ``folder`` is the first on the way to it. In doubt it has none, and browsers ask again: that costs little,
    and a file that is kept by mistake is never renewed.
    """
    if _HEX_HASH.search(name) is not None:
        return True
    found = _VITE_HASH.fullmatch(name) if folder == "assets" else None
    return found is not None and _WORDS.fullmatch(found[1]) is None
