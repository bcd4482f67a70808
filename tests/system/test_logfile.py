"""A printer's log file: written, put aside, never lost."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogLevel
from zope.interface.verify import verifyObject

from tests.tools import result_of
from txraker.interfaces import ILogFile
from txraker.system.errors import RolloverFailed
from txraker.system.logfile import LogFile
from txraker.system.rolled import LogLimits, rolled_files


@pytest.fixture
def told() -> list[str]:
    """What the log has told of itself."""
    return []


@pytest.fixture
def log(tmp_path: Path, told: list[str]) -> Iterator[LogFile]:
    """Make an open log whose header counts how often it was written."""
    numbers = count(1)
    log = LogFile(tmp_path / "moonraker.log", lambda: f"header {next(numbers)}\n", told.append)
    log.open()
    yield log
    log.close()


def say(log: LogFile, text: str) -> None:
    """Log an event."""
    log({"log_time": 0.0, "log_format": text, "log_level": LogLevel.info, "log_namespace": "t"})


def mode(path: Path) -> int:
    """Return a file's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_provides(log: LogFile) -> None:
    """The log provides what it says."""
    assert verifyObject(ILogFile, log)
    assert verifyObject(ILogObserver, log)


def test_writes(log: LogFile, told: list[str]) -> None:
    """The header comes first, then each event on a line of its own, at once."""
    say(log, "hello")
    say(log, "wörld 🐻")
    header, hello, world = log.path.read_text(encoding="utf-8").splitlines()
    assert header == "header 1"
    assert hello.endswith("hello")
    assert world.endswith("wörld 🐻")
    assert told == []


def test_goes_on_at_the_end(log: LogFile) -> None:
    """Opening an existing file goes on at its end."""
    say(log, "before")
    log.close()
    log.open()
    say(log, "after")
    text = log.path.read_text()
    assert [line for line in text.splitlines() if "header" in line] == ["header 1", "header 2"]
    assert text.index("before") < text.index("header 2") < text.index("after")


def test_closed(log: LogFile) -> None:
    """A closed log may be told things, and closed again."""
    log.close()
    log.close()
    say(log, "nobody hears")
    assert "nobody" not in log.path.read_text()


def test_odd_events(log: LogFile) -> None:
    """An event without words is no line, and one that can't be formatted does no harm."""
    log({"log_time": 0.0})
    say(log, "{missing}")
    say(log, "lone \udce9 surrogate")
    say(log, "fine")
    assert "fine" in log.path.read_text(encoding="utf-8")


def test_rollover(log: LogFile, tmp_path: Path) -> None:
    """The file is put aside whole, under the time of now, and a fresh one begun with a header."""
    say(log, "before")
    aside = result_of(log.rollover())
    say(log, "after")
    assert re.fullmatch(r"moonraker\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", aside.name)
    assert "before" in aside.read_text()
    assert "after" not in aside.read_text()
    fresh = log.path.read_text()
    assert fresh.startswith("header 2\n")
    assert "before" not in fresh
    assert "after" in fresh
    assert sorted(tmp_path.iterdir()) == [log.path, aside]


def test_rollover_never_overwrites(log: LogFile, tmp_path: Path) -> None:
    """However many rollovers come in one second, nothing is lost."""
    log.limits = LogLimits(files=100)
    for number in range(20):
        say(log, f"line {number} ends")
        result_of(log.rollover())
    texts = [path.read_text() for path in tmp_path.iterdir() if path != log.path]
    assert len(texts) == 20
    for number in range(20):
        assert sum(f"line {number} ends" in text for text in texts) == 1


def test_not_open(tmp_path: Path) -> None:
    """A log that is not written can't be rolled over, for the documented reason."""
    with pytest.raises(RolloverFailed, match="File Logging Disabled"):
        result_of(LogFile(tmp_path / "x.log", str, print).rollover())
    assert list(tmp_path.iterdir()) == []


def test_directory_that_is_not_there(tmp_path: Path, told: list[str]) -> None:
    """A file that can't be created disables logging, which is said and no reason to fail."""
    log = LogFile(tmp_path / "nowhere" / "x.log", str, told.append)
    log.open()
    assert told[0].endswith("nowhere/x.log: No such file or directory")
    say(log, "nobody hears")
    with pytest.raises(RolloverFailed, match="File Logging Disabled"):
        result_of(log.rollover())


def test_directory_that_is_not_writable(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may not be written disables logging, too; a superuser is told so here by hand."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    log = LogFile(tmp_path / "x.log", str, told.append)
    log.open()
    assert told[0].endswith("x.log: Permission denied")


def test_mode_of_an_existing_file(tmp_path: Path, told: list[str]) -> None:
    """The mode that somebody gave to the file is left as it is."""
    path = tmp_path / "x.log"
    path.touch(0o600)
    path.chmod(0o600)
    log = LogFile(path, lambda: "header\n", told.append)
    log.open()
    log.close()
    assert mode(path) == 0o600
    assert path.read_text() == "header\n"


def test_file_that_is_removed(log: LogFile, tmp_path: Path) -> None:
    """When somebody removes the file or moves it away, a new one is begun, which can be rolled over."""
    log.path.rename(tmp_path / "moved")
    say(log, "after the move")
    assert "after the move" in log.path.read_text()
    log.path.unlink()
    assert result_of(log.rollover()).read_text().startswith("header")
    assert "after the move" not in (tmp_path / "moved").read_text()


def test_disk_that_is_full_at_midnight(tmp_path: Path, told: list[str]) -> None:
    """What goes wrong while a file is put aside ends when there is a place to write to again."""
    hours = [0.0]
    log = by_the_clock(tmp_path, told, hours)
    log.open()
    whole, log._file = log._file, Path("/dev/full").open("w")  # noqa: SIM115  # the log closes it
    say(log, "lost")
    hours[0] = 24
    say(log, "kept")
    log.close()
    assert whole is not None
    whole.close()
    assert "kept" in log.path.read_text()
    assert [bool(text) for text in told] == [True, False]


def test_folder_that_comes_back(tmp_path: Path, told: list[str]) -> None:
    """A file that couldn't be opened is tried again after a while."""
    hours = [0.0]
    log = by_the_clock(tmp_path / "later", told, hours)
    log.open()
    say(log, "lost")
    (tmp_path / "later").mkdir()
    say(log, "lost, too")
    hours[0] = 0.01
    say(log, "kept")
    log.close()
    assert [bool(text) for text in told] == [True, False]
    assert log.path.read_text().startswith("header\n")
    assert "kept" in log.path.read_text()
    assert "lost" not in log.path.read_text()


def test_link(tmp_path: Path, told: list[str]) -> None:
    """Where the file is a link, what it leads to is put aside, and the link stays."""
    (tmp_path / "disk").mkdir()
    path = tmp_path / "moonraker.log"
    path.symlink_to(tmp_path / "disk" / "real.log")
    log = LogFile(path, lambda: "header\n", told.append)
    log.open()
    say(log, "before")
    aside = result_of(log.rollover())
    say(log, "after")
    log.close()
    assert aside.parent == tmp_path / "disk"
    assert "before" in aside.read_text()
    assert path.is_symlink()
    assert "after" in (tmp_path / "disk" / "real.log").read_text()


def test_disk_that_is_full_for_a_while(
    log: LogFile, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be written is told once, and that it is over, too; the log goes on."""
    real = Path("/dev/full").open("w")  # noqa: SIM115  # the log closes it
    whole = log._file
    log._file = real
    say(log, "lost")
    say(log, "lost, too")
    log._file = whole
    say(log, "kept")
    with pytest.raises(OSError, match="No space left"):
        real.close()
    assert ["No space left" in text for text in told] == [True, False]
    assert "kept" in log.path.read_text()


def test_modes(tmp_path: Path, told: list[str]) -> None:
    """Whatever the umask, everybody may read the log, before and after a rollover."""
    before = os.umask(0o077)
    try:
        log = LogFile(tmp_path / "x.log", str, told.append)
        log.open()
        aside = result_of(log.rollover())
        log.close()
    finally:
        os.umask(before)
    assert (mode(log.path), mode(aside)) == (0o644, 0o644)


def test_failed_rollover(log: LogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that can't be renamed is written as before, the reason is said, and nothing is left behind."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RolloverFailed, match=r"Can't rename moonraker\.log: Permission denied"):
        result_of(log.rollover())
    say(log, "still here")
    assert "still here" in log.path.read_text()
    assert list(tmp_path.iterdir()) == [log.path]


def by_the_clock(tmp_path: Path, told: list[str], hours: list[float]) -> LogFile:
    """Make a log on a clock of its own: so many hours after noon."""
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0)  # the time on the wall
    return LogFile(
        tmp_path / "x.log", lambda: "header\n", told.append, lambda: noon + timedelta(hours=hours[0])
    )


def test_every_day(tmp_path: Path, told: list[str]) -> None:
    """The first event of a day begins a new file, with a header."""
    hours = [0.0]
    log = by_the_clock(tmp_path, told, hours)
    log.open()
    for hour in (0, 11, 13, 14, 37):
        hours[0] = hour
        say(log, f"hour {hour} ends")
    log.close()
    texts = [path.read_text() for path in [log.path, *rolled_files(log.path)]]
    found = [re.findall(r"hour \d+", text) for text in texts]
    assert found == [["hour 37"], ["hour 13", "hour 14"], ["hour 0", "hour 11"]]
    assert all(text.startswith("header\n") for text in texts)


def test_file_of_yesterday(tmp_path: Path, told: list[str]) -> None:
    """A file that was written on another day is put aside when it is opened; one of today is gone on with."""
    path = tmp_path / "x.log"
    path.write_text("yesterday\n")
    yesterday = (datetime.now() - timedelta(days=1)).timestamp()  # the time on the wall
    os.utime(path, (yesterday, yesterday))
    log = by_the_clock(tmp_path, told, [0.0])
    for _ in range(2):
        log.open()
        log.close()
    (aside,) = rolled_files(path)
    assert aside.read_text() == "yesterday\n"
    assert path.read_text() == "header\nheader\n"


def test_large(tmp_path: Path, told: list[str]) -> None:
    """A file that has become large is put aside, and nothing of it is lost."""
    log = by_the_clock(tmp_path, told, [0.0])
    log.largest = 1000
    log.limits = LogLimits(files=100)
    log.open()
    for number in range(100):
        say(log, f"line {number} ends")
    log.close()
    files = rolled_files(log.path)
    assert len(files) > 3
    assert all(900 < path.stat().st_size < 1100 for path in files)
    text = "".join(path.read_text() for path in [log.path, *files])
    assert all(text.count(f"line {number} ends") == 1 for number in range(100))


def test_large_and_stuck(log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that can't be put aside is written on, and not tried again for each line."""
    attempts = []

    def refuse(*_: object) -> None:
        attempts.append(1)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    log.largest = 1000
    for number in range(100):
        say(log, f"line {number} ends")
    assert log.path.read_text().count(" ends\n") == 100
    assert 2 < len(attempts) < 10


def test_old_files_go(log: LogFile) -> None:
    """Of the files that were put aside the newest are kept, as many as are wanted."""
    log.limits = LogLimits(files=3)
    kept = []
    for number in range(6):
        say(log, f"line {number} ends")
        kept.append(result_of(log.rollover()))
    assert set(rolled_files(log.path)) == set(kept[-3:])


def test_file_of_its_own_kind(tmp_path: Path, told: list[str]) -> None:
    """A log may be secret, and go on from day to day."""
    now = datetime(2026, 11, 22).astimezone()
    log = LogFile(tmp_path / "x.log", str, told.append, lambda: now, mode=0o600, is_daily=False)
    log.open()
    log.append("one\n")
    now += timedelta(days=3)
    log.append("two\n")
    log.close()
    assert log.path.read_text() == "one\ntwo\n"
    assert mode(log.path) == 0o600
    assert rolled_files(log.path) == []
