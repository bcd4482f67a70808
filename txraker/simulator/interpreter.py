"""Pure: the table of gcode commands and the queue that runs scripts one after another.

A command that takes time is a generator: it yields the printer time at which it wants to go on. One script
runs at a time; the others wait behind it, as they do behind Klippy's gcode mutex. When none waits, the
``background`` (the virtual SD card) may run its next line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from attrs import define, field, frozen

from txraker.simulator.console import Console
from txraker.simulator.errors import CommandError
from txraker.simulator.gcode import Command, parse_line
from txraker.simulator.timeline import Timeline

Steps = Iterator[float]
"""What a running command is: yields printer times at which to resume."""

Handler = Callable[[Command], Steps | None]
"""Runs a command, at once (None) or step by step."""

Done = Callable[[CommandError | None], None]
"""Told when a script has ended, with its error if it failed."""


@frozen
class CommandSpec:
    """One gcode command: its handler, its help text, and whether it works when the printer is not ready."""

    name: str
    handler: Handler
    help: str | None = None
    always: bool = False


@frozen
class Job:
    """A script in the queue, or steps that take their turn like one."""

    script: str
    done: Done
    steps: Steps | None = None


@define
class Interpreter:
    """Runs scripts against a table of commands.

    ``refusal`` answers None while the printer is ready, otherwise the text with which commands fail.
    """

    timeline: Timeline
    console: Console
    refusal: Callable[[], str | None]
    background: Callable[[], Job | None]
    _commands: dict[str, CommandSpec] = field(factory=dict)
    _queue: deque[Job] = field(factory=deque)
    _job: Job | None = None
    _steps: Steps | None = None
    _resume_at: float = 0.0
    _abort: CommandError | None = None
    _table: dict[str, dict[str, str]] = field(factory=dict)
    _table_ready: bool | None = None

    @property
    def busy(self) -> bool:
        """Whether a script runs or waits."""
        return self._job is not None or bool(self._queue)

    @property
    def wake(self) -> float | None:
        """The printer time at which there is something to do, None when there is nothing."""
        return self._resume_at if self.busy else None

    def register(self, specs: Iterable[CommandSpec]) -> None:
        """Add commands."""
        for spec in specs:
            self._commands[spec.name] = spec
        self._table_ready = None

    def unregister(self, names: Iterable[str]) -> None:
        """Remove commands."""
        for name in names:
            self._commands.pop(name, None)
        self._table_ready = None

    def table(self) -> dict[str, dict[str, str]]:
        """``gcode.commands``: every command available now, with its help where it has one."""
        ready = self.refusal() is None
        if ready is not self._table_ready:
            self._table_ready = ready
            self._table = {
                spec.name: {"help": spec.help} if spec.help else {}
                for spec in self._commands.values()
                if ready or spec.always
            }
        return self._table

    def help(self) -> dict[str, str]:
        """The help texts of the commands available now."""
        return {name: entry["help"] for name, entry in self.table().items() if "help" in entry}

    def submit(self, script: str, done: Done) -> None:
        """Queue a script; ``done`` is called when it has ended."""
        self._enqueue(Job(script, done))

    def submit_steps(self, steps: Steps, done: Done) -> None:
        """Queue steps that are not gcode."""
        self._enqueue(Job("", done, steps))

    def abort(self, error: CommandError) -> None:
        """Make the running script fail at the next :meth:`run`."""
        self._abort = error

    def run(self) -> None:
        """Do everything that is due at the timeline's present."""
        if self._abort is not None:
            error, self._abort = self._abort, None
            self._finish(error)
        while self._begin() and self._resume_at <= self.timeline.now:
            self._step()

    def run_script(self, script: str) -> Steps:
        """Run a script's lines as part of the running command."""
        for line in script.split("\n"):
            command = parse_line(line)
            if command is not None:
                steps = self._dispatch(command)
                if steps is not None:
                    yield from steps

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job)
        if self._job is None:
            self._resume_at = self.timeline.now

    def _begin(self) -> bool:
        if self._job is None:
            self._job = self._queue.popleft() if self._queue else self.background()
            if self._job is None:
                return False
            self._steps = self._job.steps or self.run_script(self._job.script)
            self._resume_at = self.timeline.now
        return True

    def _step(self) -> None:
        assert self._steps is not None
        try:
            self._resume_at = next(self._steps)
        except StopIteration:
            self._finish(None)
        except CommandError as error:
            self.console.error(str(error))
            self._finish(error)

    def _finish(self, error: CommandError | None) -> None:
        job, self._job, self._steps = self._job, None, None
        if job is not None:
            job.done(error)

    def _dispatch(self, command: Command) -> Steps | None:
        spec = self._commands.get(command.name)
        refusal = self.refusal()
        if refusal is not None and (spec is None or not spec.always):
            raise CommandError(refusal)
        if spec is None:
            self.console.info(f'Unknown command:"{command.name}"')
            return None
        if command.malformed:
            raise CommandError(f"Malformed command '{command.line}'")
        return spec.handler(command)
