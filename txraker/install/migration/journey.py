"""Steps carried out one after the other; when one fails, what was done is undone, the last first.

A command that was begun comes to its end: one that is undone while it still runs could have the last word.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import define, field, frozen

from txraker.install.commands import ICommands, Outcome
from txraker.install.errors import InstallError
from txraker.install.migration.plan import Command, Step

Say = Callable[[str], object]


@define
class Interruption:
    """Whether somebody wants us to stop. It is noted, and acted upon when that can be done in order."""

    came: bool = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note Ctrl-C and the like; go on when the terminal is gone."""
        with _handling(
            {signal.SIGINT: self._note, signal.SIGTERM: self._note, signal.SIGHUP: signal.SIG_IGN}
        ):
            yield

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Let nobody stop us, or what we run."""
        with _handling(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)):
            yield

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


@frozen(eq=False)
class Journey:
    """Carries steps out. ``undone`` is what can be said once all that was to be undone is."""

    _commands: ICommands
    _say: Say
    _undone: str
    _interruption: Interruption = field(factory=Interruption)

    def go(self, steps: Sequence[Step], trial: Callable[[], None]) -> None:
        """Take all steps and see whether that was a success, which the trial denies by an InstallError.

        Raises InstallError when it wasn't, and then everything is as before, or it says what isn't.
        """
        begun: list[Step] = []
        try:
            for number, step in enumerate(steps, start=1):
                self._tell(f"{number}/{len(steps)} {step.says}")
                self._take(step, begun)
                self._check_interruption()
            self._tell("Look whether everything is there")
            trial()
            self._check_interruption()
        except BaseException as problem:
            with self._interruption.ignored():
                raise InstallError(self._go_back(begun, str(problem) or type(problem).__name__)) from problem

    def shown(self, command: Command) -> str:
        """Return a command as one types it."""
        words = [*command.words]
        if command.as_root:
            words = self._commands.root_words(words)
        return shlex.join(words[:1] + words[2:] if words[:2] == ["sudo", "--"] else words)

    def _take(self, step: Step, begun: list[Step]) -> None:
        begun.append(step)
        outcome = self._run(step.command)
        if outcome.is_good:
            return
        if step.is_whole:
            begun.remove(step)
        raise InstallError(f"`{self.shown(step.command)}` failed: {outcome.words}")

    def _check_interruption(self) -> None:
        if self._interruption.came:
            raise InstallError("it was interrupted")

    def _go_back(self, begun: Sequence[Step], reason: str) -> str:
        """Undo steps and return what is to be said of it all."""
        if begun:
            self._tell("That failed, and what was done is undone")
        left: list[str] = []
        for step in reversed(begun):
            for command in step.undo:
                self._tell(f"Undo: {self.shown(command)}")
                outcome = self._run(command)
                if not outcome.is_good:
                    left.append(f"{self.shown(command)} ({outcome.words})")
        if left:
            return f"{reason}\nThis couldn't be undone, and must be done by hand: {'; '.join(left)}"
        return f"{reason}\n{self._undone if begun else 'Nothing was changed.'}"

    def _run(self, command: Command) -> Outcome:
        run = self._commands.as_root if command.as_root else self._commands.run
        return run(command.words, command.seconds)

    def _tell(self, line: str) -> None:
        with suppress(OSError):  # the terminal may be gone, and a printer without a server is worse
            self._say(line)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep others from moving in where we do, as long as the context lasts; nothing is written for that.

    Raises InstallError when somebody else is there already.
    """
    with ExitStack() as held:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstallError(f"{folder.parent} is being migrated already. Nothing was changed.") from None
        yield


@contextmanager
def _handling(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    with ExitStack() as restored:
        for number, handler in handlers.items():
            restored.callback(signal.signal, number, signal.signal(number, handler))
        yield
