"""The data path: rights, room and configuration."""

from __future__ import annotations

import getpass
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from attrs import evolve

from tests.install.fakes import INSTALLATION
from txraker import printer
from txraker.config.options import MachineOptions, ServerOptions
from txraker.install.configured import Configured
from txraker.install.doctor.configuration import configuration_findings
from txraker.install.doctor.data_path import (
    FOLDERS,
    DataPathFacts,
    Entry,
    Kind,
    data_path_findings,
    read_data_path,
)
from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.install.doctor.space import MIB, SpaceFacts, read_space, space_findings

DATA = Path("/home/pi/printer_data")
TOP = Entry(DATA, "folder", "folder", "pi")


def judged(*entries: Entry, may_be_made: bool = False) -> list[Finding]:
    """Return what is found of a data path."""
    return list(data_path_findings(DataPathFacts(DATA, entries, may_be_made), INSTALLATION))


def is_open(closed: tuple[str, ...], path: Path, _: int) -> bool:
    """Be what decides what we may do: nothing with what has one of the closed names."""
    return path.name not in closed


def read(path: Path, closed: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return the entries of a data path by name; ``closed`` are those that we may not write to."""
    facts = read_data_path(path, partial(is_open, closed))
    return {str(entry.path.relative_to(path)): entry for entry in facts.entries}


def test_folders_are_those_of_the_server() -> None:
    """What is looked at is what the server makes."""
    assert set(FOLDERS) == {*printer.FOLDERS, "audit"}


def test_read(tmp_path: Path) -> None:
    """Folders are seen, and the files of those whose files matter; links lead to what they lead to."""
    for name in ("database", "gcodes", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "database" / "txraker.db").touch()
    (tmp_path / "gcodes" / "a.gcode").touch()
    (tmp_path / "config").symlink_to("elsewhere")
    (tmp_path / "logs").symlink_to("nowhere")
    (tmp_path / "backup").touch()
    os.mkfifo(tmp_path / "certs")
    entries = read(tmp_path, ("txraker.db",))
    assert {name: entry.kind for name, entry in entries.items()} == {
        ".": "folder",
        "config": "folder",
        "gcodes": "folder",
        "database": "folder",
        "database/txraker.db": "file",
        "logs": "dangling",
        "backup": "file",
        "certs": "other",
    }
    assert [name for name, entry in entries.items() if not entry.is_usable and entry.owner] == [
        "database/txraker.db"
    ]
    assert entries["database"].owner == getpass.getuser()


def test_read_missing(tmp_path: Path) -> None:
    """A data path that isn't there is missing; whether it may be made is seen at the nearest folder."""
    for closed, expected in (((), True), ((tmp_path.name,), False)):
        may = partial(is_open, closed)
        facts = read_data_path(tmp_path / "a" / "b", may)
        assert [entry.kind for entry in facts.entries] == ["missing"]
        assert facts.may_be_made is expected


def test_closed_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not even be looked at is no reason to break down."""

    def refuse(self: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert [entry.kind for entry in read_data_path(tmp_path).entries] == ["closed"]


def test_good() -> None:
    """A data path in which all belongs to the user is as it should be."""
    folder = Entry(DATA / "config", "folder", "folder", "pi")
    assert judged(TOP, folder) == [good(f"pi may work in {DATA}")]


def test_missing() -> None:
    """A data path that isn't there will be made, if it may be."""
    missing = Entry(DATA, "folder", "missing")
    assert judged(missing, may_be_made=True) == [
        warning(f"There is no folder {DATA}; the server makes it when it starts")
    ]
    assert judged(missing) == [
        bad(f"There is no folder {DATA}, and pi may not make it", f"sudo install -d -o pi -g pi {DATA}")
    ]


@pytest.mark.parametrize(
    ("kind", "says", "mend"),
    [
        ("file", f"{DATA}/logs is no folder", f"mv {DATA}/logs {DATA}/logs.aside"),
        ("dangling", f"{DATA}/logs is a link to what isn't there", f"mv {DATA}/logs {DATA}/logs.aside"),
        (
            "closed",
            f"{DATA}/logs can't be looked at",
            f"ls -ld /home /home/pi {DATA} {DATA}/logs",
        ),
    ],
)
def test_wrong(kind: Kind, says: str, mend: str) -> None:
    """What is something else than it should be is told."""
    entry = evolve(Entry(DATA / "logs", "folder", "folder"), kind=kind)
    assert judged(TOP, entry) == [bad(says, mend)]


def test_somebody_elses() -> None:
    """What belongs to somebody else is given to the user, once for all of it."""
    one = Entry(DATA / "database" / "txraker.db", "file", "file", "root", is_usable=False)
    assert judged(TOP, one) == [
        bad(f"pi may not read and write {one.path}, which root owns", f"sudo chown -R pi:pi {one.path}")
    ]
    two = evolve(one, path=DATA / "logs")
    assert judged(TOP, one, evolve(two, kind="folder", wanted="folder")) == [
        bad(
            f"pi may not read and write {one.path} and 1 more, which root owns", f"sudo chown -R pi:pi {DATA}"
        )
    ]


def test_own_but_closed() -> None:
    """What the user has closed to himself is opened."""
    one = Entry(DATA / "my logs", "folder", "folder", "pi", is_usable=False)
    assert judged(TOP, one) == [bad(f"pi may not read and write {one.path}", f"chmod -R u+rwX '{one.path}'")]


SPACE = SpaceFacts(DATA, 5000 * MIB, 100_000, is_read_only=False, mount=Path("/"))


@pytest.mark.parametrize(
    ("facts", "levels"),
    [
        (SPACE, ["good"]),
        (evolve(SPACE, free=999 * MIB), ["warning"]),
        (evolve(SPACE, free=99 * MIB), ["bad"]),
        (evolve(SPACE, free_files=9_999), ["good", "warning"]),
        (evolve(SPACE, free_files=999), ["good", "bad"]),
        (evolve(SPACE, free_files=None), ["good"]),
        (evolve(SPACE, is_read_only=True), ["bad", "good"]),
        (None, ["unknown"]),
    ],
)
def test_room(facts: SpaceFacts | None, levels: list[str]) -> None:
    """Little room and few files that can be added are told, and a disk that is read-only."""
    found = list(space_findings(DATA, facts))
    assert [finding.level for finding in found] == levels
    assert all((finding.mend is None) == (finding.level in ("good", "unknown")) for finding in found)


def statvfs(files: int) -> os.statvfs_result:
    """Return the figures of a small disk."""
    return cast(
        "os.statvfs_result",
        SimpleNamespace(f_bavail=10, f_frsize=4096, f_files=files, f_favail=7, f_flag=os.ST_RDONLY),
    )


@pytest.mark.parametrize(("files", "free_files"), [(100, 7), (0, None)])
def test_room_is_read(tmp_path: Path, files: int, free_files: int | None) -> None:
    """The disk is that of the nearest folder that is there; some disks have no limit of files."""
    asked: list[Path] = []

    def measure(path: Path) -> os.statvfs_result:
        asked.append(path)
        return statvfs(files)

    facts = read_space(tmp_path / "a" / "b", measure)
    assert facts is not None
    assert (facts.free, facts.free_files, facts.is_read_only) == (40960, free_files, True)
    assert asked == [tmp_path]


def test_room_that_cant_be_read(tmp_path: Path) -> None:
    """A disk that can't be asked is unknown."""

    def measure(path: Path) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    facts = read_space(tmp_path, measure)
    assert list(space_findings(DATA, facts)) == [unknown(f"How much room there is for {DATA} can't be seen")]


def test_configuration() -> None:
    """A configuration is good, missing or bad, and its warnings are told."""
    facts = Configured(DATA / "config/moonraker.conf", None, ("careful",), ServerOptions(), MachineOptions())
    assert list(configuration_findings(facts, DATA)) == [
        good(f"The configuration {DATA}/config/moonraker.conf can be used"),
        warning("careful"),
    ]
    (missing,) = configuration_findings(evolve(facts, path=None, warnings=()), DATA)
    assert missing.level == "warning"
    assert f"{DATA}/config" in missing.says
    (broken,) = configuration_findings(evolve(facts, fatal="line 3: no", warnings=()), DATA)
    assert broken == bad("The configuration can't be used: line 3: no")
