"""Builds the ``database`` component."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from txraker.components.database.automatic import AutomaticBackups
from txraker.components.database.component import DatabaseEndpoints, DebugDatabaseEndpoints
from txraker.kept import Kept
from txraker.klippy.printing import PrintInProgress
from txraker.loader import ComponentLoader


def load_database(
    loader: ComponentLoader,
    kept: Kept,
    printing: PrintInProgress,
    restart: Callable[[], Awaitable[None]],
    *,
    has_debug_features: bool,
) -> list[DebugDatabaseEndpoints]:
    """Load the component, and return what is there for debugging, if that is wanted."""

    async def restored() -> None:
        await kept.replaced()
        await restart()

    def database() -> DatabaseEndpoints:
        automatic = AutomaticBackups(
            loader.reactor,
            kept.maintain,
            kept.backups,
            printing.ask_if_there,
            loader.report_fault,
            loader.log,
        )
        return DatabaseEndpoints(
            kept.namespaces, kept.maintain, kept.backups, printing.ask_if_there, restored, automatic
        )

    loader.load("database", database)
    if not has_debug_features:
        return []
    return [DebugDatabaseEndpoints(kept.namespaces, kept.maintain, kept.backups)]
