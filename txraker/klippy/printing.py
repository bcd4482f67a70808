"""Whether a print is in progress, by Klippy's own word."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from attrs import define
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from txraker.errors import Unavailable
from txraker.interfaces import IKlippy, IStatusFeed
from txraker.reactor import in_time

_T = TypeVar("_T")

ANSWER_WITHIN = 5.0
"""Seconds that Klippy may take to say whether it is printing."""

_CANNOT_PRINT = ("startup", "error", "shutdown")
"""The states in which Klippy, by its own word, isn't printing."""

_BUSY = {"print_stats": ("printing", "paused"), "idle_timeout": ("Printing",)}
"""The printer objects whose ``state`` tells of a print, be it from the virtual SD card or from elsewhere."""


@define(eq=False, repr=False)
class PrintInProgress:
    """Asks Klippy itself: what we know of it may be older than its connection."""

    _clock: IReactorTime
    _klippy: IKlippy
    _status: IStatusFeed

    async def ask(self) -> bool:
        """Say whether there is a print, be it paused.

        Raises KlippyNotConnected and what else IKlippy.request raises, and Unavailable when Klippy doesn't
        answer in time.
        """
        info = await self._in_time(self._klippy.request("info"))
        if info.get("state") in _CANNOT_PRINT:
            return False
        update = await self._in_time(self._status.query({name: ["state"] for name in _BUSY}))
        return any(update.status.get(name, {}).get("state") in busy for name, busy in _BUSY.items())

    async def ask_if_there(self) -> bool:
        """Say the same; without a Klippy there is no print. Raises what else ``ask`` raises."""
        return self._klippy.connected and await self.ask()

    async def _in_time(self, awaitable: Awaitable[_T]) -> _T:
        try:
            return await in_time(awaitable, ANSWER_WITHIN, self._clock)
        except DeferredTimeout:
            raise Unavailable("Klippy doesn't say whether it is printing") from None
