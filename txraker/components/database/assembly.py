"""Builds the ``database`` component."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txraker.components.database.automatic import AutomaticBackups
from txraker.components.database.component import DatabaseEndpoints, DebugDatabaseEndpoints
from txraker.faults import FaultReport
from txraker.kept import Kept
from txraker.klippy.printing import PrintInProgress
from txraker.loader import ComponentLoader


def load_database(
    loader: ComponentLoader,
    kept: Kept,
    clock: IReactorTime,
    printing: PrintInProgress,
    restart: Callable[[], Awaitable[None]],
    report_fault: FaultReport,
    log: Logger,
    *,
    has_debug_features: bool,
) -> list[DebugDatabaseEndpoints]:
    """Load the component, and return what is there for debugging, if that is wanted."""

    async def restored() -> None:
        await kept.replaced()
        await restart()

    def database() -> DatabaseEndpoints:
        automatic = AutomaticBackups(
            clock, kept.maintain, kept.backups, printing.ask_if_there, report_fault, log
        )
        return DatabaseEndpoints(
            kept.namespaces, kept.maintain, kept.backups, printing.ask_if_there, restored, automatic
        )

    loader.load("database", database)
    if not has_debug_features:
        return []
    return [DebugDatabaseEndpoints(kept.namespaces, kept.maintain, kept.backups)]
