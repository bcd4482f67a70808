"""What can be reached on the disk, and what can't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.files.tree import Tree
from txraker.errors import ApiError, BadRequest, Forbidden
from txraker.files.disk import Entry, is_below, open_file, opened_folder
from txraker.files.places import DEEPEST

TRAVERSALS = [
    "gcodes/../config/printer.cfg",
    "gcodes/..",
    "../printer_data/gcodes/benchy.gcode",
    "gcodes/parts/../../moonraker.secrets",
    "gcodes/./benchy.gcode",
    "/etc/passwd",
    "//etc/passwd",
    "gcodes/\0/../config",
    "gcodes/benchy.gcode\0.cfg",
    "gcodes/" + "n" * 256,
    "gcodes/" + "n/" * 4096,
    "gcodes/bad\udcff.gcode",
    "..",
    ".",
    "",
    "/",
    "database/txraker.db",
    "gcodes\\..\\config",
    "file:///etc/passwd",
    "~/.ssh/id_ed25519",
    "gcodes/.git/config",
    "gcodes/.txraker-0123456789abcdef.part",
]

HARMLESS = [
    "gcodes/..%2fconfig/printer.cfg",
    "gcodes/%2e%2e/config",
    "gcodes/%00",
    "gcodes/..\\..\\moonraker.secrets",
    "gcodes/…/config",
    "gcodes/\uff0e\uff0e/config",
    "gcodes//etc/passwd",
    "gcodes/etc/passwd",
    "gcodes/~/.ssh",
    "gcodes/$HOME",
    "gcodes/C:\\Windows",
    "gcodes/...",
    "gcodes/ ../config",
    "gcodes/.. /config",
]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make a printer's data."""
    return Tree(tmp_path / "home" / "pi")


@pytest.mark.parametrize("path", TRAVERSALS)
def test_traversals_are_refused(tree: Tree, path: str) -> None:
    """A path that could lead out of its root is refused, whatever it leads to."""
    with pytest.raises((BadRequest, Forbidden)):
        tree.disk.locate(tree.place(path))


@pytest.mark.parametrize("path", HARMLESS)
def test_what_looks_like_a_traversal_is_a_name(tree: Tree, path: str) -> None:
    """What isn't special to Linux is part of a name, so that it stays in its root."""
    assert is_below(str(tree.disk.locate(tree.place(path))), str(tree.data / "gcodes"))


def test_errors_do_not_tell_where_roots_are(tree: Tree) -> None:
    """No error names a path of the host."""
    tree.link("config/out", "/etc")
    for path in (*TRAVERSALS, "config/out", "config/out/passwd"):
        with pytest.raises(ApiError) as caught:
            tree.disk.locate(tree.place(path))
        assert str(tree.home) not in str(caught.value)
        assert len(str(caught.value)) < 5000


def test_links_between_roots_are_followed(tree: Tree) -> None:
    """A link to another root leads there."""
    tree.link("config/prints", "../gcodes")
    found = tree.disk.locate(tree.place("config/prints/benchy.gcode"))
    assert found == tree.data / "gcodes/benchy.gcode"


def test_links_to_link_targets_are_followed(tree: Tree) -> None:
    """The file that a front-end links into config can be read."""
    tree.link("config/mainsail.cfg", tree.home / "mainsail-config/mainsail.cfg")
    found = tree.disk.locate(tree.place("config/mainsail.cfg"))
    assert found == tree.home / "mainsail-config/mainsail.cfg"


@pytest.mark.parametrize(
    ("target", "inner"),
    [
        ("/etc", "passwd"),
        ("/etc/passwd", ""),
        ("/", "etc/passwd"),
        ("{home}/.ssh", "id_ed25519"),
        ("{home}", ".ssh/id_ed25519"),
        ("{home}/printer_data/database", "txraker.db"),
        ("{home}/printer_data", "database/txraker.db"),
        ("{home}/printer_data/moonraker.secrets", ""),
        ("{home}/printer_data", "comms/klippy.sock"),
        ("{home}/printer_data/certs", ""),
        ("{home}/txraker", "txraker/tap.py"),
        ("../../../../../etc/passwd", ""),
        ("{home}/../other", "file"),
        ("{home}2", "file"),
    ],
)
def test_links_that_lead_out(tree: Tree, target: str, inner: str) -> None:
    """What is outside the roots and not where links may lead, hidden there, or ours, can't be got at."""
    tree.link("config/way", target.format(home=tree.home))
    with pytest.raises(Forbidden):
        tree.disk.locate(tree.place(f"config/way/{inner}" if inner else "config/way"))


def test_below() -> None:
    """A path is below a folder by whole names, and everything is below the topmost one."""
    assert is_below("/home/pi/a", "/home/pi")
    assert is_below("/home/pi", "/home/pi")
    assert is_below("/home/pi", "/")
    assert not is_below("/home/pi2", "/home/pi")
    assert not is_below("/home", "/home/pi")


def test_reserved_says_which(tree: Tree) -> None:
    """Who asks for the database by a link is told that it is reserved."""
    tree.link("config/db", "../database")
    with pytest.raises(Forbidden, match="Access to 'config/db/x' forbidden by reserved path 'database'"):
        tree.disk.locate(tree.place("config/db/x"))


def test_reserved_by_a_link_of_its_own(tree: Tree) -> None:
    """A database that is kept elsewhere by a link is reserved there."""
    elsewhere = tree.home / "old_database"
    (tree.data / "database").rename(elsewhere)
    tree.link("database", elsewhere)
    tree.link("config/db", elsewhere)
    with pytest.raises(Forbidden):
        tree.disk.locate(tree.place("config/db/txraker.db"))


def test_loops_of_links(tree: Tree) -> None:
    """Links in a circle lead nowhere, and nothing hangs."""
    tree.link("gcodes/a", "b")
    tree.link("gcodes/b", "a")
    assert not tree.disk.locate(tree.place("gcodes/a")).exists()
    names = {entry.name for entry in _entries(tree, "gcodes")}
    assert names == {"benchy.gcode", "parts"}


def test_root_that_is_a_link(tmp_path: Path) -> None:
    """A root may be a link to wherever its owner keeps it."""
    tree = Tree(tmp_path / "pi")
    stick = tmp_path / "stick"
    (tree.data / "gcodes").rename(stick)
    tree.link("gcodes", stick)
    assert tree.disk.locate(tree.place("gcodes/benchy.gcode")) == stick / "benchy.gcode"


def test_writing_through_a_link_into_another_root(tree: Tree) -> None:
    """Who may write in one root only doesn't get into another by a link."""
    tree.link("gcodes/cfg", "../config")
    place = tree.place("gcodes/cfg/printer.cfg")
    with pytest.raises(Forbidden, match="in the root 'config'"):
        tree.disk.locate_to_write(place, lambda name: name == "gcodes")
    assert tree.disk.locate_to_write(place, lambda _: True) == tree.data / "config/printer.cfg"


def test_entries(tree: Tree) -> None:
    """Files and folders are told with their permissions; links that lead out are there and inaccessible."""
    tree.link("config/mainsail.cfg", tree.home / "mainsail-config/mainsail.cfg")
    tree.link("config/passwd", "/etc/passwd")
    tree.link("config/db", "../database")
    tree.link("config/prints", "../gcodes")
    (tree.data / "config/.git").mkdir()
    found = {entry.name: (entry.is_folder, entry.permissions) for entry in _entries(tree, "config")}
    assert found == {
        "printer.cfg": (False, "rw"),
        "mainsail.cfg": (False, "r"),
        "passwd": (False, ""),
        "db": (True, ""),
        "prints": (True, "rw"),
        ".git": (True, ""),
    }


def test_entries_tell_nothing_of_what_is_outside(tree: Tree) -> None:
    """Of a link that leads out neither size nor time of what is there is told."""
    secret = tree.write("printer_data/database/big", "x" * 5000)
    link = tree.link("config/secret", "../database/big")
    entry = next(entry for entry in _entries(tree, "config") if entry.name == "secret")
    assert entry.size == link.lstat().st_size != secret.stat().st_size
    assert entry.modified == link.lstat().st_mtime


def test_entries_leave_out(tree: Tree) -> None:
    """What is no file, leads nowhere, isn't whole, or has no name in UTF-8 is left out."""
    folder = tree.data / "config"
    os.mkfifo(folder / "pipe")
    tree.link("config/dangling.cfg", "/nonexistent")
    (folder / ".txraker-0123456789abcdef.part").touch()
    (folder / "gedruckt\udcff.cfg").touch()
    (folder / "größe.cfg").touch()
    assert {entry.name for entry in _entries(tree, "config")} == {"printer.cfg", "größe.cfg"}


def test_entries_of_what_is_gone(tree: Tree) -> None:
    """A folder that can't be read is an error that names it from its root."""
    with pytest.raises(ApiError, match="'gcodes/gone' can't be read"):
        tree.disk.rules().entries(tree.data / "gcodes/gone", tree.place("gcodes/gone"))


def test_opened_folder_follows_no_links(tree: Tree) -> None:
    """A folder is opened at its real path or not at all, so that no link can be put in between."""
    tree.link("gcodes/etc", "/etc")
    with pytest.raises(NotADirectoryError), opened_folder(tree.data / "gcodes/etc"):
        pass
    with pytest.raises(NotADirectoryError), opened_folder(tree.data / "gcodes/etc/ssl"):
        pass
    with opened_folder(tree.data / "gcodes") as folder:
        assert os.stat("benchy.gcode", dir_fd=folder).st_size > 0


def test_open_file_opens_files(tree: Tree) -> None:
    """Only a file is opened: no link, no folder, and no pipe, which would hang."""
    os.mkfifo(tree.data / "gcodes/pipe")
    tree.link("gcodes/link", "benchy.gcode")
    before = len(os.listdir("/proc/self/fd"))
    for name, error in (("pipe", Forbidden), ("link", OSError), ("parts", Forbidden)):
        with pytest.raises(error):
            open_file(tree.data / "gcodes" / name)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(open_file(tree.data / "gcodes/benchy.gcode"))


def test_link_into_git(tree: Tree) -> None:
    """No link leads into a folder of Git's, where tokens are."""
    tree.write("printer_data/config/.git/config", "token")
    tree.link("config/way", ".git")
    tree.link("config/file", ".git/config")
    for path in ("config/way/config", "config/way", "config/file", "config/.git/config"):
        with pytest.raises(Forbidden, match=r"\.git"):
            tree.disk.locate(tree.place(path))
    found = {entry.name: entry.permissions for entry in _entries(tree, "config")}
    assert (found["way"], found["file"], found[".git"]) == ("", "", "")


def test_deep_paths(tree: Tree) -> None:
    """A path leads through so many folders and no more."""
    tree.place("/".join(["gcodes"] + ["a"] * (DEEPEST - 1)))
    with pytest.raises(BadRequest, match="at most 64 names"):
        tree.place("/".join(["gcodes"] + ["a"] * DEEPEST))


def _entries(tree: Tree, path: str) -> list[Entry]:
    place = tree.place(path)
    return tree.disk.rules().entries(tree.disk.locate(place), place)
