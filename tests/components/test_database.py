"""``server.database.*`` and ``debug.database.*``: what clients are answered, word for word."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, execute, fail, succeed
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.tools import Logged, caller, result_of, start
from txraker.api.caller import Role, Who
from txraker.api.endpoint import endpoints_of
from txraker.authorization.accounts import open_accounts
from txraker.components.database.answers import DatabaseItem
from txraker.components.database.automatic import FIRST_AFTER, LOOK_EVERY, AutomaticBackups
from txraker.components.database.component import DatabaseEndpoints, DebugDatabaseEndpoints
from txraker.errors import ApiError, BadRequest, Forbidden, NotFound, Unavailable
from txraker.interfaces import IComponent
from txraker.storage.backups import Backups
from txraker.storage.database import maintain, migrate, prepare, transact
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS

_T = TypeVar("_T")


@define(eq=False)
class FileDatabase:
    """A database in a file, worked on at once, in the thread of the test."""

    path: Path
    connection: sqlite3.Connection = field(init=False)
    problem: Exception | None = None

    def __attrs_post_init__(self) -> None:
        self.path.parent.mkdir()
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        prepare(self.connection)
        migrate(self.connection, MIGRATIONS, lambda _: None)
        self.connection.execute("PRAGMA journal_mode=WAL")

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        """Do work in a transaction."""
        return fail(self.problem) if self.problem else execute(transact, self.connection, work)

    def maintain(self, work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        """Do work outside a transaction."""
        return fail(self.problem) if self.problem else execute(maintain, self.connection, work)


@define(eq=False)
class DatabaseBench(ComponentBench):
    """A printer with a database."""

    folder: Path = field(kw_only=True)
    now: datetime = field(factory=datetime.now, kw_only=True)
    printing: bool | Exception = False
    restored: list[Any] = field(factory=list)
    trouble: Exception | None = None
    logged: Logged = field(factory=Logged)
    database: FileDatabase = field(init=False)
    component: DatabaseEndpoints = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.database = FileDatabase(self.folder / "database" / "txraker.db")
        namespaces = Namespaces(self.database)  # type: ignore[arg-type]  # as much of IDatabase as is needed
        backups = Backups(self.folder / "backup" / "database", MIGRATIONS, lambda: self.now)
        automatic = AutomaticBackups(
            self.clock, self.database.maintain, backups, self.is_printing, self.faults, self.logged.logger()
        )
        self.component = DatabaseEndpoints(
            namespaces, self.database.maintain, backups, self.is_printing, self.restart, automatic
        )
        self.serve(self.component)
        self.serve(DebugDatabaseEndpoints(namespaces, self.database.maintain, backups))

    def is_printing(self) -> Deferred[bool]:
        """Say whether a print is in progress."""
        return fail(self.printing) if isinstance(self.printing, Exception) else succeed(self.printing)

    async def restart(self) -> None:
        """Be told of a restore."""
        if self.trouble is not None:
            raise self.trouble
        self.restored.append(self.call("server.database.list"))

    def put(self, namespace: str, key: object, value: object) -> Any:
        """Keep something."""
        return self.call("server.database.post_item", namespace=namespace, key=key, value=value)

    def get(self, namespace: str, *key: object) -> Any:
        """Return what was kept."""
        arguments = {"key": key[0]} if key else {}
        return self.call("server.database.get_item", namespace=namespace, **arguments)["value"]

    def error(self, name: str, **arguments: object) -> ApiError:
        """Return the error that a call ends with."""
        error = self.begin(name, **arguments).error
        assert isinstance(error, ApiError)
        return error


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[DatabaseBench]:
    """Have a printer."""
    bench = DatabaseBench(folder=tmp_path)
    yield bench
    bench.database.connection.close()


def test_provides(bench: DatabaseBench) -> None:
    """It is a component by the name that clients look for."""
    assert verifyObject(IComponent, bench.component)
    assert bench.component.name == "database"


def test_items(bench: DatabaseBench) -> None:
    """What is put is answered, and so is what is read and deleted, with the key as it was given."""
    put = bench.put("fluidd", "uiSettings.general", {"a": 1})
    assert put == {"namespace": "fluidd", "key": "uiSettings.general", "value": {"a": 1}}
    key = ["uiSettings", "general", "a"]
    assert bench.call("server.database.get_item", namespace="fluidd", key=key) == {
        "namespace": "fluidd",
        "key": key,
        "value": 1,
    }
    for arguments in ({}, {"key": None}):
        assert bench.call("server.database.get_item", namespace="fluidd", **arguments) == {
            "namespace": "fluidd",
            "key": None,
            "value": {"uiSettings": {"general": {"a": 1}}},
        }
    deleted = bench.call("server.database.delete_item", namespace="fluidd", key="uiSettings")
    assert deleted == {"namespace": "fluidd", "key": "uiSettings", "value": {"general": {"a": 1}}}
    assert bench.call("server.database.list")["namespaces"] == [
        "announcements",
        "gcode_metadata",
        "moonraker",
    ]


def test_names_with_dots(bench: DatabaseBench) -> None:
    """A name with a dot in it is given in a list."""
    bench.put("n", ["part 1.gcode", "size"], 5)
    assert bench.get("n") == {"part 1.gcode": {"size": 5}}
    assert bench.get("n", ["part 1.gcode"]) == {"size": 5}
    assert isinstance(bench.error("server.database.get_item", namespace="n", key="part 1.gcode"), NotFound)


def test_handed_on(bench: DatabaseBench) -> None:
    """What is read isn't decoded on its way: that would take many times its memory."""
    bench.put("n", "k.k", {"a": [1]})
    for key in (None, "k", ["k", "k", "a"]):
        item = bench.begin("server.database.get_item", namespace="n", key=key).result()
        assert isinstance(item, DatabaseItem)
        assert isinstance(item.value, msgspec.Raw)


def test_list(bench: DatabaseBench) -> None:
    """Namespaces and backups are listed, whatever else a client says."""
    bench.put("mainsail", "a", 1)
    assert bench.call("server.database.list", root="config") == {
        "namespaces": ["announcements", "gcode_metadata", "mainsail", "moonraker"],
        "backups": [],
    }


def test_null(bench: DatabaseBench) -> None:
    """A null is answered, and reads back as not found."""
    assert bench.put("n", "k", None) == {"namespace": "n", "key": "k", "value": None}
    error = bench.error("server.database.get_item", namespace="n", key="k")
    assert str(error) == "Key 'k' in namespace 'n' not found"


@pytest.mark.parametrize(
    ("namespace", "key", "words"),
    [
        ("nope", None, "Namespace nope not found"),
        ("nope", "a.b", "Key 'a' in namespace 'nope' not found"),
        ("nope", ["a", "b"], "Key 'a' in namespace 'nope' not found"),
        ("n", "a.c", "Key 'a.c' in namespace 'n' not found"),
        ("n", ["a", "c"], "Key '['a', 'c']' in namespace 'n' not found"),
        ("n", ["a.c"], "Key 'a.c' in namespace 'n' not found"),
        ("n", "a.l.0", "Key 'a.l.0' in namespace 'n' not found"),
    ],
)
def test_not_found(bench: DatabaseBench, namespace: str, key: object, words: str) -> None:
    """What isn't found is said in the words that clients compare."""
    bench.put("n", "a", {"b": 1, "l": [1]})
    error = bench.error("server.database.get_item", namespace=namespace, key=key)
    assert isinstance(error, NotFound)
    assert (str(error), error.jsonrpc_code, error.http_status) == (words, -32601, 404)
    if key is not None:
        assert str(bench.error("server.database.delete_item", namespace=namespace, key=key)) == words


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", [], [""], ["a", ""]])
def test_bad_keys(bench: DatabaseBench, key: object) -> None:
    """A key with an empty name is refused as it was given."""
    for name, more in (("get_item", {}), ("post_item", {"value": 1}), ("delete_item", {})):
        error = bench.error(f"server.database.{name}", namespace="n", key=key, **more)
        assert isinstance(error, BadRequest)
        assert str(error) == f"Invalid Key Format: '{key}'"


@pytest.mark.parametrize("key", [5, 1.5, True, {"a": 1}, ["a", 1], [["a"]]])
def test_keys_of_other_types(bench: DatabaseBench, key: object) -> None:
    """A key is text or a list of texts."""
    error = bench.error("server.database.get_item", namespace="n", key=key)
    assert isinstance(error, BadRequest)
    assert "must be text or a list of texts" in str(error)


def test_missing_arguments(bench: DatabaseBench) -> None:
    """Without a namespace, a key or a value nothing is put."""
    arguments = {"namespace": "n", "key": "k", "value": 1}
    for name in arguments:
        rest = {other: value for other, value in arguments.items() if other != name}
        assert str(bench.error("server.database.post_item", **rest)) == f"Missing argument '{name}'"
    assert isinstance(bench.error("server.database.delete_item", namespace="n"), BadRequest)


@pytest.mark.parametrize("namespace", ["announcements", "gcode_metadata", "moonraker", "update_manager"])
def test_protected(bench: DatabaseBench, namespace: str) -> None:
    """The server's own namespaces may be read, and not written to."""
    words = f"Write access to namespace '{namespace}' is forbidden"
    for name, more in (("post_item", {"value": 1}), ("delete_item", {})):
        error = bench.error(f"server.database.{name}", namespace=namespace, key="a", **more)
        assert isinstance(error, Forbidden)
        assert str(error) == words
    if namespace != "update_manager":
        assert bench.get(namespace) == {}
    bench.call("debug.database.post_item", namespace=namespace, key="a.b", value=1)
    assert bench.get(namespace, "a.b") == 1


def test_forbidden(bench: DatabaseBench) -> None:
    """One namespace may not even be read, and isn't listed; developers may."""
    words = "Read/Write access to namespace 'database' is forbidden"
    for name, more in (("get_item", {}), ("post_item", {"value": 1}), ("delete_item", {})):
        assert str(bench.error(f"server.database.{name}", namespace="database", key="a", **more)) == words
    bench.call("debug.database.post_item", namespace="database", key="a", value=1)
    assert "database" not in bench.call("server.database.list")["namespaces"]
    assert "database" in bench.call("debug.database.list")["namespaces"]
    assert bench.call("debug.database.get_item", namespace="database")["value"] == {"a": 1}
    assert bench.call("debug.database.delete_item", namespace="database", key="a")["value"] == 1


@pytest.mark.parametrize(
    "namespace", ["webcams", "history", "job_queue", "authorized_users", "timelapse", "", "a b/ü"]
)
def test_others_are_free(bench: DatabaseBench, namespace: str) -> None:
    """Any other namespace is the clients'."""
    bench.put(namespace, "a.b", 1)
    assert bench.get(namespace) == {"a": {"b": 1}}


def test_compact(bench: DatabaseBench) -> None:
    """Sizes before and after are answered."""
    bench.put("n", "k", "x" * 500_000)
    bench.call("server.database.delete_item", namespace="n", key="k")
    sizes = bench.call("server.database.compact")
    assert sizes["previous_size"] > 500_000
    assert sizes["new_size"] == bench.database.path.stat().st_size < 100_000


def test_backup_and_restore(bench: DatabaseBench) -> None:
    """A backup is made, listed, restored and deleted; after a restore the server is told."""
    bench.put("fluidd", "k", "old")
    path = str(bench.folder / "backup" / "database" / "a.db")
    assert bench.call("server.database.post_backup", filename="a.db") == {"backup_path": path}
    bench.put("fluidd", "k", "new")
    bench.put("later", "k", 1)
    restored = bench.call("server.database.restore", filename="a.db")
    assert restored["restored_namespaces"] == ["fluidd"]
    assert restored["restored_tables"][:2] == ["users", "secrets"]
    assert bench.get("fluidd", "k") == "old"
    before = f"before-restore-{bench.now:%Y%m%d-%H%M%S}.db"
    assert bench.restored[0]["namespaces"] == ["announcements", "fluidd", "gcode_metadata", "moonraker"]
    assert bench.call("server.database.list")["backups"] == ["a.db", before]
    assert bench.call("server.database.delete_backup", filename="a.db") == {"backup_path": path}
    assert bench.call("server.database.list")["backups"] == [before]


def test_name_of_a_backup(bench: DatabaseBench) -> None:
    """A backup without a name is named for the time."""
    path = bench.call("server.database.post_backup")["backup_path"]
    assert path.endswith(f"/sqldb-backup-{bench.now:%Y%m%d-%H%M%S}.db")


def test_bad_backups(bench: DatabaseBench) -> None:
    """What isn't there, or can't be, is told in the words of before."""
    path = bench.folder / "backup" / "database" / "no.db"
    assert (
        str(bench.error("server.database.delete_backup", filename="no.db"))
        == "Backup file no.db does not exist"
    )
    assert (
        str(bench.error("server.database.restore", filename="no.db"))
        == f"Restoration File {path} does not exist"
    )
    for name in ("post_backup", "delete_backup", "restore"):
        assert str(bench.error(f"server.database.{name}", filename="../z.db")) == "Invalid name ../z.db."
    assert bench.restored == []


def test_printing(bench: DatabaseBench) -> None:
    """While printing the database isn't compacted, backed up or restored; the rest goes on."""
    bench.call("server.database.post_backup", filename="a.db")
    for printing, kind in ((True, BadRequest), (Unavailable("Klippy doesn't say"), Unavailable)):
        bench.printing = printing
        for name, word in (("compact", "compact"), ("post_backup", "backup"), ("restore", "restore")):
            arguments = {"filename": "a.db"} if name == "restore" else {}
            error = bench.error(f"server.database.{name}", **arguments)
            assert isinstance(error, kind)
            if printing is True:
                assert str(error) == f"Cannot {word} when Klipper is printing"
    assert bench.put("n", "k", 1)["value"] == 1
    assert bench.call("server.database.delete_backup", filename="a.db")
    assert bench.restored == []


def test_restart_that_fails(bench: DatabaseBench) -> None:
    """When the server can't be restarted after a restore, both are told."""
    bench.put("n", "k", "old")
    bench.call("server.database.post_backup", filename="a.db")
    bench.trouble = BadRequest("The configuration can't be used: [server]")
    error = bench.error("server.database.restore", filename="a.db")
    assert "The backup was restored, but the server needs a restart: The configuration" in str(error)


def test_no_database(bench: DatabaseBench) -> None:
    """Without a database every call says why."""
    bench.database.problem = Unavailable("txraker.db: it is in use by another server")
    for endpoint in endpoints_of(bench.component):
        arguments = {"namespace": "n", "key": "k", "value": 1, "filename": "a.db"}
        assert str(bench.error(endpoint.name, **arguments)) == str(bench.database.problem)


def test_roles(bench: DatabaseBench) -> None:
    """A viewer reads, an operator keeps what clients keep, and the rest is an administrator's."""
    roles = {endpoint.name: endpoint.role for endpoint in bench.dispatcher.endpoints()}
    by_role = {
        Role.VIEWER: {"server.database.list", "server.database.get_item"},
        Role.OPERATOR: {"server.database.post_item", "server.database.delete_item"},
    }
    for name, role in roles.items():
        assert name in by_role.get(role, {name})
    assert [
        name for name, role in roles.items() if name.startswith("debug.") and role is not Role.ADMIN
    ] == []
    viewer = caller(who=Who("ann", Role.VIEWER))
    denied = bench.begin("server.database.post_item", viewer, namespace="n", key="k", value=1).error
    assert isinstance(denied, ApiError)


def test_debug_list(bench: DatabaseBench) -> None:
    """Developers see the tables, too."""
    listed = bench.call("debug.database.list")
    assert listed["backups"] == []
    assert {"users", "secrets", "api_tokens", "namespaces", "imported_jobs", "imported_totals"} == set(
        listed["tables"]
    )


def test_table(bench: DatabaseBench) -> None:
    """A table's rows are shown with what they hold as JSON, and with their number."""
    bench.put("fluidd", "k", {"a": [1]})
    assert bench.call("debug.database.table", table="namespaces") == {
        "table_name": "namespaces",
        "rows": [{"rowid": 1, "namespace": "fluidd", "key": "k", "value": {"a": [1]}}],
    }
    bench.database.connection.execute(
        "INSERT INTO imported_jobs (job_id, filename, metadata) VALUES (7, 'a.gcode', ?)", (b"\xff\x00",)
    )
    row = bench.call("debug.database.table", table="imported_jobs")["rows"][0]
    assert (row["job_id"], row["filename"], row["metadata"], row["status"]) == (7, "a.gcode", "ff00", None)


@pytest.mark.parametrize("table", ["nope", "", "sqlite_master", 'users" --', "users; DROP TABLE users"])
def test_no_such_table(bench: DatabaseBench, table: str) -> None:
    """Only tables of ours are shown."""
    error = bench.error("debug.database.table", table=table)
    assert isinstance(error, NotFound)
    assert str(error) == f"Table name '{table}' does not exist"


def test_secrets(bench: DatabaseBench) -> None:
    """No table shows anything that would let somebody in."""
    accounts = open_accounts(bench.database, execute, lambda: 1e9)  # type: ignore[arg-type]
    result_of(accounts.load())
    result_of(accounts.create("alice", "secret", Role.ADMIN, lambda: None))
    result_of(accounts.keys.create("slicer", Role.OPERATOR, None, "alice", lambda: None))
    alice, token = accounts.users["alice"], accounts.keys.tokens["slicer"]
    kept = dict(bench.database.connection.execute("SELECT name, value FROM secrets"))
    shown = str(
        [
            bench.call("debug.database.table", table=table)
            for table in bench.call("debug.database.list")["tables"]
        ]
    )
    secrets = [alice.password, alice.session, accounts.keys.api_key, token.digest, kept["signing_key"].hex()]
    assert all(secret for secret in secrets)
    assert not [secret for secret in secrets if str(secret) in shown]
    assert "alice" in shown
    assert "slicer" in shown
    assert shown.count("'***'") == 5


def backups_of(bench: DatabaseBench) -> list[str]:
    """Return the names of the backups."""
    names: list[str] = bench.call("server.database.list")["backups"]
    return names


def test_automatic(bench: DatabaseBench) -> None:
    """Some time after the start a backup is made; it is looked every hour, and another made when due."""
    bench.component.start()
    bench.clock.advance(FIRST_AFTER - 1)
    assert backups_of(bench) == []
    bench.clock.advance(1)
    assert backups_of(bench) == [f"auto-{bench.now:%Y%m%d-%H%M%S}.db"]
    assert bench.logged.saying("backed up to")
    bench.put("n", "k", 1)
    for _ in range(10):
        bench.now += timedelta(hours=1)
        bench.clock.advance(LOOK_EVERY)
    assert len(backups_of(bench)) == 1
    bench.now += timedelta(days=1)
    bench.clock.advance(LOOK_EVERY)
    assert len(backups_of(bench)) == 2
    bench.component.stop()
    assert bench.clock.getDelayedCalls() == []
    bench.component.stop()


def test_automatic_and_printing(bench: DatabaseBench) -> None:
    """While printing, or while that isn't known, no backup is made; after that it is."""
    bench.component.start()
    bench.printing = True
    bench.clock.advance(FIRST_AFTER)
    bench.printing = Unavailable("Klippy doesn't say whether it is printing")
    bench.clock.advance(LOOK_EVERY)
    assert backups_of(bench) == []
    bench.printing = False
    bench.clock.advance(LOOK_EVERY)
    assert len(backups_of(bench)) == 1
    assert bench.faults.seen == []


def test_automatic_that_fails(bench: DatabaseBench) -> None:
    """A backup that can't be made is a line in the log, and is tried again."""
    bench.folder.joinpath("backup").write_text("in the way")
    bench.component.start()
    bench.clock.advance(FIRST_AFTER)
    assert bench.logged.saying("There can be no automatic backup")
    os.remove(bench.folder / "backup")
    bench.clock.advance(LOOK_EVERY)
    assert len(backups_of(bench)) == 1
    assert bench.faults.seen == []


def test_unfinished(bench: DatabaseBench) -> None:
    """What takes long in the database is waited for."""
    waiting = Deferred[Any]()
    bench.component._maintain = lambda work: waiting
    outcome = start(bench.component.compact(caller()))
    assert not outcome.done
    waiting.cancel()
    assert outcome.done
