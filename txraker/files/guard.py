"""Which file the printer is using, as Klippy says."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    KlippyDisconnected,
    KlippyNotConnected,
    Unavailable,
)
from txraker.files.gcodes import GCODES
from txraker.files.places import Place, Roots, names_of
from txraker.interfaces import IFileGuard, IKlippy, IStatusFeed
from txraker.reactor import in_time

ANSWER_WITHIN = 5.0
"""Seconds that Klippy may take to say which file it prints."""

_IN_USE = ("printing", "paused")


class FileInUseUnknown(Unavailable):
    """Klippy is there and can't say which file it prints."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Can't find out which file is being printed: {reason}")


class FileInUse(Forbidden):
    """The printer is using the file. Contract: Moonraker 0.11.0 as measured."""

    def __init__(self) -> None:
        super().__init__("File currently in use")


@implementer(IFileGuard)
@define(eq=False, repr=False)
class PrinterGuard:
    """Asks Klippy. A file is in use from the start of its print to the end, pauses included.

    A file that is loaded and doesn't print, or whose print has ended by a shutdown, isn't in use: so it is
    with Moonraker 0.11.0.
    """

    _clock: IReactorTime
    _klippy: IKlippy
    _status: IStatusFeed

    async def in_use(self) -> str | None:
        if self._klippy.state != "ready":
            return None
        try:
            query = self._status.query({"print_stats": ["filename", "state"]})
            answer = await in_time(query, ANSWER_WITHIN, self._clock)
        except (KlippyNotConnected, KlippyDisconnected):
            return None
        except (ApiError, DeferredTimeout) as problem:
            raise FileInUseUnknown(str(problem) or "Klippy doesn't answer") from None
        job = answer.status.get("print_stats", {})
        name = job.get("filename")
        if job.get("state") not in _IN_USE or not isinstance(name, str):
            return None
        return name.strip("/") or None


async def loaded_place(guard: IFileGuard, roots: Roots, changed: Iterable[Place]) -> Place | None:
    """Return the file that the printer is using, for somebody who wants to change something.

    Raises FileInUseUnknown, but not when only other roots than ``gcodes`` are changed: a configuration is
    mended just when Klippy doesn't answer.
    """
    try:
        name = await guard.in_use()
        return Place(roots.get(GCODES), names_of(name)) if name else None
    except FileInUseUnknown:
        if any(place.root.name == GCODES for place in changed):
            raise
    except BadRequest:  # Klippy prints what has no name that clients could use
        pass
    return None
