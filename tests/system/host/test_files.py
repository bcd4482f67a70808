"""Files that are there, and files that aren't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from txraker.system.host.files import HotFile, children, exists, pairs, read_text


def test_read_text(tmp_path: Path) -> None:
    """White space and NUL bytes around a text are left out, and broken bytes are replaced."""
    path = tmp_path / "model"
    path.write_bytes(b" Orange \xff Pi\0\n")
    assert read_text(path) == "Orange \ufffd Pi"


def test_read_nothing(tmp_path: Path) -> None:
    """What isn't there, or is no file, is empty."""
    assert read_text(tmp_path / "missing") == ""
    assert read_text(tmp_path) == ""


def test_children(tmp_path: Path) -> None:
    """A folder's entries come in the order of their numbers; a folder that isn't there has none."""
    for name in ("zone10", "zone2", "cooling0"):
        (tmp_path / name).touch()
    assert [path.name for path in children(tmp_path, "zone")] == ["zone2", "zone10"]
    assert children(tmp_path / "missing") == []


def test_exists(tmp_path: Path) -> None:
    """What is there exists, and what can't be looked for doesn't."""
    assert exists(tmp_path)
    assert not exists(tmp_path / "missing")
    assert not exists(tmp_path / ("x" * 5000))


def test_pairs() -> None:
    """Lines are split at the first separator, those without one are left out."""
    assert list(pairs("a : b:c\n\nnothing\nd:", ":")) == [("a", "b:c"), ("d", "")]


def test_hot_file_sees_changes(tmp_path: Path) -> None:
    """Each reading is what the file says at that time, also when it became shorter."""
    path = tmp_path / "temp"
    path.write_text("45622\n")
    file = HotFile(path)
    assert file.read() == b"45622\n"
    path.write_text("9\n")
    assert file.read() == b"9\n"
    file.close()


def test_hot_file_is_opened_once(tmp_path: Path) -> None:
    """The file stays open, so that one put in its place isn't seen, until it is closed."""
    path = tmp_path / "temp"
    path.write_text("1")
    file = HotFile(path)
    file.read()
    path.unlink()
    path.write_text("2")
    assert file.read() == b"1"
    file.close()
    assert file.read() == b"2"
    file.close()


def test_hot_file_that_comes_and_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that isn't there, or fails, is empty, is let go of, and is tried again the next time."""
    path = tmp_path / "temp"
    file = HotFile(path)
    assert file.read() == b""
    path.write_text("1")
    assert file.read() == b"1"
    closed: list[int] = []
    close, pread = os.close, os.pread

    def note(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    def fail(*_: object) -> bytes:
        raise OSError(19, "No such device")

    monkeypatch.setattr(os, "close", note)
    monkeypatch.setattr(os, "pread", fail)
    assert file.read() == b""
    assert len(closed) == 1
    monkeypatch.setattr(os, "pread", pread)
    assert file.read() == b"1"
    file.close()
    file.close()
    assert len(closed) == 2


def test_hot_file_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list, which the kernel gives out page by page, is read whole."""
    text = b"".join(b"veth%d: 1 2 3\n" % number for number in range(1000))
    path = tmp_path / "dev"
    path.write_bytes(text)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, _size, offset: pread(file, 4000, offset))
    file = HotFile(path)
    assert file.read() == text
    file.close()
