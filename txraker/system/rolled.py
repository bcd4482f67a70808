"""Log files that are put aside: their names, and how many of them are kept."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from txraker.system.errors import RolloverFailed

MIB = 1024 * 1024

_STAMP = "%Y-%m-%d_%H-%M-%S"
_SUFFIX = re.compile(r"\.(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)(?:\.(\d+))?\Z")


class LogLimits(msgspec.Struct, frozen=True):
    """How much is kept of a log: so many rolled files, with so many bytes in all. The newest always is."""

    files: int = 10
    size: int = 100 * MIB


def put_aside(path: Path, now: datetime) -> Path:
    """Rename a log file to its name and the time, never over another file, and return the new path.

    Of a link it is the file that is renamed, where it is. Raises RolloverFailed with the reason; the file has
    its name then.
    """
    path = Path(os.path.realpath(path))
    target = _free_name(path, now)
    try:
        path.rename(target)
    except OSError as problem:
        with suppress(OSError):
            target.unlink()
        raise RolloverFailed(f"Can't rename {path.name}: {problem.strerror}") from None
    return target


def prune(newest: Path, limits: LogLimits) -> list[Path]:
    """Remove what was put aside of a log before ``newest``, oldest first, until the rest is within limits.

    A clock that was wrong may have named others after a later time; they count as older all the same.
    Returns what was removed.
    """
    path = newest.with_name(_SUFFIX.sub("", newest.name))
    removed = []
    total = _size(newest)
    for number, old in enumerate((file for file in rolled_files(path) if file != newest), 1):
        total += _size(old)
        if number >= limits.files or total > limits.size:
            with suppress(OSError):
                old.unlink()
                removed.append(old)
    return removed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def rolled_files(path: Path) -> list[Path]:
    """Return the files that were put aside of a log, the newest first."""
    path = Path(os.path.realpath(path))
    return [file for _age, file in sorted(_aged(path), reverse=True)]


def _aged(path: Path) -> Iterator[tuple[tuple[str, int], Path]]:
    """Yield the files that were put aside, each after its time and its number in that second."""
    with suppress(OSError):
        for other in path.parent.iterdir():
            matched = _SUFFIX.fullmatch(other.name.removeprefix(path.name))
            if other.name.startswith(path.name) and matched:
                yield (matched[1], int(matched[2] or 0)), other


def _free_name(path: Path, now: datetime) -> Path:
    """Return a name that nobody has, held by an empty file; in one second numbers only grow."""
    stamp = now.strftime(_STAMP)
    first = max((number + 1 for (time, number), _ in _aged(path) if time == stamp), default=0)
    for number in range(first, first + 1000):
        target = Path(f"{path}.{stamp}.{number}" if number else f"{path}.{stamp}")
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            continue
        except OSError as problem:
            reason = os.strerror(problem.errno or errno.EIO)
            raise RolloverFailed(f"Can't create {target.name}: {reason}") from None
        return target
    raise RolloverFailed(f"Too many files are named {path.name}.{stamp}")
