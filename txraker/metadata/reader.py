"""All that is found out about one gcode file, step by step. In the worker; all of it blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from txraker.metadata.facts import Thumbnail
from txraker.metadata.gallery import hang
from txraker.metadata.messages import Found
from txraker.metadata.objects import mark_objects
from txraker.metadata.parse import Parsed, Window, parse
from txraker.metadata.thumbnails import Picture, pictures
from txraker.metadata.windows import read_windows


def findings(file: Path, objects: Sequence[str] | None) -> Iterator[Found]:
    """Yield what is known of a file after each step: its settings, its objects defined, its pictures.

    ``objects`` is the program that defines objects, if that is wanted. Raises OSError, and ValueError for a
    name that can't be a file's.
    """
    about, windows = _read(file)
    parsed = parse(windows)
    yield _found(about, parsed, [], is_complete=False)
    if objects is not None and parsed.has_objects and mark_objects(file, objects):
        about, windows = _read(file)
        parsed = parse(windows)
        yield _found(about, parsed, [], is_complete=False)
    yield _found(about, parsed, hang(file, _pictures(windows)), is_complete=True)


def _read(file: Path) -> tuple[os.stat_result, list[Window]]:
    with open(file, "rb", opener=_open) as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is no file")
        return about, read_windows(opened, about.st_size)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _pictures(windows: list[Window]) -> list[Picture]:
    found: dict[tuple[int, int, str], Picture] = {}
    for window in windows:
        for picture in pictures(window.content):
            found.setdefault((picture.width, picture.height, picture.format), picture)
    return list(found.values())


def _found(about: os.stat_result, parsed: Parsed, hung: list[Thumbnail], *, is_complete: bool) -> Found:
    return Found(about.st_size, about.st_mtime, parsed.facts, list(parsed.file_processors), hung, is_complete)
