"""The bytes that the kernel gives."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from txraker.files.watch.events import CLOSE_WRITE, CREATE, IS_FOLDER, OVERFLOW, RawEvent, parse


def event(watch: int, mask: int, cookie: int = 0, name: bytes = b"") -> bytes:
    """Return an event as the kernel writes it: names are padded with zeros."""
    padded = name + bytes(16 - len(name) % 16) if name else b""
    return struct.pack("=iIII", watch, mask, cookie, len(padded)) + padded


def test_events() -> None:
    """Events are read with their names, however padded, in their order."""
    data = (
        event(1, CREATE | IS_FOLDER, name=b"benchy")
        + event(7, CLOSE_WRITE, 9, b"a" * 15)
        + event(-1, OVERFLOW)
    )
    assert parse(data) == [
        RawEvent(1, CREATE | IS_FOLDER, 0, "benchy"),
        RawEvent(7, CLOSE_WRITE, 9, "a" * 15),
        RawEvent(-1, OVERFLOW),
    ]
    assert [found.is_folder for found in parse(data)] == [True, False, False]


def test_name_that_is_no_text() -> None:
    """A name that is no UTF-8 is kept so that it can be told from others."""
    (found,) = parse(event(1, CREATE, name=b"M\xfcnchen.gcode"))
    assert found.name.encode("utf-8", "surrogateescape") == b"M\xfcnchen.gcode"


@given(st.integers(0, 100))
def test_cut_off(length: int) -> None:
    """What is cut off is read as far as it goes."""
    whole = event(1, CREATE, name=b"a.gcode") + event(2, CREATE, name=b"b.gcode")
    assert len(parse(whole[:length])) == min(length // 32, 2)


@given(st.binary(max_size=200))
def test_nonsense(data: bytes) -> None:
    """Whatever is read, nothing fails."""
    assert len(parse(data)) <= len(data) / 16
