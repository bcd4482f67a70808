"""Zip archives of what is in the roots."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from tests.files.tree import BENCHY, Tree
from txraker.errors import ApiError, Forbidden, Unavailable
from txraker.events import FileChange
from txraker.files.archive import Archiver


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make a printer's data."""
    return Tree(tmp_path / "home" / "pi")


def _zip(
    tree: Tree, dest: str, *items: str, store_only: bool = False, loaded: str | None = None
) -> FileChange:
    archiver = Archiver(tree.disk, tree.operations)
    places = [tree.place(item) for item in items]
    return archiver.zip(tree.place(dest), places, tree.order(loaded), store_only=store_only)


def _names(tree: Tree, path: str) -> list[str]:
    with ZipFile(tree.data / path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_zip(tree: Tree) -> None:
    """Files and folders are archived under their roots' names, with all that is in them."""
    tree.write("printer_data/gcodes/parts/deep/x.gcode", "x")
    change = _zip(tree, "config/all.zip", "config/printer.cfg", "logs", "gcodes/parts")
    assert _names(tree, "config/all.zip") == [
        "config/printer.cfg",
        "logs/klippy.log",
        "gcodes/parts/gear.gcode",
        "gcodes/parts/deep/x.gcode",
    ]
    about = (tree.data / "config/all.zip").stat()
    assert (change.action, change.item.path, change.item.size) == ("create_file", "all.zip", about.st_size)
    assert about.st_mode & 0o777 == 0o644
    assert not tree.leftovers()


@pytest.mark.parametrize(("store_only", "method"), [(True, ZIP_STORED), (False, ZIP_DEFLATED)])
def test_compression(tree: Tree, store_only: bool, method: int) -> None:
    """What is archived is compressed, or isn't, and comes out as it was."""
    _zip(tree, "config/a.zip", "gcodes/benchy.gcode", store_only=store_only)
    with ZipFile(tree.data / "config/a.zip") as archive:
        (info,) = archive.infolist()
        assert info.compress_type == method
        assert archive.read(info) == BENCHY.encode()


def test_over_an_archive(tree: Tree) -> None:
    """An archive is put in place of one that was there."""
    _zip(tree, "config/a.zip", "gcodes")
    assert _zip(tree, "config/a.zip", "logs").action == "modify_file"
    assert _names(tree, "config/a.zip") == ["logs/klippy.log"]


def test_not_in_itself(tree: Tree) -> None:
    """An archive holds neither itself nor what it replaces nor what isn't whole."""
    tree.write("printer_data/config/.txraker-0123456789abcdef.part", "half")
    _zip(tree, "config/a.zip", "config")
    _zip(tree, "config/a.zip", "config", "config/printer.cfg")
    assert _names(tree, "config/a.zip") == ["config/printer.cfg"]


@pytest.mark.parametrize(
    ("modified", "date"),
    [(0, (1980, 1, 1, 0, 0, 0)), (-1e9, (1980, 1, 1, 0, 0, 0)), (5e9, (2107, 12, 31, 23, 59, 58))],
)
def test_times_that_archives_do_not_have(tree: Tree, modified: float, date: tuple[int, ...]) -> None:
    """Times before 1980 and after 2107 are told as near as can be: boards without a clock begin in 1970."""
    os.utime(tree.data / "config/printer.cfg", (modified, modified))
    _zip(tree, "config/a.zip", "config/printer.cfg")
    with ZipFile(tree.data / "config/a.zip") as archive:
        assert archive.infolist()[0].date_time == date


def test_time_and_mode(tree: Tree) -> None:
    """A file is archived with its local time and its mode."""
    (tree.data / "config/printer.cfg").chmod(0o755)
    os.utime(tree.data / "config/printer.cfg", (1700000000, 1700000000))
    _zip(tree, "config/a.zip", "config/printer.cfg")
    with ZipFile(tree.data / "config/a.zip") as archive:
        info = archive.infolist()[0]
    assert info.date_time == time.localtime(1700000000)[:6]
    assert info.external_attr >> 16 == stat.S_IFREG | 0o755


def test_links(tree: Tree) -> None:
    """Links to files are archived as files if they may be reached; folders behind links aren't."""
    tree.link("config/mainsail.cfg", tree.home / "mainsail-config/mainsail.cfg")
    tree.link("config/passwd", "/etc/passwd")
    tree.link("config/db", "../database/txraker.db")
    tree.link("config/prints", "../gcodes")
    tree.link("config/etc", "/etc")
    tree.link("config/loop", ".")
    tree.write("printer_data/config/.git/HEAD", "ref")
    _zip(tree, "gcodes/a.zip", "config")
    assert _names(tree, "gcodes/a.zip") == ["config/mainsail.cfg", "config/printer.cfg"]


@pytest.mark.parametrize("item", ["config/etc", "config/etc/passwd", "config/db"])
def test_nothing_from_outside(tree: Tree, item: str) -> None:
    """Who names what is outside is refused."""
    tree.link("config/etc", "/etc")
    tree.link("config/db", "../database")
    with pytest.raises(Forbidden):
        _zip(tree, "gcodes/a.zip", item)


@pytest.mark.parametrize(
    ("dest", "item", "message"),
    [
        ("logs/a.zip", "config", "Destination Root 'logs' is read-only"),
        ("gcodes/a.zip", "config/gone", "No file/directory exists at 'config/gone'"),
        (
            "gcodes/no/a.zip",
            "config",
            "Cannot create archive at 'gcodes/no/a.zip'.  Parent directory does not exist.",
        ),
        ("gcodes/parts", "config", "Cannot create archive at 'gcodes/parts'.  Path exists as a directory."),
        ("gcodes", "config", "Cannot create archive at 'gcodes'.  Path exists as a directory."),
        ("gcodes/benchy.gcode", "gcodes/benchy.gcode", "can't be part of itself"),
        ("gcodes/a.zip", "gcodes/empty", "At least one file or directory must be specified"),
    ],
)
def test_refused(tree: Tree, dest: str, item: str, message: str) -> None:
    """What can't be archived is refused with the rule, and nothing changes."""
    tree.make_folder("gcodes/empty")
    before = sorted(tree.home.rglob("*"))
    with pytest.raises(ApiError) as caught:
        _zip(tree, dest, item)
    assert (caught.value.http_status, message in str(caught.value)) == (400, True)
    assert sorted(tree.home.rglob("*")) == before


def test_not_over_what_is_printed(tree: Tree) -> None:
    """A file in use is not overwritten by an archive."""
    with pytest.raises(Forbidden, match="File currently in use"):
        _zip(tree, "gcodes/benchy.gcode", "config", loaded="benchy.gcode")


def test_full_disk(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive for which there may be no room isn't begun."""
    about = os.statvfs(tree.data)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*about[:3], 0, 0, *about[5:])))
    with pytest.raises(ApiError) as caught:
        _zip(tree, "gcodes/a.zip", "config")
    assert caught.value.http_status == 507
    assert not tree.leftovers()


def test_stop(tree: Tree) -> None:
    """A server that stops gives up archives, of which nothing is left."""
    tree.operations.copying.stop()
    with pytest.raises(Unavailable):
        _zip(tree, "gcodes/a.zip", "config")
    assert not tree.has("gcodes/a.zip")
    assert not tree.leftovers()


def test_names_in_many_scripts(tree: Tree) -> None:
    """Names are archived as they are written."""
    tree.write("printer_data/gcodes/größe 日本.gcode", "x")
    _zip(tree, "config/a.zip", "gcodes/größe 日本.gcode")
    assert _names(tree, "config/a.zip") == ["gcodes/größe 日本.gcode"]


def test_files_that_go(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes while it is looked for is left out; the rest is archived."""
    tree.write("printer_data/gcodes/parts/a.gcode", "a")
    is_file = Path.is_file

    def go(path: Path) -> bool:
        was_there = is_file(path)
        if path.name == "a.gcode":
            path.unlink(missing_ok=True)
        return was_there

    monkeypatch.setattr(Path, "is_file", go)
    _zip(tree, "gcodes/x.zip", "gcodes/parts")
    assert _names(tree, "gcodes/x.zip") == ["gcodes/parts/gear.gcode"]
