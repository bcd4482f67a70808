"""Whether there is room on the disk of a data path, and whether it may be written to at all."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.doctor.finding import Finding, bad, good, unknown, warning

MIB: Final = 1024 * 1024
TOO_LITTLE, LITTLE = 100 * MIB, 1024 * MIB
TOO_FEW_FILES, FEW_FILES = 1_000, 10_000

Measure = Callable[[Path], os.statvfs_result]
"""Measures the disk of a path, as ``os.statvfs``."""


@frozen
class SpaceFacts:
    """The disk of a path; sizes in bytes. ``free_files`` may be added, None where there is no limit."""

    path: Path
    free: int
    free_files: int | None
    is_read_only: bool
    mount: Path


def read_space(path: Path, measure: Measure = os.statvfs) -> SpaceFacts | None:
    """Return what the disk of a path is like, whether or not the path is there; None if that isn't known."""
    there = next((each for each in (path, *path.parents) if os.path.exists(each)), Path("/"))
    try:
        facts = measure(there)
    except OSError:
        return None
    mount = next((each for each in (there, *there.parents) if os.path.ismount(each)), Path("/"))
    free_files = facts.f_favail if facts.f_files else None
    is_read_only = bool(facts.f_flag & os.ST_RDONLY)
    return SpaceFacts(path, facts.f_bavail * facts.f_frsize, free_files, is_read_only, mount)


def space_findings(path: Path, facts: SpaceFacts | None) -> Iterator[Finding]:
    """Judge the disk of a path."""
    if facts is None:
        yield unknown(f"How much room there is for {path} can't be seen")
        return
    if facts.is_read_only:
        mend = f"sudo mount -o remount,rw {shlex.quote(str(facts.mount))}"
        yield bad(f"The disk of {path} is read-only, perhaps because it is damaged", mend)
    where = facts.mount if facts.mount in path.parents else path
    largest = f"sudo du -xhd2 {shlex.quote(str(where))} | sort -h | tail"
    says = f"{facts.free // MIB} MiB are free for {path}"
    if facts.free < LITTLE:
        judge = bad if facts.free < TOO_LITTLE else warning
        yield judge(f"Only {says}: delete what the command shows to be large", largest)
    else:
        yield good(says)
    if facts.free_files is not None and facts.free_files < FEW_FILES:
        judge = bad if facts.free_files < TOO_FEW_FILES else warning
        most = f"sudo du -xd2 --inodes {shlex.quote(str(where))} | sort -n | tail"
        yield judge(f"Only {facts.free_files} more files fit on the disk of {path}", most)
