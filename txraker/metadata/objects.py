"""Objects made known to Klippy in gcode files of slicers that don't do that, by a program that is installed.

The program is ``preprocess_cancellation``, run as a process of its own in the worker: what it writes takes
the place of the file in one step, or is thrown away.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from txraker.files.partial import partial_folder

MODULE: Final = "preprocess_cancellation"

_NONE_KNOWN: Final = b"; 0 known objects"
_LOOK_AT: Final = 256 * 1024
_NAME: Final = "print.gcode"


def command() -> list[str] | None:
    """Return how the program is run, None when it isn't installed."""
    return None if find_spec(MODULE) is None else [sys.executable, "-m", MODULE]


def mark_objects(file: Path, program: Sequence[str]) -> bool:
    """Let a file define its objects; return whether it does so now.

    The result is worked out in a hidden folder beside the file. Nothing has changed when the program fails,
    knows no object, or somebody has written to the file meanwhile.
    """
    try:
        with partial_folder(file.parent) as folder:
            return _mark(file, folder, program)
    except (OSError, subprocess.SubprocessError):
        return False


def _mark(file: Path, folder: Path, program: Sequence[str]) -> bool:
    before = file.stat()
    (folder / _NAME).symlink_to(file.absolute())
    subprocess.run(
        [*program, "--output-suffix", ".objects", _NAME],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    written = folder / "print.objects.gcode"
    after = file.stat()
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not is_same or not _knows_objects(written):
        return False
    os.chmod(written, before.st_mode & 0o777)
    os.replace(written, file)
    return True


def _knows_objects(written: Path) -> bool:
    with written.open("rb") as file:
        beginning = file.read(_LOOK_AT)
        os.fsync(file.fileno())
    return b"EXCLUDE_OBJECT_DEFINE" in beginning and _NONE_KNOWN not in beginning
