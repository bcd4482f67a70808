"""A printer's own log file, which can be rolled over while it is written to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText
from zope.interface import implementer

from txraker.errors import ApiError
from txraker.interfaces import ILogFile


class RolloverFailed(ApiError):
    """The log file could not be put aside; it is written to as before."""


@implementer(ILogObserver, ILogFile)
@define(eq=False)
class LogFile:
    """Writes log events to a file, whose first lines are what ``header`` says.

    A file that can't be written is not a reason to fail: ``tell`` is told what is wrong, and, with an empty
    text, when that is over.
    """

    path: Path
    _header: Callable[[], str]
    _tell: Callable[[str], None]
    _problem: str = field(default="", init=False)
    _file: IO[str] | None = field(default=None, init=False)

    def open(self) -> None:
        """Begin to write: create the file, or go on at its end."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            self._set_problem(f"Nothing is logged to a file: {self.path}: {problem.strerror}")
            return
        with suppress(PermissionError):  # somebody else's file that we may write to
            os.fchmod(descriptor, 0o644)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace")
        self._write(self._header())

    def close(self) -> None:
        """End writing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        text = formatEventAsClassicLogText(event)
        if text is not None:
            self._write(text)

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as problem:
            self._set_problem(f"Nothing is logged to a file: {self.path}: {problem.strerror}")
        else:
            self._set_problem("")

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell(problem)

    def rollover(self) -> Path:
        if self._file is None:
            raise RolloverFailed("File Logging Disabled")
        target = self._free_name()
        try:
            self.path.rename(target)
        except OSError as problem:
            target.unlink(missing_ok=True)
            raise RolloverFailed(f"Can't rename {self.path.name}: {problem.strerror}") from None
        self.close()
        self.open()
        if self._file is None:
            raise RolloverFailed(self._problem)
        return target

    def _free_name(self) -> Path:
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        name = f"{self.path}.{stamp}"
        for number in range(1000):
            target = Path(f"{name}.{number}" if number else name)
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
            except FileExistsError:
                continue
            except OSError as problem:
                reason = os.strerror(problem.errno or errno.EIO)
                raise RolloverFailed(f"Can't create {target.name}: {reason}") from None
            return target
        raise RolloverFailed(f"Too many files are named {Path(name).name}")
