"""Log files that are put aside: which they are, and which of them are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.system.errors import RolloverFailed
from txraker.system.rolled import LogLimits, prune, put_aside, rolled_files

NOW = datetime(2026, 11, 22, 16, 5, 9, tzinfo=UTC)


def test_name(tmp_path: Path) -> None:
    """A file that is put aside is called after itself and the time."""
    path = tmp_path / "klippy.log"
    path.write_text("old")
    aside = put_aside(path, NOW)
    assert aside == tmp_path / "klippy.log.2026-11-22_16-05-09"
    assert aside.read_text() == "old"
    assert not path.exists()


def test_never_over_another(tmp_path: Path) -> None:
    """Whatever is there already, be it of the same second, is left as it is."""
    path = tmp_path / "klippy.log"
    for text in ("one", "two", "three"):
        path.write_text(text)
        put_aside(path, NOW)
    assert [file.read_text() for file in rolled_files(path)] == ["three", "two", "one"]


def test_nothing_to_rename(tmp_path: Path) -> None:
    """A file that isn't there can't be put aside, and nothing is left behind."""
    with pytest.raises(RolloverFailed, match=r"Can't rename klippy\.log: No such file"):
        put_aside(tmp_path / "klippy.log", NOW)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """The reason is said when there can be no new name."""
    with pytest.raises(RolloverFailed, match="No such file or directory"):
        put_aside(tmp_path / "nowhere" / "klippy.log", NOW)


@pytest.mark.parametrize(
    "name",
    [
        "klippy.log",
        "klippy.log.2026-11-21",
        "klippy.log.2026-11-21_16-05-09x",
        "klippy.log.2026-11-21_16-05-09.gz",
        "other.log.2026-11-21_16-05-09",
        "moonraker.log",
        "klippy.log.1",
    ],
)
def test_files_of_others(tmp_path: Path, name: str) -> None:
    """Files that we have not named are never removed."""
    other = tmp_path / name
    other.write_text("x" * 1000)
    path = tmp_path / "klippy.log"
    assert rolled_files(path) == []
    path.touch()
    prune(put_aside(path, NOW), LogLimits(1, 1))
    assert other.exists() or other == path


@given(st.lists(st.integers(0, 100), max_size=8), st.integers(1, 5), st.integers(1, 250))
def test_limits(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], files: int, size: int) -> None:
    """What is kept is the newest, within both limits, or just the newest; no file more is removed."""
    folder = tmp_path_factory.mktemp("logs")
    path = folder / "x.log"
    for day, length in enumerate(sizes, 1):
        (folder / f"x.log.2026-01-{day:02}_00-00-00").write_bytes(bytes(length))
    before = rolled_files(path)
    removed = prune(before[0], LogLimits(files, size)) if before else []
    kept = rolled_files(path)
    assert kept == before[: len(kept)]
    assert set(kept) | set(removed) == set(before)
    within = [
        count for count in range(1, len(sizes) + 1) if count <= files and sum(sizes[::-1][:count]) <= size
    ]
    assert len(kept) == max(within, default=min(1, len(sizes)))


def test_clock_that_went_back(tmp_path: Path) -> None:
    """What was just put aside is kept, though others are named after a later time."""
    path = tmp_path / "x.log"
    for day in (1, 2, 3):
        (tmp_path / f"x.log.2036-01-{day:02}_00-00-00").touch()
    path.touch()
    newest = put_aside(path, NOW)
    prune(newest, LogLimits(files=2))
    assert sorted(file.name for file in rolled_files(path)) == [newest.name, "x.log.2036-01-03_00-00-00"]
