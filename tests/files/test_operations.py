"""What changes files: results, refusals, and what is on the disk afterwards."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.files.tree import BENCHY, Tree, other_disk
from txraker.errors import ApiError, BadRequest, Forbidden, MethodNotAllowed
from txraker.events import SourceItem
from txraker.files.operations import Order


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make a printer's data."""
    return Tree(tmp_path / "home" / "pi")


def _refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.http_status, str(caught.value)


def test_make_folder(tree: Tree) -> None:
    """A new folder is told of with its time and size, and can be looked into whatever the umask."""
    before = os.umask(0o077)
    try:
        change = tree.make_folder("gcodes/parts/small")
    finally:
        os.umask(before)
    about = (tree.data / "gcodes/parts/small").stat()
    assert change.action == "create_dir"
    assert (change.item.root, change.item.path, change.item.permissions) == ("gcodes", "parts/small", "rw")
    assert (change.item.modified, change.item.size) == (about.st_mtime, about.st_size)
    assert about.st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("gcodes/parts", 400, "'gcodes/parts' exists already"),
        ("gcodes/benchy.gcode", 400, "'gcodes/benchy.gcode' exists already"),
        ("gcodes", 400, "'gcodes' exists already"),
        ("gcodes/a/b", 400, "Directory does not exist (gcodes/a)"),
        ("gcodes/benchy.gcode/b", 400, "Directory does not exist (gcodes/benchy.gcode)"),
        ("logs/x", 405, "POST is not possible: the root 'logs' is read-only"),
    ],
)
def test_make_folder_refused(tree: Tree, path: str, status: int, message: str) -> None:
    """What can't be made is refused with the rule and the path from its root."""
    assert _refused(lambda: tree.make_folder(path)) == (status, message)


def test_delete_folder(tree: Tree) -> None:
    """An empty folder is deleted; what it was is told without time and size."""
    tree.make_folder("gcodes/empty")
    change = tree.delete_folder("gcodes/empty")
    assert (change.action, change.item.path, change.item.permissions) == ("delete_dir", "empty", "")
    assert (change.item.modified, change.item.size) == (0, 0)
    assert not tree.has("gcodes/empty")


def test_delete_folder_with_force(tree: Tree) -> None:
    """With force everything in a folder goes, but nothing that links in it lead to."""
    tree.link("gcodes/parts/cfg", "../../config")
    tree.delete_folder("gcodes/parts", force=True)
    assert not tree.has("gcodes/parts")
    assert tree.has("config/printer.cfg")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("gcodes/parts", 400, "Directory is not empty (gcodes/parts)"),
        ("gcodes/gone", 400, "Directory does not exist (gcodes/gone)"),
        ("gcodes/benchy.gcode", 400, "Directory does not exist (gcodes/benchy.gcode)"),
        ("gcodes", 400, "Cannot delete root directory"),
        ("logs", 405, "DELETE is not possible: the root 'logs' is read-only"),
    ],
)
def test_delete_folder_refused(tree: Tree, path: str, status: int, message: str) -> None:
    """What can't be deleted is refused with the rule and the path from its root."""
    assert _refused(lambda: tree.delete_folder(path)) == (status, message)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["../gcodes/parts", "/etc"])
def test_delete_link_to_folder(tree: Tree, target: str, force: bool) -> None:
    """Of a link to a folder just the link is deleted, wherever it leads."""
    tree.link("config/way", target)
    tree.delete_folder("config/way", force=force)
    assert not tree.has("config/way")
    assert tree.has("gcodes/parts/gear.gcode")
    assert Path("/etc").is_dir()


def test_delete_file(tree: Tree) -> None:
    """A file is deleted, as is a link, even one that leads out or nowhere."""
    tree.link("config/passwd", "/etc/passwd")
    tree.link("config/dangling", "nowhere")
    for path in ("gcodes/benchy.gcode", "config/passwd", "config/dangling"):
        change = tree.delete_file(path)
        assert (change.action, change.item.modified, change.item.size) == ("delete_file", 0, 0)
        assert not tree.has(path)
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("gcodes/gone", 400, "Invalid file path: gcodes/gone"),
        ("gcodes/parts", 400, "Invalid file path: gcodes/parts"),
        ("gcodes", 400, "Invalid file path: gcodes"),
        ("gcodes/gone/x", 400, "Invalid file path: gcodes/gone/x"),
        ("logs/klippy.log", 405, "Path not available for DELETE: logs/klippy.log"),
    ],
)
def test_delete_file_refused(tree: Tree, path: str, status: int, message: str) -> None:
    """What is no file isn't deleted as one; the words are Moonraker's."""
    assert _refused(lambda: tree.delete_file(path)) == (status, message)


def test_move_file(tree: Tree) -> None:
    """A file that is moved keeps its time, and is told of with where it was."""
    before = (tree.data / "gcodes/benchy.gcode").stat()
    change = tree.move("gcodes/benchy.gcode", "config/b.gcode")
    assert (change.action, change.source_item) == ("move_file", SourceItem("gcodes", "benchy.gcode"))
    assert (change.item.root, change.item.path, change.item.modified) == (
        "config",
        "b.gcode",
        before.st_mtime,
    )
    assert tree.read("config/b.gcode") == BENCHY
    assert not tree.has("gcodes/benchy.gcode")


def test_move_over_a_file(tree: Tree) -> None:
    """A file that is in the way of a file is overwritten."""
    tree.write("printer_data/gcodes/old.gcode", "old")
    tree.move("gcodes/benchy.gcode", "gcodes/old.gcode")
    assert tree.read("gcodes/old.gcode") == BENCHY


@pytest.mark.parametrize("dest", ["gcodes/parts", "gcodes/parts/", "gcodes//parts"])
def test_move_into_a_folder(tree: Tree, dest: str) -> None:
    """Something is moved into a folder that is there, under its own name."""
    assert tree.move("gcodes/benchy.gcode", dest).item.path == "parts/benchy.gcode"
    tree.make_folder("gcodes/more")
    change = tree.move("gcodes/parts", "gcodes/more")
    assert (change.action, change.item.path) == ("move_dir", "more/parts")
    assert tree.move("gcodes/more/parts", "gcodes").item.path == "parts"
    assert tree.has("gcodes/parts/benchy.gcode")


def test_move_to_itself(tree: Tree) -> None:
    """What is moved to where it is stays."""
    for path, action in (("gcodes/benchy.gcode", "move_file"), ("gcodes/parts", "move_dir")):
        assert tree.move(path, path).action == action
        assert tree.has(path)


@pytest.mark.parametrize(
    ("source", "dest", "message"),
    [
        ("gcodes/gone", "gcodes/x", "File gcodes/gone does not exist"),
        ("gcodes/benchy.gcode", "gcodes/no/x.gcode", "Directory does not exist (gcodes/no)"),
        ("gcodes/benchy.gcode", "logs/x", "Destination path is read-only: logs"),
        ("logs/klippy.log", "config/x", "Source path is read-only, cannot move: logs"),
        ("gcodes", "config/x", "Cannot move the root directory 'gcodes'"),
        ("config", "gcodes", "Cannot move the root directory 'config'"),
        (
            "gcodes/parts/gear.gcode",
            "gcodes/parts",
            "Destination path 'gcodes/parts/gear.gcode' already exists",
        ),
        (
            "gcodes/parts",
            "gcodes/parts/in",
            "Cannot move a directory 'gcodes/parts' into itself 'gcodes/parts/in'.",
        ),
        (
            "gcodes/parts",
            "gcodes/benchy.gcode",
            "Destination path 'gcodes/benchy.gcode' already exists",
        ),
        ("gcodes/parts", "config/twin", "Destination path 'config/twin/parts' already exists"),
        ("gcodes/benchy.gcode", "config/twin", "Destination path 'config/twin/benchy.gcode' already exists"),
    ],
)
def test_move_refused(tree: Tree, source: str, dest: str, message: str) -> None:
    """What can't be moved is refused with the rule, and nothing changes."""
    tree.write("printer_data/config/twin/parts/x", "")
    tree.write("printer_data/config/twin/benchy.gcode", "")
    before = sorted(tree.home.rglob("*"))
    assert _refused(lambda: tree.move(source, dest)) == (400, message)
    assert sorted(tree.home.rglob("*")) == before


def test_move_a_link(tree: Tree) -> None:
    """A link is moved itself, even one that leads out."""
    tree.link("config/mainsail.cfg", tree.home / "mainsail-config/mainsail.cfg")
    tree.link("config/etc", "/etc")
    assert tree.move("config/mainsail.cfg", "config/m.cfg").item.permissions == "r"
    moved = tree.move("config/etc", "config/e").item
    assert (moved.permissions, moved.modified) == ("", (tree.data / "config/e").lstat().st_mtime)
    assert os.readlink(tree.data / "config/m.cfg") == str(tree.home / "mainsail-config/mainsail.cfg")
    assert os.readlink(tree.data / "config/e") == "/etc"


def test_nothing_is_moved_through_a_link_that_leads_out(tree: Tree) -> None:
    """Neither what is outside is moved in, nor anything out."""
    tree.link("config/etc", "/etc")
    for call in (
        lambda: tree.move("config/etc/hostname", "config/hostname"),
        lambda: tree.move("config/printer.cfg", "config/etc/x"),
        lambda: tree.move("config/printer.cfg", "config/etc"),
        lambda: tree.copy("config/etc/hostname", "config/hostname"),
        lambda: tree.copy("config/etc", "config/x"),
        lambda: tree.copy("config/printer.cfg", "config/etc/x"),
        lambda: tree.make_folder("config/etc/x"),
        lambda: tree.delete_file("config/etc/hostname"),
        lambda: tree.delete_folder("config/etc/ssl", force=True),
    ):
        status, message = _refused(call)
        assert (status, "leads out of the root 'config'" in message) == (403, True)


def test_folders_around_what_is_reserved_stay(tree: Tree) -> None:
    """A folder that holds a printer's data stays, though a link leads to the one it is in."""
    tree.link("config/home", tree.home)
    for call in (
        lambda: tree.delete_folder("config/home/printer_data", force=True),
        lambda: tree.move("config/home/printer_data", "config/x"),
        lambda: tree.delete_folder("config/home/printer_data/database", force=True),
    ):
        assert _refused(call)[0] == 403
    assert tree.has("database/txraker.db")


def test_copies_leave_out_what_is_reserved(tree: Tree) -> None:
    """A copy of a folder holds nothing that couldn't be read in it."""
    tree.link("config/home", tree.home)
    tree.copy("config/home/printer_data", "config/home/copy")
    assert sorted(path.name for path in (tree.home / "copy").iterdir()) == ["config", "gcodes", "logs"]


def test_copy_file(tree: Tree) -> None:
    """A copy has time, mode and content of its original."""
    script = tree.write("printer_data/config/run.sh", "#!/bin/sh\n")
    script.chmod(0o755)
    os.utime(script, ns=(10**18, 10**18 + 5))
    change = tree.copy("config/run.sh", "config/run2.sh")
    copy = (tree.data / "config/run2.sh").stat()
    assert (change.action, change.item.path, change.item.size) == ("create_file", "run2.sh", 10)
    assert (copy.st_mtime_ns, copy.st_mode & 0o777) == (10**18 + 5, 0o755)
    assert change.item.modified == copy.st_mtime
    assert not tree.leftovers()


def test_copy_over_a_file(tree: Tree) -> None:
    """A file that is in the way of a copy is overwritten, also in a folder that is copied to."""
    assert tree.copy("gcodes/benchy.gcode", "gcodes/parts/gear.gcode").action == "modify_file"
    assert tree.copy("gcodes/benchy.gcode", "gcodes/parts").action == "create_file"
    again = tree.copy("gcodes/benchy.gcode", "gcodes/parts")
    assert (again.action, again.item.path) == ("modify_file", "parts/benchy.gcode")


def test_copy_from_logs(tree: Tree) -> None:
    """What may only be read may be copied."""
    tree.copy("logs/klippy.log", "config/klippy.log")
    assert tree.read("config/klippy.log") == "Starting Klippy...\n"


def test_copy_folder(tree: Tree) -> None:
    """A folder is copied with all that is in it; links in it stay links."""
    tree.write("printer_data/gcodes/parts/deep/er/x.gcode", "x")
    tree.link("gcodes/parts/etc", "/etc")
    os.mkfifo(tree.data / "gcodes/parts/pipe")
    change = tree.copy("gcodes/parts", "gcodes/copy")
    assert (change.action, change.item.path, change.item.permissions) == ("create_dir", "copy", "rw")
    assert tree.read("gcodes/copy/deep/er/x.gcode") == "x"
    assert os.readlink(tree.data / "gcodes/copy/etc") == "/etc"
    assert not tree.has("gcodes/copy/pipe")
    assert not tree.leftovers()


def test_copy_a_root(tree: Tree) -> None:
    """A whole root may be copied into another."""
    tree.copy("gcodes", "config/gcodes")
    assert tree.read("config/gcodes/parts/gear.gcode") == BENCHY


def test_copy_a_link(tree: Tree) -> None:
    """A link is copied as what it leads to."""
    tree.link("config/mainsail.cfg", tree.home / "mainsail-config/mainsail.cfg")
    tree.copy("config/mainsail.cfg", "config/mine.cfg")
    assert not (tree.data / "config/mine.cfg").is_symlink()
    assert tree.read("config/mine.cfg") == "[pause_resume]\n"


@pytest.mark.parametrize(
    ("source", "dest", "message"),
    [
        ("gcodes/gone", "gcodes/x", "File gcodes/gone does not exist"),
        (
            "gcodes/benchy.gcode",
            "gcodes/benchy.gcode",
            "'gcodes/benchy.gcode' and 'gcodes/benchy.gcode' are the same file",
        ),
        (
            "gcodes/benchy.gcode",
            "gcodes",
            "'gcodes/benchy.gcode' and 'gcodes/benchy.gcode' are the same file",
        ),
        ("gcodes/benchy.gcode", "gcodes/no/x", "Directory does not exist (gcodes/no)"),
        ("gcodes/parts", "gcodes/no/x", "Directory does not exist (gcodes/no)"),
        ("gcodes/benchy.gcode", "logs/x", "Destination path is read-only: logs"),
        ("gcodes/parts", "config", "'config' exists already"),
        ("gcodes/parts", "gcodes/benchy.gcode", "'gcodes/benchy.gcode' exists already"),
        (
            "gcodes/parts",
            "gcodes/parts/in",
            "Cannot copy a directory 'gcodes/parts' into itself 'gcodes/parts/in'.",
        ),
        ("gcodes/benchy.gcode", "config/twin", "Destination path 'config/twin/benchy.gcode' already exists"),
    ],
)
def test_copy_refused(tree: Tree, source: str, dest: str, message: str) -> None:
    """What can't be copied is refused with the rule, and nothing changes."""
    tree.write("printer_data/config/twin/benchy.gcode/x", "")
    before = sorted(tree.home.rglob("*"))
    assert _refused(lambda: tree.copy(source, dest)) == (400, message)
    assert sorted(tree.home.rglob("*")) == before


LOADED = "parts/gear.gcode"


def test_what_the_printer_uses_stays(tree: Tree) -> None:
    """A file in use isn't deleted, moved or overwritten, nor a folder it is in, by whatever way."""
    tree.link("config/prints", "../gcodes")
    tree.make_folder("gcodes/other")
    for call in (
        lambda: tree.delete_file("gcodes/parts/gear.gcode", LOADED),
        lambda: tree.delete_file("config/prints/parts/gear.gcode", LOADED),
        lambda: tree.delete_folder("gcodes/parts", force=True, loaded=LOADED),
        lambda: tree.move("gcodes/parts/gear.gcode", "gcodes/x.gcode", LOADED),
        lambda: tree.move("gcodes/parts", "gcodes/x", LOADED),
        lambda: tree.move("config/prints/parts", "config/x", LOADED),
        lambda: tree.move("gcodes/benchy.gcode", "gcodes/parts/gear.gcode", LOADED),
        lambda: tree.copy("gcodes/benchy.gcode", "gcodes/parts/gear.gcode", LOADED),
        lambda: tree.copy("gcodes/benchy.gcode", "config/prints/parts/gear.gcode", LOADED),
    ):
        assert _refused(call) == (403, "File currently in use")
    assert tree.read("gcodes/parts/gear.gcode") == BENCHY


def test_what_the_printer_uses_may_be_copied(tree: Tree) -> None:
    """Copies of a file in use are fine, and so is what is beside it."""
    tree.copy("gcodes/parts/gear.gcode", "gcodes/parts/copy.gcode", LOADED)
    tree.copy("gcodes/parts", "gcodes/copy", LOADED)
    tree.move("gcodes/benchy.gcode", "gcodes/parts", LOADED)
    tree.delete_file("gcodes/parts/copy.gcode", LOADED)


def test_a_link_on_the_way_to_what_is_used_stays(tree: Tree) -> None:
    """The link by which a printed file was found isn't deleted, though the file is elsewhere."""
    tree.write("stick/x.gcode", BENCHY)
    tree.link("gcodes/usb", tree.home / "stick")
    assert _refused(lambda: tree.delete_folder("gcodes/usb", loaded="usb/x.gcode"))[0] == 403
    assert _refused(lambda: tree.move("gcodes/usb", "gcodes/u", "usb/x.gcode"))[0] == 403


def test_links_don_t_lend_rights(tree: Tree) -> None:
    """Who may write to gcodes only can't write to config by a link that is in gcodes."""
    tree.link("gcodes/cfg", "../config")
    order = Order(lambda name: name == "gcodes")
    do = tree.operations
    cfg, benchy, new = map(tree.place, ("gcodes/cfg/printer.cfg", "gcodes/benchy.gcode", "gcodes/cfg/new"))
    for call in (
        lambda: do.delete_file(cfg, order),
        lambda: do.move(cfg, tree.place("gcodes/x"), order),
        lambda: do.move(benchy, new, order),
        lambda: do.copy(benchy, new, order),
        lambda: do.copy(tree.place("gcodes/parts"), new, order),
        lambda: do.make_folder(new, order),
        lambda: do.delete_folder(tree.place("gcodes/cfg/x"), order, force=True),
    ):
        tree.data.joinpath("config/x").mkdir(exist_ok=True)
        assert _refused(call) == (403, _refused(call)[1])
    assert sorted(path.name for path in (tree.data / "config").iterdir()) == ["printer.cfg", "x"]


def test_move_to_another_disk(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between disks something is copied as a whole, then deleted."""
    tree.link("gcodes/parts/way", "/etc")
    tree.link("gcodes/link", "benchy.gcode")
    os.utime(tree.data / "gcodes/benchy.gcode", (1.0, 2.5))
    other_disk(monkeypatch)
    assert tree.move("gcodes/benchy.gcode", "config/b.gcode").item.modified == 2.5
    assert tree.move("gcodes/parts", "config").action == "move_dir"
    tree.move("gcodes/link", "config/link")
    assert tree.read("config/parts/gear.gcode") == BENCHY
    assert os.readlink(tree.data / "config/parts/way") == "/etc"
    assert os.readlink(tree.data / "config/link") == "benchy.gcode"
    assert not list((tree.data / "gcodes").iterdir())
    assert not tree.leftovers()


def test_move_from_a_stick(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden on a stick comes along: nothing is deleted that wasn't copied."""
    tree.link("gcodes/usb", tree.home / "usb")
    for name in ("a.gcode", ".hidden.cfg", ".thumbs/a.png", ".git/HEAD"):
        tree.write(f"usb/project/{name}", name)
    other_disk(monkeypatch)
    tree.move("gcodes/usb/project", "gcodes/project")
    for name in ("a.gcode", ".hidden.cfg", ".thumbs/a.png", ".git/HEAD"):
        assert tree.read(f"gcodes/project/{name}") == name
    assert not (tree.home / "usb/project").exists()


def test_move_of_what_cannot_be_copied(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a pipe in it stays where it is."""
    os.mkfifo(tree.data / "gcodes/parts/pipe")
    other_disk(monkeypatch)
    assert _refused(lambda: tree.move("gcodes/parts", "config/parts"))[0] == 400
    assert tree.has("gcodes/parts/gear.gcode")
    assert not tree.has("config/parts")


def test_what_comes_while_a_folder_is_moved(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put into a folder after it was copied isn't deleted with it, and that is said."""
    other_disk(monkeypatch)
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        tree.write("printer_data/gcodes/parts/late.gcode", "late")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    status, text = _refused(lambda: tree.move("gcodes/parts", "config/parts"))
    assert (status, "meanwhile" in text) == (503, True)
    assert tree.read("gcodes/parts/late.gcode") == "late"
    assert tree.has("config/parts/gear.gcode")
    assert not tree.has("gcodes/parts/gear.gcode")


def test_copy_of_what_goes(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes while its folder is copied is left out, and the rest is there."""
    tree.write("printer_data/gcodes/parts/a.gcode", "a")
    lstat = Path.lstat

    def go(path: Path) -> os.stat_result:
        if path.name == "a.gcode":
            path.unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", go)
    tree.copy("gcodes/parts", "gcodes/copy")
    assert [path.name for path in (tree.data / "gcodes/copy").iterdir()] == ["gear.gcode"]


def test_move_to_another_disk_that_fails(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the other disk fails half-way the original stays, and nothing is left there."""
    tree.write("printer_data/gcodes/parts/z.gcode", "z")
    other_disk(monkeypatch)
    _fail(monkeypatch, "fsync", errno.EIO, after=1)
    assert _refused(lambda: tree.move("gcodes/parts", "config/parts"))[0] == 503
    assert tree.has("gcodes/parts/gear.gcode")
    assert not tree.has("config/parts")
    assert not tree.leftovers()


def _fail(monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, after: int = 0) -> None:
    calls = [0]
    original = getattr(os, name)

    def fail(*args: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(number, os.strerror(number), "/home/pi/printer_data/gcodes/x")
        return original(*args, **named)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.EACCES, 403),
        (errno.EPERM, 403),
        (errno.EROFS, 403),
        (errno.ENOSPC, 507),
        (errno.EDQUOT, 507),
        (errno.ENAMETOOLONG, 400),
        (errno.ELOOP, 400),
        (errno.ENOENT, 400),
        (errno.EIO, 503),
        (errno.EBUSY, 503),
    ],
)
def test_errors_of_the_disk(tree: Tree, monkeypatch: pytest.MonkeyPatch, number: int, status: int) -> None:
    """What the system refuses is told with the place from its root and the reason, not where it is."""
    tree.make_folder("gcodes/empty")
    for name in ("unlink", "rename", "mkdir", "rmdir"):
        _fail(monkeypatch, name, number)
    for call in (
        lambda: tree.delete_file("gcodes/benchy.gcode"),
        lambda: tree.move("gcodes/benchy.gcode", "gcodes/x.gcode"),
        lambda: tree.make_folder("gcodes/new"),
        lambda: tree.delete_folder("gcodes/empty"),
        lambda: tree.copy("gcodes/benchy.gcode", "gcodes/x.gcode"),
    ):
        found, message = _refused(call)
        assert found in (status, 503 if number == errno.ENOENT else status)
        assert "gcodes" in message or number == errno.ENOENT or "saved" in message
        assert "/home/pi" not in message


def test_full_disk(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy for which there is no room isn't begun."""
    about = os.statvfs(tree.data)
    full = os.statvfs_result((*about[:3], 0, 0, *about[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    for call in (
        lambda: tree.copy("gcodes/benchy.gcode", "gcodes/x.gcode"),
        lambda: tree.copy("gcodes/parts", "gcodes/x"),
    ):
        assert _refused(call)[0] == 507
    assert not tree.leftovers()


def test_stop(tree: Tree) -> None:
    """A server that stops gives up copies, of which nothing is left."""
    tree.operations.copying.stop()
    for call in (
        lambda: tree.copy("gcodes/benchy.gcode", "gcodes/x.gcode"),
        lambda: tree.copy("gcodes/parts", "gcodes/x"),
    ):
        assert _refused(call) == (503, "The server is stopping")
    assert not tree.has("gcodes/x.gcode")
    assert not tree.has("gcodes/x")
    assert not tree.leftovers()


def test_config_that_is_read_only(tmp_path: Path) -> None:
    """Where the configuration is locked nothing of it changes."""
    tree = Tree(tmp_path / "pi", config_is_writable=False)
    with pytest.raises(MethodNotAllowed):
        tree.delete_file("config/printer.cfg")
    with pytest.raises(MethodNotAllowed):
        tree.make_folder("config/x")
    with pytest.raises(BadRequest):
        tree.move("config/printer.cfg", "gcodes/x")
    tree.link("gcodes/cfg", "../config")
    with pytest.raises(Forbidden):
        tree.delete_file("gcodes/cfg/printer.cfg")
    assert tree.copy("config/printer.cfg", "gcodes/p.cfg").action == "create_file"


def test_root_that_is_gone(tree: Tree) -> None:
    """When a root's folder is gone, say a stick was pulled, that is told as anything missing."""
    shutil.rmtree(tree.data / "gcodes")
    assert _refused(lambda: tree.delete_file("gcodes/x")) == (400, "Invalid file path: gcodes/x")
    assert _refused(lambda: tree.make_folder("gcodes/x")) == (400, "Directory does not exist (gcodes)")
    assert _refused(lambda: tree.copy("config/printer.cfg", "gcodes/x")) == (
        400,
        "Directory does not exist (gcodes)",
    )
