"""How other programs are run: to their end, in bounded time, never by a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from attrs import field, frozen

NOT_RUNNABLE: Final = 126
NOT_INSTALLED: Final = 127
TIMED_OUT: Final = 124
"""The codes of programs that never began or never ended, as in a shell."""

RUN_WITHIN: Final = 30.0
"""Seconds that a program may take unless told otherwise."""

PASSWORD_WITHIN: Final = 300.0
"""Seconds more for somebody whom sudo asks for a password."""


@frozen
class Outcome:
    """What became of a program: its exit code (negative: the signal that ended it) and what it wrote."""

    code: int
    output: str = ""
    errors: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it did what it was asked for."""
        return self.code == 0

    @property
    def words(self) -> str:
        """What it said of its failure, in one line; never empty."""
        said = " ".join(self.errors.split()) or " ".join(self.output.split())
        return said or f"it ended with code {self.code}"


class ICommands(Protocol):
    """Runs programs. Unit tests have one that only notes what it is asked for."""

    def root_words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command that is to be run as root: with ``sudo`` unless we are root."""

    def run(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        """Run a program with ``given`` as its input, and return what became of it. Raises nothing."""

    def as_root(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        """Run a program as root. sudo may ask for a password, on the terminal."""


@frozen
class Commands:
    """Provides ICommands, on this machine. What programs say is in English, so that it can be looked into."""

    _user_id: int = field(factory=os.geteuid)

    def root_words(self, words: Sequence[str]) -> list[str]:
        return [*words] if self._user_id == 0 else ["sudo", "--", *words]

    def run(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        try:
            program = subprocess.Popen(
                list(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            return Outcome(NOT_INSTALLED, errors=f"{words[0]} is not installed")
        except (OSError, ValueError) as problem:
            return Outcome(NOT_RUNNABLE, errors=f"{words[0]} can't be run: {problem}")
        return _outcome(program, words[0], seconds, given)

    def as_root(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        patience = 0.0 if self._user_id == 0 else PASSWORD_WITHIN
        return self.run(self.root_words(words), seconds + patience, given)


def _outcome(program: subprocess.Popen[str], name: str, seconds: float, given: str) -> Outcome:
    """Wait for a program; one that takes too long is killed, if it can be: sudo's can't."""
    try:
        output, errors = program.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(program)
        return Outcome(TIMED_OUT, errors=f"{name} didn't end within {seconds:g} seconds")
    return Outcome(program.returncode, output, errors)


def _end(program: subprocess.Popen[str]) -> None:
    with suppress(PermissionError):
        program.kill()
    with suppress(subprocess.TimeoutExpired):
        program.wait(1)
    for pipe in (program.stdin, program.stdout, program.stderr):
        if pipe is not None:
            with suppress(OSError):  # what it didn't want to read any more
                pipe.close()
