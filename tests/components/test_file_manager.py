"""``server.files.*`` as clients call it, on a printer's data in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench
from tests.files.tree import BENCHY, Tree, other_disk
from tests.tools import caller, start
from txraker.api.audit import AuditEntry
from txraker.api.caller import TRUSTED, Role, Transport
from txraker.components.file_manager.component import FileManager
from txraker.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound, Unavailable
from txraker.events import FileChange
from txraker.files.changes import Changes
from txraker.files.guard import FileInUseUnknown
from txraker.files.listing import FileInfo
from txraker.interfaces import IComponent
from txraker.klippy.host import KlippyHost
from txraker.testing.guard import MemoryGuard
from txraker.testing.threads import at_once

_T = TypeVar("_T")

VIEWER = caller(who=msgspec.structs.replace(TRUSTED, role=Role.VIEWER))
OPERATOR = caller(who=msgspec.structs.replace(TRUSTED, role=Role.OPERATOR))


@define(eq=False)
class Slow:
    """Work in another thread, which goes on when its test says so."""

    waiting: list[Callable[[], None]] = field(factory=list)

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()

        def do() -> None:
            at_once(work).chainDeferred(done)

        self.waiting.append(do)
        return done

    def go_on(self) -> None:
        """Do what was waiting first."""
        self.waiting.pop(0)()


@define(eq=False)
class FilesBench(ComponentBench):
    """A file manager on its bench."""

    folder: Path = field(kw_only=True)
    writes: Any = at_once
    copies: Any = at_once
    tree: Tree = field(init=False)
    guard: MemoryGuard = field(factory=MemoryGuard)
    changes: list[FileChange] = field(factory=list)
    asked: list[list[str]] = field(factory=list)
    component: FileManager = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.tree = Tree(self.folder / "pi")
        self.component = FileManager(
            self.tree.roots,
            self.tree.disk,
            Changes(self.tree.roots, self.guard, self.writes, self.copies, self.changes.append),
            self.klippy,
            self.events,
            at_once,
            self.clock,
            self.faults,
            self.metadata,
        )
        self.component.start()
        self.serve(self.component)

    async def metadata(self, files: Sequence[FileInfo]) -> Mapping[str, Mapping[str, Any]]:
        """Know a gear."""
        self.asked.append([file.path for file in files])
        known = {"size": 1, "filename": "parts/gear.gcode", "estimated_time": 5, "slicer": "OrcaSlicer"}
        return {"parts/gear.gcode": known}


@pytest.fixture
def bench(tmp_path: Path) -> FilesBench:
    """Make a file manager."""
    return FilesBench(folder=tmp_path)


def test_provides(bench: FilesBench) -> None:
    """The component provides what it says, under the name Moonraker has for it."""
    assert verifyObject(IComponent, bench.component)
    assert bench.component.name == "file_manager"


def test_list(bench: FilesBench) -> None:
    """The list is a bare array of files, by default of gcodes."""
    about = (bench.tree.data / "gcodes/benchy.gcode").stat()
    found = bench.call("server.files.list", VIEWER)
    assert found[0] == {
        "path": "benchy.gcode",
        "modified": about.st_mtime,
        "size": about.st_size,
        "permissions": "rw",
    }
    assert [file["path"] for file in bench.call("server.files.list", VIEWER, root="logs")] == ["klippy.log"]


def test_unknown_roots(bench: FilesBench) -> None:
    """A root that isn't there is refused by its name."""
    for method, arguments in (
        ("server.files.list", {"root": "nosuch"}),
        ("server.files.get_directory", {"path": "nosuch/x"}),
        ("server.files.post_directory", {"path": "nosuch/x"}),
        ("server.files.move", {"source": "nosuch/x", "dest": "gcodes"}),
        ("server.files.zip", {"dest": "config/x.zip", "items": ["nosuch"]}),
    ):
        with pytest.raises(BadRequest, match="Invalid root path 'nosuch'"):
            bench.call(method, **arguments)


def test_roots(bench: FilesBench) -> None:
    """The roots are told with their folders and permissions."""
    assert bench.call("server.files.roots", VIEWER) == [
        {"name": "config", "path": str(bench.tree.data / "config"), "permissions": "rw"},
        {"name": "logs", "path": str(bench.tree.data / "logs"), "permissions": "r"},
        {"name": "gcodes", "path": str(bench.tree.data / "gcodes"), "permissions": "rw"},
    ]


def test_get_directory(bench: FilesBench) -> None:
    """A folder is told with files, folders, disk and root, as real Moonraker does."""
    found = bench.call("server.files.get_directory", VIEWER)
    assert set(found) == {"dirs", "files", "disk_usage", "root_info"}
    assert found["root_info"] == {"name": "gcodes", "permissions": "rw"}
    assert set(found["disk_usage"]) == {"total", "used", "free"}
    (folder,) = found["dirs"]
    assert (set(folder), folder["dirname"]) == ({"modified", "size", "permissions", "dirname"}, "parts")
    (file,) = found["files"]
    assert (set(file), file["filename"]) == ({"modified", "size", "permissions", "filename"}, "benchy.gcode")
    assert bench.asked == []


def test_get_directory_extended(bench: FilesBench) -> None:
    """Metadata of gcode files is put beside their own fields, none of which it replaces."""
    bench.tree.write("printer_data/gcodes/parts/readme.txt", "")
    found = bench.call("server.files.get_directory", path="gcodes/parts", extended="true")
    gear, readme = found["files"]
    assert (gear["filename"], gear["size"], gear["slicer"]) == ("gear.gcode", len(BENCHY), "OrcaSlicer")
    assert set(readme) == {"modified", "size", "permissions", "filename"}
    assert bench.asked == [["parts/gear.gcode"]]
    bench.call("server.files.get_directory", path="config", extended=True)
    assert len(bench.asked) == 1


def test_answers_and_changes(bench: FilesBench) -> None:
    """Each operation answers what has happened, as documented, and everybody is told the same once."""
    made = bench.call("server.files.post_directory", path="gcodes/new")
    assert (made["action"], set(made)) == ("create_dir", {"action", "item"})
    assert set(made["item"]) == {"root", "path", "modified", "size", "permissions"}
    moved = bench.call("server.files.move", source="gcodes/benchy.gcode", dest="gcodes/new")
    assert moved["source_item"] == {"root": "gcodes", "path": "benchy.gcode"}
    assert (moved["action"], moved["item"]["path"]) == ("move_file", "new/benchy.gcode")
    copied = bench.call("server.files.copy", source="gcodes/new", dest="config/new")
    assert (copied["action"], copied["item"]["root"]) == ("create_dir", "config")
    gone = bench.call("server.files.delete_directory", path="config/new", force="true")
    assert gone == {
        "action": "delete_dir",
        "item": {"root": "config", "path": "new", "modified": 0, "size": 0, "permissions": ""},
    }
    gone = bench.call("server.files.delete_file", path="gcodes/new/benchy.gcode")
    assert gone["action"] == "delete_file"
    assert [change.action for change in bench.changes] == [
        "create_dir",
        "move_file",
        "create_dir",
        "delete_dir",
        "delete_file",
    ]


def test_zip(bench: FilesBench) -> None:
    """An archive is told as its destination; everybody is told of a new file."""
    found = bench.call("server.files.zip", dest="config/a.zip", items=["gcodes"], store_only=True)
    assert (found["action"], found["destination"]["path"]) == ("zip_files", "a.zip")
    assert [change.action for change in bench.changes] == ["create_file"]
    with ZipFile(bench.tree.data / "config/a.zip") as archive:
        assert archive.namelist() == ["gcodes/benchy.gcode", "gcodes/parts/gear.gcode"]


def test_zip_by_default(bench: FilesBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a destination an archive is named by the time of day."""
    bench.clock.advance(1700000000)
    found = bench.call("server.files.zip", items="config/printer.cfg,logs")
    assert found["destination"]["root"] == "config"
    assert found["destination"]["path"].startswith("collection-2023111")
    with pytest.raises(BadRequest, match="At least one file or directory must be specified"):
        bench.call("server.files.zip", items=[])


def test_nothing_is_told_of_what_failed(bench: FilesBench) -> None:
    """What was refused, or has changed nothing, is told to nobody else."""
    with pytest.raises(BadRequest):
        bench.call("server.files.delete_file", path="gcodes/gone")
    with pytest.raises(MethodNotAllowed):
        bench.call("server.files.delete_directory", path="logs")
    bench.call("server.files.move", source="gcodes/parts", dest="gcodes/parts")
    assert bench.changes == []


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("server.files.post_directory", {"path": "config/x"}),
    ("server.files.delete_directory", {"path": "config/x"}),
    ("server.files.delete_file", {"path": "config/printer.cfg"}),
    ("server.files.move", {"source": "config/printer.cfg", "dest": "gcodes/x"}),
    ("server.files.move", {"source": "gcodes/benchy.gcode", "dest": "config/x"}),
    ("server.files.copy", {"source": "gcodes/benchy.gcode", "dest": "config/x"}),
    ("server.files.zip", {"items": ["config"]}),
]


@pytest.mark.parametrize(("method", "arguments"), CHANGES)
def test_operators_leave_config_alone(bench: FilesBench, method: str, arguments: dict[str, Any]) -> None:
    """Configuration files are changed by admins only."""
    for who in (VIEWER, OPERATOR):
        with pytest.raises(Forbidden):
            bench.call(method, who, **arguments)
    assert bench.tree.has("config/printer.cfg")


def test_operators_manage_gcodes(bench: FilesBench) -> None:
    """An operator may do all of it in gcodes, and read the rest; but links lend no rights."""
    bench.call("server.files.post_directory", OPERATOR, path="gcodes/x")
    bench.call("server.files.copy", OPERATOR, source="config/printer.cfg", dest="gcodes/x")
    bench.call("server.files.zip", OPERATOR, items=["logs"], dest="gcodes/logs.zip")
    bench.call("server.files.delete_directory", OPERATOR, path="gcodes/x", force=True)
    bench.tree.link("gcodes/cfg", "../config")
    with pytest.raises(Forbidden, match="in the root 'config'"):
        bench.call("server.files.delete_file", OPERATOR, path="gcodes/cfg/printer.cfg")


def test_guard(bench: FilesBench) -> None:
    """What the printer uses stays, and nothing changes when nobody knows what that is."""
    bench.guard.loaded = "benchy.gcode"
    with pytest.raises(Forbidden, match="File currently in use"):
        bench.call("server.files.delete_file", path="gcodes/benchy.gcode")
    bench.guard.loaded = "../odd"
    bench.call("server.files.copy", source="gcodes/benchy.gcode", dest="gcodes/b.gcode")
    bench.guard.problem = FileInUseUnknown("no")
    with pytest.raises(Unavailable):
        bench.call("server.files.delete_file", path="gcodes/benchy.gcode")
    bench.call("server.files.copy", source="config/printer.cfg", dest="config/backup.cfg")
    bench.guard.problem = None
    bench.call("server.files.delete_file", path="gcodes/b.gcode")


def test_transports(bench: FilesBench) -> None:
    """A file is deleted by JSON-RPC over anything; the HTTP form has a path of its own."""
    bench.call("server.files.delete_file", caller(Transport.JSONRPC_HTTP), path="gcodes/benchy.gcode")
    with pytest.raises(NotFound):
        bench.dispatcher.find_method("server.files.delete_file", Transport.HTTP)


def test_delete_from_elsewhere(bench: FilesBench) -> None:
    """HTTP's form of deleting a file does the same, under the same rules."""
    place = bench.tree.place("config/printer.cfg")
    with pytest.raises(Forbidden):
        start(bench.component.delete(OPERATOR, place)).result()
    assert start(bench.component.delete(caller(), place)).result().action == "delete_file"


def test_audit(bench: FilesBench) -> None:
    """What changes files is noted with its paths."""
    noted: list[AuditEntry] = []
    bench.dispatcher.audit = noted.append
    bench.call("server.files.move", source="gcodes/benchy.gcode", dest="gcodes/b.gcode")
    bench.call("server.files.list")
    assert [entry.arguments for entry in noted] == [
        {"source": "gcodes/benchy.gcode", "dest": "gcodes/b.gcode"}
    ]


@pytest.fixture
def slow(tmp_path: Path) -> FilesBench:
    """Make a file manager whose changes take a while."""
    return FilesBench(folder=tmp_path, writes=Slow(), copies=Slow())


def test_one_after_the_other(slow: FilesBench) -> None:
    """Changes that could meet are made in the order of asking; others, and reading, don't wait for them."""
    first = slow.begin("server.files.post_directory", path="gcodes/a")
    second = slow.begin("server.files.post_directory", path="gcodes/a/b")
    other = slow.begin("server.files.delete_file", path="config/printer.cfg")
    assert len(slow.writes.waiting) == 2
    slow.call("server.files.list")
    slow.writes.waiting.reverse()
    slow.writes.go_on()
    assert (other.done, first.done) == (True, False)
    slow.writes.go_on()
    assert (first.done, second.done) == (True, False)
    slow.writes.go_on()
    second.result()
    assert slow.tree.has("gcodes/a/b")


def test_what_is_short_goes_on_beside_what_is_long(slow: FilesBench) -> None:
    """While copies and archives take their time, something else is changed as fast as ever."""
    copying = slow.begin("server.files.copy", source="gcodes/parts", dest="gcodes/x")
    zipping = slow.begin("server.files.zip", items=["gcodes/parts"], dest="gcodes/x.zip")
    made = slow.begin("server.files.post_directory", path="gcodes/new")
    slow.writes.go_on()
    made.result()
    assert slow.tree.has("gcodes/new")
    assert not copying.done
    assert not zipping.done


def test_moves_to_another_disk_are_long(slow: FilesBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to be copied to be moved is done where it holds up nothing else."""
    other_disk(monkeypatch)
    moving = slow.begin("server.files.move", source="gcodes/parts", dest="config/parts")
    slow.writes.go_on()
    assert not moving.done
    assert slow.tree.has("gcodes/parts")
    slow.copies.go_on()
    moving.result()
    assert [change.action for change in slow.changes] == ["move_dir"]


def test_failures_let_others_go_on(slow: FilesBench) -> None:
    """After a change that failed the next one has its turn."""
    first = slow.begin("server.files.delete_file", path="gcodes/gone")
    second = slow.begin("server.files.post_directory", path="gcodes/gone")
    slow.writes.go_on()
    assert isinstance(first.error, BadRequest)
    slow.writes.go_on()
    second.result()


def test_stop_waits(slow: FilesBench) -> None:
    """A server that stops gives up what takes long, and ends when nothing is under way."""
    copying = slow.begin("server.files.copy", source="gcodes/parts", dest="gcodes/x")
    stopped = start(slow.component.stop())
    assert not stopped.done
    slow.copies.go_on()
    assert isinstance(copying.error, Unavailable)
    stopped.result()
    assert not slow.tree.leftovers()


def _run_klipper(bench: FilesBench, path: object) -> None:
    bench.klippy.host = KlippyHost()
    bench.klippy.answers["info"] = lambda _: {"state": "ready", "klipper_path": path}
    bench.klippy.connect()
    bench.turn()


def test_klippers_folders(bench: FilesBench) -> None:
    """Klipper's documentation and examples are roots once Klippy says where they are, and told of once."""
    (bench.tree.home / "klipper/docs").mkdir(parents=True)
    _run_klipper(bench, str(bench.tree.home / "klipper"))
    assert [root["name"] for root in bench.call("server.files.roots")] == ["config", "logs", "gcodes", "docs"]
    (change,) = bench.changes
    assert change.action == "root_update"
    assert (change.item.root, change.item.path, change.item.permissions) == ("docs", ".", "r")
    bench.klippy.disconnect()
    _run_klipper(bench, str(bench.tree.home / "klipper"))
    assert len(bench.changes) == 1
    with pytest.raises(MethodNotAllowed):
        bench.call("server.files.post_directory", path="docs/x")


@pytest.mark.parametrize("path", [None, 5, "", "/nonexistent", "a\0b"])
def test_no_folders_of_klippers(bench: FilesBench, path: object) -> None:
    """A Klippy that doesn't say where it is, or whose folder has neither, adds nothing."""
    _run_klipper(bench, path)
    assert len(bench.call("server.files.roots")) == 3
    assert bench.faults.seen == []


def test_many_files(bench: FilesBench) -> None:
    """A folder of thousands is told whole."""
    folder = bench.tree.data / "gcodes/many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number}.gcode").touch()
    found = bench.call("server.files.get_directory", path="gcodes/many")
    assert len(found["files"]) == 3000
