"""What is in roots and folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.files.tree import Tree
from txraker.errors import BadRequest, Forbidden
from txraker.files.listing import contents_of, files_of


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make a printer's data."""
    return Tree(tmp_path / "home" / "pi")


def _paths(tree: Tree, root: str) -> list[str]:
    return [file.path for file in files_of(tree.disk, tree.place(root))]


def test_gcodes_are_what_can_be_printed(tree: Tree) -> None:
    """Of gcodes just files with the suffix of something to print are listed, hidden ones as well, sorted."""
    for name in ("B.GCODE", "c.g", "d.gco", "e.ufp", "f.nc", "readme.txt", ".hidden.gcode", "g.gcodes"):
        tree.write(f"printer_data/gcodes/{name}", "")
    tree.write("printer_data/gcodes/.thumbs/benchy-32x32.png", "")
    assert _paths(tree, "gcodes") == [
        ".hidden.gcode",
        "B.GCODE",
        "benchy.gcode",
        "c.g",
        "d.gco",
        "e.ufp",
        "f.nc",
        "parts/gear.gcode",
    ]


def test_file_info(tree: Tree) -> None:
    """A file is told with time, size and permissions."""
    os.utime(tree.data / "logs/klippy.log", (1700000000.5, 1700000000.5))
    (file,) = files_of(tree.disk, tree.place("logs"))
    assert (file.path, file.modified, file.size, file.permissions) == ("klippy.log", 1700000000.5, 19, "r")


def test_each_folder_once(tree: Tree) -> None:
    """Links in circles end, and a folder is listed where it is, not where a link to it is."""
    tree.link("gcodes/again", "parts")
    tree.link("gcodes/parts/up", "..")
    tree.link("gcodes/0", ".")
    tree.link("config/gcodes", "../gcodes")
    assert _paths(tree, "gcodes") == ["benchy.gcode", "parts/gear.gcode"]
    assert _paths(tree, "config") == ["gcodes/benchy.gcode", "gcodes/parts/gear.gcode", "printer.cfg"]


def test_nothing_behind_links_that_lead_out(tree: Tree) -> None:
    """Folders that can't be reached, and those of git, are not listed from."""
    tree.link("config/etc", "/etc")
    tree.link("config/db", "../database")
    tree.write("printer_data/config/.git/HEAD", "ref: refs/heads/main\n")
    assert _paths(tree, "config") == ["printer.cfg"]


def test_deep_folders(tree: Tree) -> None:
    """Folders may be as deep as the disk has them."""
    deep = "/".join(["d"] * 300)
    tree.write(f"printer_data/gcodes/{deep}/x.gcode", "")
    assert f"{deep}/x.gcode" in _paths(tree, "gcodes")


def test_unreadable_folders_are_left_out(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that can't be read doesn't keep the others from being listed."""
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "parts":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert _paths(tree, "gcodes") == ["benchy.gcode"]


def test_root_that_is_gone(tree: Tree) -> None:
    """A root whose folder isn't there is refused in the words of Moonraker."""
    shutil.rmtree(tree.data / "logs")
    with pytest.raises(BadRequest, match="Failed to build file list, invalid path: logs"):
        files_of(tree.disk, tree.place("logs"))


def test_contents(tree: Tree) -> None:
    """A folder's own files and folders are told, files of gcodes whatever their names."""
    tree.write("printer_data/gcodes/parts/readme.txt", "x")
    (tree.data / "gcodes/parts/.thumbs").mkdir()
    found = contents_of(tree.disk, tree.place("gcodes/parts"))
    assert [folder.dirname for folder in found.folders] == [".thumbs"]
    assert [file.path for file in found.files] == ["parts/gear.gcode", "parts/readme.txt"]
    assert [folder.permissions for folder in found.folders] == ["rw"]
    assert {file.permissions for file in found.files} == {"rw"}


def test_disk_usage(tree: Tree) -> None:
    """The disk is told of in bytes, as shutil counts them."""
    found = contents_of(tree.disk, tree.place("logs")).disk_usage
    expected = shutil.disk_usage(tree.data / "logs")
    assert (found.total, found.used // 2**28, found.free // 2**28) == (
        expected.total,
        expected.used // 2**28,
        expected.free // 2**28,
    )


@pytest.mark.parametrize("path", ["gcodes/gone", "gcodes/benchy.gcode", "config/dangling"])
def test_contents_of_no_folder(tree: Tree, path: str) -> None:
    """What is no folder is refused, in words that don't tell where it would be on the disk."""
    tree.link("config/dangling", "nowhere")
    with pytest.raises(BadRequest) as caught:
        contents_of(tree.disk, tree.place(path))
    assert str(caught.value) == f"Directory does not exist ({path})"


def test_contents_behind_a_link_that_leads_out(tree: Tree) -> None:
    """A folder outside can't be looked into."""
    tree.link("config/etc", "/etc")
    with pytest.raises(Forbidden, match="'config/etc' is a link that leads out of the root 'config'"):
        contents_of(tree.disk, tree.place("config/etc"))
