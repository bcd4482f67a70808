"""Metadata in the database: the namespace ``gcode_metadata``, a name for each file, as its path in the root.

Nothing is kept in memory but what was just found: it is written together, so that a folder of new files costs
few writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txraker.errors import ApiError, KeyNotFound
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import INamespaces
from txraker.metadata.disk import Version
from txraker.metadata.facts import Metadata

NAMESPACE: Final = "gcode_metadata"

WRITE_AFTER: Final = 2.0
"""Seconds that something may wait to be written; it is found out again if that never happens."""

MOST_UNWRITTEN: Final = 50
"""Files whose metadata may wait to be written."""

PAGE: Final = 50
"""Files whose metadata is looked at in one turn of the reactor."""


class LastPrint(msgspec.Struct, frozen=True):
    """What any server like ours keeps of a file's last print, and of which version that was."""

    size: int = 0
    modified: float = 0.0
    job_id: str | None = None
    print_start_time: float | None = None


@define(eq=False, repr=False)
class Shelf:
    """Metadata by the paths of files. What is put is there at once, and in the database a little later."""

    _namespaces: INamespaces
    _clock: IReactorTime
    _report_fault: FaultReport
    _unwritten: dict[str, Any] = field(factory=dict, init=False)
    _writing: IDelayedCall | None = field(default=None, init=False)

    async def get(self, relative: str) -> Metadata | None:
        """Return a file's metadata, None where there is none. Raises Unavailable."""
        return _metadata(relative, await self._raw(relative))

    async def get_many(self, relatives: Iterable[str]) -> dict[str, Metadata]:
        """Return the metadata of those files that have any. Raises Unavailable."""
        wanted = list(relatives)
        kept = await self._namespaces.get_many(
            NAMESPACE, [relative for relative in wanted if relative not in self._unwritten]
        )
        raws = {relative: self._unwritten.get(relative, kept.get(relative)) for relative in wanted}
        found = {relative: _metadata(relative, raw) for relative, raw in raws.items()}
        return {relative: metadata for relative, metadata in found.items() if metadata is not None}

    async def last_print(self, relative: str, there: Version) -> LastPrint:
        """Return the last print of that version of a file, whoever wrote it down. Raises Unavailable."""
        try:
            last = msgspec.convert(await self._raw(relative), LastPrint)
        except msgspec.ValidationError:
            return LastPrint()
        return last if there == (last.size, last.modified) else LastPrint()

    async def compare(self, there: Mapping[str, Version]) -> tuple[set[str], set[str]]:
        """Return which of those versions of files aren't known, and what is kept of files that aren't there.

        Everything is read for that, but not at once. Raises Unavailable.
        """
        await self.write()
        unknown, gone = set(there), set()
        after = ""
        while page := await self._namespaces.page(NAMESPACE, after, PAGE):
            for relative, raw in page.items():
                after = relative
                known = _metadata(relative, raw)
                if relative not in there:
                    gone.add(relative)
                elif known is not None and known.is_of(*there[relative]):
                    unknown.discard(relative)
        return unknown, gone

    async def move_folder(self, folder: str, target: str | None) -> None:
        """Let what is known of a folder's files go where the folder went; None forgets it.

        It is done in one step, however much that is. Raises Unavailable.
        """
        await self.write()
        if target is None:
            await self._namespaces.forget(NAMESPACE, f"{folder}/")
        else:
            await self._namespaces.rename(NAMESPACE, f"{folder}/", f"{target}/")

    def put(self, values: Mapping[str, Metadata | None]) -> None:
        """Keep metadata by the paths of files; None forgets it."""
        for relative, metadata in values.items():
            self._unwritten[relative] = None if metadata is None else _written(metadata)
        if len(self._unwritten) >= MOST_UNWRITTEN:
            self._write_aside()
        elif self._unwritten and self._writing is None:
            self._writing = self._clock.callLater(WRITE_AFTER, self._write_aside)

    async def write(self) -> None:
        """Write what waits for it. What can't be written is forgotten: it can be found out again."""
        if self._writing is not None and self._writing.active():
            self._writing.cancel()
        self._writing = None
        values = dict(self._unwritten)
        if not values:
            return
        try:
            await self._namespaces.put_many(NAMESPACE, values)
        finally:
            for relative, raw in values.items():
                if self._unwritten.get(relative, ...) is raw:
                    del self._unwritten[relative]

    def _write_aside(self) -> None:
        run_aside(self.write(), "writing metadata", self._report_fault, ApiError)

    async def _raw(self, relative: str) -> Any:
        if relative in self._unwritten:
            return self._unwritten[relative]
        try:
            return await self._namespaces.get(NAMESPACE, [relative])
        except KeyNotFound:
            return None


def _written(metadata: Metadata) -> dict[str, Any]:
    """Return what is written: not the path, which is the name that it is written under."""
    raw: dict[str, Any] = msgspec.to_builtins(metadata)
    del raw["filename"]
    return raw


def _metadata(relative: str, raw: Any) -> Metadata | None:
    if not isinstance(raw, dict):
        return None
    try:
        return msgspec.convert({**raw, "filename": relative}, Metadata)
    except msgspec.ValidationError:
        return None
