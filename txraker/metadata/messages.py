"""What the server and the process that reads gcode files say to each other: a line of JSON each."""

from __future__ import annotations

import msgspec

from txraker.metadata.facts import Facts, Thumbnail


class Request(msgspec.Struct, frozen=True):
    """Read the file at ``path``. ``mark_objects`` asks to define its objects, if a program for that is there.

    ``cpu_seconds`` is what the work may take of one core.
    """

    path: str
    mark_objects: bool
    cpu_seconds: int


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The process is ready for its first request."""


class Found(msgspec.Struct, frozen=True, tag=True):
    """What a file says: ``modified`` is Unix time, ``size`` bytes. More follows unless it ``is_complete``.

    ``memory`` is the most that the process has used so far, in KiB.
    """

    size: int
    modified: float
    facts: Facts
    file_processors: list[str]
    thumbnails: list[Thumbnail]
    is_complete: bool
    memory: int = 0


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """The file can't be read, for that reason, and as long as it doesn't change unless it ``may_pass``."""

    reason: str
    may_pass: bool = False


Reply = Hello | Found | Unreadable
