"""``server.database.*``: namespaces of clients, and backups of the whole database.

Contract: "Database Management" of Moonraker's API. What may be read and written was measured on Moonraker
0.11.0, and so were the words of errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from attrs import define, field
from msgspec import Meta
from zope.interface import implementer

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.components.database.answers import (
    BackupPath,
    Compacted,
    DatabaseInfo,
    DatabaseItem,
    DatabaseTable,
    DatabaseTables,
    RestoredDatabase,
)
from txraker.components.database.automatic import AutomaticBackups
from txraker.components.database.items import (
    FORBIDDEN,
    OURS,
    KeyParameter,
    NamespaceParameter,
    OptionalKeyParameter,
    check_readable,
    check_writable,
    delete_item,
    get_item,
    post_item,
)
from txraker.components.database.tables import read_table
from txraker.errors import ApiError, BadRequest, Unavailable
from txraker.interfaces import IComponent, INamespaces
from txraker.storage.backups import Backups
from txraker.storage.copies import tables_in
from txraker.storage.maintenance import Maintain, compact

BackupParameter = Annotated[str, Meta(description="The name of a backup, as it is listed.")]
ValueParameter = Annotated[Any | None, Meta(description="What to keep: any JSON.")]


@implementer(IComponent)
@define(eq=False, repr=False)
class DatabaseEndpoints:
    """Provides IComponent. ``restored`` is called when the database's whole content has been replaced."""

    name: str = field(default="database", init=False)
    _namespaces: INamespaces
    _maintain: Maintain
    _backups: Backups
    _is_printing: Callable[[], Awaitable[bool]]
    _restored: Callable[[], Awaitable[None]]
    _automatic: AutomaticBackups

    def start(self) -> None:
        self._automatic.start()

    def stop(self) -> None:
        self._automatic.stop()

    @endpoint("server.database.list", GET, "/server/database/list")
    async def database_list(self, caller: Caller) -> DatabaseInfo:
        """Return the names of all namespaces that may be read, and of all backups."""
        names = OURS.union(await self._namespaces.names()) - FORBIDDEN
        return DatabaseInfo(sorted(names), await self._backup_names())

    @endpoint("server.database.get_item", GET, "/server/database/item")
    async def get_item(
        self, caller: Caller, *, namespace: NamespaceParameter, key: OptionalKeyParameter = None
    ) -> DatabaseItem:
        """Return a value from a namespace, or without a key the whole namespace.

        A null that is a value by itself, not within one, counts as not found.
        """
        check_readable(namespace)
        return await get_item(self._namespaces, namespace, key)

    @endpoint("server.database.post_item", POST, "/server/database/item", audit=("namespace", "key"))
    async def post_item(
        self,
        caller: Caller,
        *,
        namespace: NamespaceParameter,
        key: KeyParameter,
        value: ValueParameter,
    ) -> DatabaseItem:
        """Keep a value in a namespace, in the place of what is there.

        The namespace, and objects that the key leads through, are made if they aren't there.
        """
        check_writable(namespace)
        return await post_item(self._namespaces, namespace, key, value)

    @endpoint("server.database.delete_item", DELETE, "/server/database/item", audit=("namespace", "key"))
    async def delete_item(
        self, caller: Caller, *, namespace: NamespaceParameter, key: KeyParameter
    ) -> DatabaseItem:
        """Forget a value in a namespace and return it. A namespace that is empty then is gone."""
        check_writable(namespace)
        return await delete_item(self._namespaces, namespace, key)

    @endpoint("server.database.compact", POST, "/server/database/compact", role=Role.ADMIN)
    async def compact(self, caller: Caller) -> Compacted:
        """Write the database's file anew, without what was deleted. Refused while printing."""
        await self._refuse_while_printing("compact")
        sizes = await self._maintain(compact)
        return Compacted(sizes.before, sizes.after)

    @endpoint(
        "server.database.post_backup", POST, "/server/database/backup", role=Role.ADMIN, audit=("filename",)
    )
    async def post_backup(
        self,
        caller: Caller,
        *,
        filename: Annotated[
            str | None,
            Meta(description="Its name; made of the time if not given. One that is there is replaced."),
        ] = None,
    ) -> BackupPath:
        """Make a backup of the database in `backup/database` of the data path. Refused while printing.

        It holds the users and keys, too: keep it where nobody else can read it.
        """
        await self._refuse_while_printing("backup")
        return BackupPath(str(await self._maintain(partial(self._backups.make, name=filename))))

    @endpoint(
        "server.database.delete_backup",
        DELETE,
        "/server/database/backup",
        role=Role.ADMIN,
        audit=("filename",),
    )
    async def delete_backup(self, caller: Caller, *, filename: BackupParameter) -> BackupPath:
        """Delete a backup of the database."""
        return BackupPath(str(await self._maintain(lambda _: self._backups.delete(filename))))

    @endpoint(
        "server.database.restore", POST, "/server/database/restore", role=Role.ADMIN, audit=("filename",)
    )
    async def restore(self, caller: Caller, *, filename: BackupParameter) -> RestoredDatabase:
        """Replace the database's content by that of a backup, and restart the server. Refused while printing.

        Users and keys are those of the backup then. A backup of what there was is made before.
        """
        await self._refuse_while_printing("restore")
        restored = await self._maintain(partial(self._backups.restore, name=filename))
        try:
            await self._restored()
        except ApiError as problem:
            raise Unavailable(
                f"The backup was restored, but the server needs a restart: {problem}"
            ) from problem
        return RestoredDatabase(restored.tables, restored.namespaces)

    async def _backup_names(self) -> list[str]:
        return await self._maintain(lambda _: self._backups.names())

    async def _refuse_while_printing(self, what: str) -> None:
        if await self._is_printing():
            raise BadRequest(f"Cannot {what} when Klipper is printing")


@define(eq=False, repr=False)
class DebugDatabaseEndpoints:
    """``debug.database.*``: for developers, who may read and write every namespace."""

    _namespaces: INamespaces
    _maintain: Maintain
    _backups: Backups

    @endpoint("debug.database.list", GET, "/debug/database/list", role=Role.ADMIN)
    async def database_list(self, caller: Caller) -> DatabaseTables:
        """Return the names of all namespaces, backups and tables."""
        backups = await self._maintain(lambda _: self._backups.names())
        tables = await self._maintain(tables_in)
        return DatabaseTables(sorted(OURS.union(await self._namespaces.names())), backups, tables)

    @endpoint("debug.database.get_item", GET, "/debug/database/item", role=Role.ADMIN)
    async def get_item(
        self, caller: Caller, *, namespace: NamespaceParameter, key: OptionalKeyParameter = None
    ) -> DatabaseItem:
        """Return a value from any namespace, or without a key the whole namespace."""
        return await get_item(self._namespaces, namespace, key)

    @endpoint(
        "debug.database.post_item", POST, "/debug/database/item", role=Role.ADMIN, audit=("namespace", "key")
    )
    async def post_item(
        self,
        caller: Caller,
        *,
        namespace: NamespaceParameter,
        key: KeyParameter,
        value: ValueParameter,
    ) -> DatabaseItem:
        """Keep a value in any namespace. What is changed in the server's own may break it."""
        return await post_item(self._namespaces, namespace, key, value)

    @endpoint(
        "debug.database.delete_item",
        DELETE,
        "/debug/database/item",
        role=Role.ADMIN,
        audit=("namespace", "key"),
    )
    async def delete_item(
        self, caller: Caller, *, namespace: NamespaceParameter, key: KeyParameter
    ) -> DatabaseItem:
        """Forget a value in any namespace and return it."""
        return await delete_item(self._namespaces, namespace, key)

    @endpoint("debug.database.table", GET, "/debug/database/table", role=Role.ADMIN)
    async def table(
        self, caller: Caller, *, table: Annotated[str, Meta(description="The name of the table.")]
    ) -> DatabaseTable:
        """Return all rows of a table. What is kept of passwords and keys is masked."""
        return DatabaseTable(table, await self._maintain(partial(read_table, name=table)))
