"""A printer's own log file: rolled over while it is written to, when asked, daily, and when it is large."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText
from zope.interface import implementer

from txraker.interfaces import ILogFile
from txraker.system.errors import RolloverFailed
from txraker.system.rolled import MIB, LogLimits, prune, put_aside

TRY_AGAIN_AFTER = timedelta(seconds=10)
"""How long a file that couldn't be written is left alone."""


def local_now() -> datetime:
    """Return the time on the wall."""
    return datetime.now().astimezone()


@implementer(ILogObserver, ILogFile)
@define(eq=False, repr=False)
class LogFile:
    """Writes log events to a file, whose first lines are what ``header`` says.

    It begins a new one after ``largest`` bytes and, if it ``is_daily``, every day, and keeps what ``limits``
    say of the old ones. ``mode`` is that of the file.
    A file that can't be written is not a reason to fail: ``tell`` is told what is wrong, and, with an empty
    text, when that is over.
    """

    path: Path
    _header: Callable[[], str]
    _tell: Callable[[str], None]
    _now: Callable[[], datetime] = local_now
    limits: LogLimits = field(factory=LogLimits)
    largest: int = 20 * MIB
    mode: int = 0o644
    is_daily: bool = True
    _problem: str = field(default="", init=False)
    _file: IO[str] | None = field(default=None, init=False)
    _size: int = field(default=0, init=False)
    _day: date = field(default=date.min, init=False)
    _identity: tuple[int, int] = field(default=(0, 0), init=False)
    _wanted: bool = field(default=False, init=False)
    _try_again: datetime = field(default=datetime.min.replace(tzinfo=UTC), init=False)

    def open(self) -> None:
        """Begin to write: create the file, or go on at its end."""
        self._wanted = True
        try:
            self._open()
        except OSError as problem:
            self._try_again = self._now() + TRY_AGAIN_AFTER
            self._set_problem(self._words(problem))
        else:
            if not (self._is_due() and self._roll_unasked()):
                self._write(self._header())

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags | os.O_EXCL, self.mode)
            os.fchmod(descriptor, self.mode)  # whatever the umask
        except FileExistsError:
            descriptor = os.open(self.path, flags)
        about = os.fstat(descriptor)
        self._size = about.st_size
        self._day = (datetime.fromtimestamp(about.st_mtime) if about.st_size else self._now()).date()
        self._identity = (about.st_dev, about.st_ino)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End writing."""
        self._wanted = False
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what it still held is lost on a full disk
                file.close()

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        text = formatEventAsClassicLogText(event)
        if text is not None:
            self.append(text)

    def append(self, text: str) -> None:
        """Write whole lines."""
        self._be_ready()
        self._write(text)

    def _be_ready(self) -> None:
        """Have a file to write to, if there can be one, and at midnight a new one."""
        self._find_again()
        if self._is_due():
            self._roll_unasked()

    def _find_again(self) -> None:
        """Begin anew when the file is gone, or couldn't be opened before."""
        if self._wanted and self._is_lost():
            self._close()
            self.open()

    def _is_lost(self) -> bool:
        if self._file is None:
            return self._now() >= self._try_again
        try:
            about = os.stat(self.path)
        except OSError:
            return self._now() >= self._try_again
        return (about.st_dev, about.st_ino) != self._identity

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text)
            self._file.flush()
            self._size += len(text.encode(errors="replace"))
        except OSError as problem:
            self._set_problem(self._words(problem))
        else:
            self._set_problem("")

    def _words(self, problem: OSError) -> str:
        return f"Nothing is logged to a file: {self.path}: {problem.strerror}"

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell(problem)

    def _is_due(self) -> bool:
        if self._file is None:
            return False
        return self._size >= self.largest or (self.is_daily and self._now().date() != self._day)

    def _roll_unasked(self) -> bool:
        """Roll over, or go on for another day or another ``largest`` bytes."""
        self._day = self._now().date()
        self._size = 0
        try:
            self._roll()
        except RolloverFailed:
            return False
        return True

    def where(self) -> Path:
        return self.path

    async def rollover(self) -> Path:
        return self._roll()

    def _roll(self) -> Path:
        self._find_again()
        if self._file is None:
            raise RolloverFailed("File Logging Disabled")
        target = put_aside(self.path, self._now())
        self._close()
        self.open()
        if self._file is None:
            raise RolloverFailed(self._problem)
        prune(target, self.limits)
        return target
