"""Which service a process is part of, as its control group says."""

from __future__ import annotations

from pathlib import Path

import pytest

from txraker.system.listener import Listener, unit_of_process

HYBRID = "9:name=systemd:/system.slice/moonraker.service\n1:cpu:/elsewhere.service\n0::/\n"
UNIFIED = "0::/system.slice/system-printer.slice/moonraker@2.service\n"


@pytest.mark.parametrize(
    ("groups", "unit"),
    [
        (HYBRID, "moonraker.service"),
        (UNIFIED, "moonraker@2.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/user.slice/user@1000.service/app.slice/app.scope\n", None),
        ("1:cpu:/elsewhere.service\n", None),
        ("nonsense\n\n", None),
        ("", None),
        (None, None),
    ],
)
def test_unit(tmp_path: Path, groups: str | None, unit: str | None) -> None:
    """Only systemd's own hierarchy tells, and only of a process that is directly in a service."""
    if groups is not None:
        (tmp_path / "proc" / "7").mkdir(parents=True)
        (tmp_path / "proc" / "7" / "cgroup").write_text(groups)
    assert unit_of_process(7, tmp_path) == unit


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A control group with an undecodable name does no harm."""
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_bytes(b"0::/\xff\xfe/txraker.service\n")
    assert unit_of_process(7, tmp_path) == "txraker.service"


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (Listener(812, "moonraker.service"), "process 812 (moonraker.service)"),
        (Listener(812), "process 812"),
        (Listener(0), "another program"),
    ],
)
def test_words(listener: Listener, words: str) -> None:
    """A listener is told by what is known of it."""
    assert str(listener) == words
