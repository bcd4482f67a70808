"""Parts of files, and files that have not changed."""

from __future__ import annotations

import pytest

from txraker.transports.web.conditions import Range, Version, is_unchanged, wanted_range
from txraker.transports.web.file_types import content_disposition, content_type

VERSION = Version(1000, 1_700_000_000_123_456_789)
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER, EARLIER = "Tue, 14 Nov 2023 22:13:21 GMT", "Tue, 14 Nov 2023 22:13:19 GMT"


def test_validators() -> None:
    """A file's tag changes with its size and with each moment; its date has seconds."""
    assert VERSION.date == DATE
    others = {Version(1001, VERSION.modified).tag, Version(1000, VERSION.modified + 1).tag, VERSION.tag}
    assert len(others) == 3


@pytest.mark.parametrize(
    ("asked", "if_range", "expected"),
    [
        (None, None, None),
        ("bytes=0-0", None, Range(0, 1)),
        ("bytes=10-19", None, Range(10, 10)),
        ("bytes=990-", None, Range(990, 10)),
        ("bytes=990-5000", None, Range(990, 10)),
        ("bytes=-10", None, Range(990, 10)),
        ("bytes=-5000", None, Range(0, 1000)),
        ("Bytes = 1 - 2", None, Range(1, 2)),
        ("bytes=5-4", None, None),
        ("bytes=-", None, None),
        ("bytes=0-1,4-5", None, None),
        ("bytes=a-b", None, None),
        ("lines=1-2", None, None),
        ("bytes=" + "9" * 5000 + "-", None, None),
        ("bytes=0-0", VERSION.tag, Range(0, 1)),
        ("bytes=0-0", '"other"', None),
        ("bytes=0-0", "W/" + VERSION.tag, None),
        ("bytes=0-0", DATE, Range(0, 1)),
        ("bytes=0-0", LATER, None),
    ],
)
def test_ranges(asked: str | None, if_range: str | None, expected: Range | None) -> None:
    """One range is answered; several, nonsense, and one of another version get the whole file."""
    assert wanted_range(VERSION, asked, if_range) == expected


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=2000-3000", "bytes=-0"])
def test_no_such_range(asked: str) -> None:
    """A range that isn't in the file is an error."""
    with pytest.raises(ValueError, match="no such bytes"):
        wanted_range(VERSION, asked, None)


@pytest.mark.parametrize(
    ("tag", "since", "expected"),
    [
        (None, None, False),
        (VERSION.tag, None, True),
        ("W/" + VERSION.tag, None, True),
        (f'"a", {VERSION.tag}', None, True),
        ("*", None, True),
        ('"a"', DATE, False),
        ("nonsense", None, False),
        (None, DATE, True),
        (None, LATER, True),
        (None, EARLIER, False),
        (None, "yesterday", False),
        (None, "Tue, 14 Nov 99999999999 22:13:20 GMT", False),
    ],
)
def test_unchanged(tag: str | None, since: str | None, expected: bool) -> None:
    """A file is unchanged by its tag, and where none is given, by its date."""
    assert is_unchanged(VERSION, tag, since) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.gcode", "text/plain"),
        ("A.GCODE", "text/plain"),
        ("printer.cfg", "text/plain"),
        ("default.json", "application/json"),
        ("a-32x32.png", "image/png"),
        ("custom.css", "text/css"),
        ("moonraker.conf", "application/octet-stream"),
        ("noext", "application/octet-stream"),
    ],
)
def test_types(name: str, expected: str) -> None:
    """Types are those that were measured."""
    assert content_type(name) == expected


def test_disposition() -> None:
    """A name is given as old and as new clients read it, and can't break out of the header."""
    expected = 'attachment; filename="a \\"?\\\\.gcode"; filename*=UTF-8\'\'a%20%22%C3%A9%5C.gcode'
    assert content_disposition('a "é\\.gcode') == expected
    assert "\n" not in content_disposition("a\r\nSet-Cookie: x")
