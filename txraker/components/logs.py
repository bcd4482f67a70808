"""``server.logs.rollover``: put a log file aside and start a fresh one.

Contract: "Rollover Logs" of the server administration document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from attrs import define, field
from msgspec import Meta
from twisted.internet.defer import DeferredLock

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import POST, endpoint
from txraker.errors import ApiError, BadRequest
from txraker.interfaces import ILogFile

_OWN_NAMES = {"txraker": "moonraker"}


class Rollover(msgspec.Struct, frozen=True):
    """Which applications' logs were rolled over, and why others were not."""

    rolled_over: list[str]
    failed: dict[str, str]


@define(eq=False, repr=False)
class Logs:
    """Rolls over the logs of applications, each on its own: one that fails never hides another.

    The lock is shared by the servers of one printer that follow one another at a restart.
    """

    _files: Mapping[str, ILogFile]
    _one_at_a_time: DeferredLock = field(factory=DeferredLock)

    @endpoint("server.logs.rollover", POST, "/server/logs/rollover", role=Role.ADMIN, audit=("application",))
    async def rollover(
        self,
        caller: Caller,
        *,
        application: Annotated[
            str | None,
            Meta(description="`moonraker` (this server) or `klipper`; all of them if not given."),
        ] = None,
    ) -> Rollover:
        """Roll over one application's log, or all logs.

        An application whose log can't be rolled over is listed in `failed` with the reason. Calls are worked
        off one after the other. Klipper's service is stopped for a moment, which is refused while a print is
        in progress, be it paused.
        """
        wanted = list(self._files)
        if application is not None:
            name = _OWN_NAMES.get(application, application)
            if name not in self._files:
                raise BadRequest(f"Unknown application {application}")
            wanted = [name]
        await self._one_at_a_time.acquire()
        try:
            return await self._roll(wanted)
        finally:
            self._one_at_a_time.release()

    async def finished(self) -> None:
        """Return when no rollover is under way: if we ended amid one, Klipper would stay stopped."""
        await self._one_at_a_time.acquire()
        self._one_at_a_time.release()

    async def _roll(self, names: Iterable[str]) -> Rollover:
        rolled_over, failed = [], {}
        for name in names:
            try:
                await self._files[name].rollover()
                rolled_over.append(name)
            except ApiError as error:
                failed[name] = str(error)
        return Rollover(rolled_over, failed)
