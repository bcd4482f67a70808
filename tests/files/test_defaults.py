"""The roots that every printer has."""

from __future__ import annotations

from pathlib import Path

from txraker.files.defaults import default_link_targets, default_roots, klipper_roots, reserved_paths


def test_default_roots(tmp_path: Path) -> None:
    """There are config, logs and gcodes, in the order of Moonraker; logs can't be written to."""
    roots = default_roots(tmp_path, config_is_writable=True)
    assert [(root.name, root.path, root.permissions) for root in roots] == [
        ("config", tmp_path / "config", "rw"),
        ("logs", tmp_path / "logs", "r"),
        ("gcodes", tmp_path / "gcodes", "rw"),
    ]


def test_config_that_is_locked(tmp_path: Path) -> None:
    """The configuration can be made read-only."""
    assert default_roots(tmp_path, config_is_writable=False).get("config").permissions == "r"


def test_links_are_told_where_they_lead(tmp_path: Path) -> None:
    """A root that is a link is told by its real path, as by Moonraker."""
    (tmp_path / "stick").mkdir()
    (tmp_path / "gcodes").symlink_to("stick")
    roots = default_roots(tmp_path, config_is_writable=True)
    assert roots.get("gcodes").path == tmp_path / "stick"


def test_klipper_roots(tmp_path: Path) -> None:
    """Klipper's examples and documentation are roots if they are there, and read-only."""
    assert klipper_roots(tmp_path) == []
    (tmp_path / "docs").mkdir()
    assert [(root.name, root.permissions) for root in klipper_roots(tmp_path)] == [("docs", "r")]
    (tmp_path / "config").mkdir()
    assert [(root.name, root.path.name) for root in klipper_roots(tmp_path)] == [
        ("config_examples", "config"),
        ("docs", "docs"),
    ]


def test_reserved(tmp_path: Path) -> None:
    """What is private of a printer is reserved by the names of its folders."""
    reserved = reserved_paths(tmp_path, Path("/opt/txraker"))
    assert reserved["database"] == tmp_path / "database"
    assert reserved["moonraker.secrets"] == tmp_path / "moonraker.secrets"
    assert reserved["txraker"] == Path("/opt/txraker")
    assert not {"config", "gcodes", "logs"} & set(reserved)


def test_neighbours(tmp_path: Path) -> None:
    """What is private of other printers is reserved, too."""
    reserved = reserved_paths(tmp_path / "one", Path("/opt/txraker"), [tmp_path / "two"])
    assert reserved["database"] == tmp_path / "one/database"
    assert reserved["two/database"] == tmp_path / "two/database"


def test_link_targets() -> None:
    """Links may lead to a user's home and to sticks; a home that is everything is none."""
    assert Path("/home/pi") in default_link_targets(Path("/home/pi"))
    assert Path("/") not in default_link_targets(Path("/"))
    assert Path("/media") in default_link_targets(Path("/"))
