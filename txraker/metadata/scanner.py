"""Files waiting to be read, and the one process that reads them: begun when there is work, gone when idle.

A process that hangs, dies or grows is replaced; the file it had is not tried again, unless somebody else has
killed the process, which may be the kernel that is short of memory: then it is, once. What was found in it
before is kept. Files that somebody waits for are first, then the newest.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from txraker.errors import NotFound, Unavailable
from txraker.metadata.messages import Found, Hello, Reply, Request
from txraker.metadata.process import Worker
from txraker.reactor import Reactor

WORKER: Final = (sys.executable, "-m", "txraker.metadata.worker")

IDLE: Final = 30.0
"""Seconds without work after which the process is let go."""

LEAST_TIME: Final = 20.0
"""Seconds that any file may take; the machine may be printing."""

TIME_PER_MIB: Final = 0.05
"""Seconds more for each MiB of a file."""

TIME_PER_MIB_OF_OBJECTS: Final = 3.0
"""The same when its objects are to be defined, for which all of it is read and written."""

MOST_FILES: Final = 500
"""Files that one process reads."""

MOST_MEMORY: Final = 128 * 1024
"""KiB of memory beyond which a process is replaced."""

PAUSE: Final = 0.1
"""Seconds between two files that nobody waits for."""

TRY_AGAIN: Final = 60.0
"""Seconds after which a process is begun anew that ended before it was ready."""

LEAVE: Final = 5.0
"""Seconds that a process has to end when it was let go."""

MOST_DEATHS: Final = 2
"""Processes that may be killed by others while they read a file."""

MOST_TOLD: Final = 200
"""Dropped files about which somebody is told in one turn of the reactor."""

_STOPPED: Final = "The server is being stopped"


class Unreadable(Exception):
    """A file about which nothing can be found out before it changes; the message says why."""


class Interrupted(Unreadable):
    """A file that wasn't read to its end for a reason that may pass; ``found`` is what was found before that.

    It ``is_deadly`` when every process that read it was killed: better not to try it again.
    """

    def __init__(self, why: str, found: Found | None, *, is_deadly: bool) -> None:
        super().__init__(why)
        self.found = found
        self.is_deadly = is_deadly


class Job(msgspec.Struct, frozen=True):
    """A file to be read: ``modified`` is Unix time, ``size`` bytes."""

    file: Path
    size: int
    modified: float
    mark_objects: bool = False

    @property
    def time_limit(self) -> float:
        """Seconds that it may take."""
        per_mib = TIME_PER_MIB_OF_OBJECTS if self.mark_objects else TIME_PER_MIB
        return LEAST_TIME + self.size / 2**20 * per_mib


@define(eq=False, repr=False)
class _Waiting:
    job: Job
    urgent: bool
    told: list[Deferred[Found]] = field(factory=list)
    found: Found | None = None
    deaths: int = 0

    @property
    def order(self) -> tuple[bool, float]:
        return self.urgent, self.job.modified

    def join(self, other: _Waiting) -> None:
        """Wait for the same file as another does, too."""
        self.urgent = self.urgent or other.urgent
        self.told += other.told
        self.found, self.deaths = other.found, other.deaths

    def finish(self, problem: Exception) -> None:
        """Tell what was found before, or else the problem; one that may pass tells both."""
        told, self.told = self.told, []
        for deferred in told:
            if not deferred.called:
                if self.found is None or isinstance(problem, Interrupted):
                    deferred.errback(problem)
                else:
                    deferred.callback(self.found)


@define(eq=False, repr=False)
class Scanner:
    """Reads gcode files, one at a time. ``command`` is how the process is run."""

    _reactor: Reactor
    _log: Logger
    _command: Sequence[str] = WORKER
    _waiting: dict[Path, _Waiting] = field(factory=dict, init=False)
    _current: _Waiting | None = field(default=None, init=False)
    _worker: Worker | None = field(default=None, init=False)
    _limit: IDelayedCall | None = field(default=None, init=False)
    _idle: IDelayedCall | None = field(default=None, init=False)
    _pause: IDelayedCall | None = field(default=None, init=False)
    _alive: set[Worker] = field(factory=set, init=False)
    _ended: list[Deferred[None]] = field(factory=list, init=False)
    _broken: IDelayedCall | None = field(default=None, init=False)
    _why_broken: str = field(default="", init=False)
    _has_stopped: bool = field(default=False, init=False)

    def scan(self, job: Job, *, urgent: bool = False) -> Deferred[Found]:
        """Read a file and return a Deferred of what was found, complete or not.

        A file that waits already is read once for all. It fails with Unreadable, which is the file's fault
        unless it is Interrupted, with Unavailable, or with NotFound when the file's folder was dropped.
        """
        if self._has_stopped:
            return fail(Unavailable(_STOPPED))
        if _is_active(self._broken):
            return fail(Unavailable(self._why_broken))
        waiting = self._waiting.get(job.file)
        if waiting is None:
            waiting = self._waiting[job.file] = _Waiting(job, urgent)
        waiting.job, waiting.urgent = job, waiting.urgent or urgent
        done: Deferred[Found] = Deferred()
        waiting.told.append(done)
        self._next()
        return done

    def drop(self, folder: Path) -> None:
        """Read no file below a folder that is gone, except those that somebody waits for."""
        gone = [
            file
            for file, waiting in self._waiting.items()
            if not waiting.urgent and file.is_relative_to(folder)
        ]
        self._tell_gone([self._waiting.pop(file) for file in gone])

    def _tell_gone(self, gone: list[_Waiting]) -> None:
        for waiting in gone[:MOST_TOLD]:
            waiting.finish(NotFound(f"'{waiting.job.file}' is gone"))
        if gone[MOST_TOLD:]:
            self._reactor.callLater(0, self._tell_gone, gone[MOST_TOLD:])

    def stop(self) -> Deferred[None]:
        """End the process and tell everybody who waits; the Deferred fires when it is gone."""
        self._has_stopped = True
        for call in (self._limit, self._idle, self._pause, self._broken):
            _cancel(call)
        waiting = [*self._waiting.values(), *([self._current] if self._current else [])]
        self._waiting.clear()
        self._current = None
        for left in waiting:
            left.finish(Unavailable(_STOPPED))
        if not self._alive:
            return succeed(None)
        for worker in list(self._alive):
            worker.kill()
        done: Deferred[None] = Deferred()
        self._ended.append(done)
        return done

    def _next(self) -> None:
        """Begin with the next file, if there is one and nothing keeps us from it."""
        if self._has_stopped or self._current is not None or not self._waiting:
            return
        chosen = max(self._waiting.values(), key=lambda waiting: waiting.order)
        if _is_active(self._pause) and not chosen.urgent:
            return
        worker = self._worker or self._begin()
        if worker is None or not worker.is_ready:
            return
        self._current = self._waiting.pop(chosen.job.file)
        _cancel(self._idle)
        seconds = chosen.job.time_limit
        self._limit = self._reactor.callLater(seconds, self._takes_too_long)
        worker.ask(Request(os.fspath(chosen.job.file), chosen.job.mark_objects, math.ceil(seconds)))

    def _begin(self) -> Worker | None:
        """Start a process; who waits is told when that can't be done."""
        worker = Worker(self)
        try:
            self._reactor.spawnProcess(worker, self._command[0], list(self._command), dict(os.environ))
        except OSError as problem:
            self._give_up(f"The process that reads gcode files can't be started: {problem.strerror}")
            return None
        self._alive.add(worker)
        self._worker = worker
        _cancel(self._limit)
        self._limit = self._reactor.callLater(LEAST_TIME, self._takes_too_long)
        return worker

    def said(self, worker: Worker, reply: Reply) -> None:
        """Hear a reply."""
        if worker is not self._worker:
            return
        if isinstance(reply, Hello):
            _cancel(self._limit)
            worker.is_ready = True
            self._next()
        elif self._current is not None:
            self._take(worker, self._current, reply)

    def _take(self, worker: Worker, current: _Waiting, reply: Reply) -> None:
        if isinstance(reply, Found):
            worker.memory = reply.memory
            current.found = reply
            if not reply.is_complete:
                return
        if worker.files >= MOST_FILES or worker.memory > MOST_MEMORY:
            self._let_go()
        self._finish(current, _problem(reply, current.found))
        self._next()
        if self._current is None and self._worker is not None:
            self._idle = self._reactor.callLater(IDLE, self._let_go)

    def _finish(self, current: _Waiting, problem: Exception) -> None:
        """Be done with a file. Who is told may ask for the next one at once, so that comes last."""
        self._put_aside()
        current.finish(problem)

    def _put_aside(self) -> None:
        self._current = None
        _cancel(self._limit)
        _cancel(self._idle)
        _cancel(self._pause)
        self._pause = self._reactor.callLater(PAUSE, self._next)

    def _lose(self, current: _Waiting, worker: Worker, why: str) -> None:
        """Take the end of the process that had a file; who wasn't to blame for it is tried once more."""
        current.deaths += worker.is_victim
        if worker.is_victim and current.deaths < MOST_DEATHS:
            self._put_aside()
            self._waiting.setdefault(current.job.file, _Waiting(current.job, current.urgent)).join(current)
            return
        problem = Interrupted(why, current.found, is_deadly=True) if worker.is_victim else Unreadable(why)
        self._finish(current, problem)

    def _let_go(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.dismiss()
            worker.leaving = self._reactor.callLater(LEAVE, worker.kill)

    def _takes_too_long(self) -> None:
        if self._current is not None:
            self._log.warn("{file}: reading it took too long", file=self._current.job.file)
        if self._worker is not None:
            self._worker.kill()

    def ended(self, worker: Worker, why: str) -> None:
        """Hear that a process is gone."""
        self._alive.discard(worker)
        _cancel(worker.leaving)
        if not self._alive:
            ended, self._ended = self._ended, []
            for done in ended:
                done.callback(None)
        if worker is not self._worker:
            return
        self._worker = None
        _cancel(self._limit)
        if self._current is not None:
            self._log.warn("{file}: reading it failed: {why}", file=self._current.job.file, why=why)
            self._lose(self._current, worker, why)
        elif not worker.is_ready:
            self._give_up(f"The process that reads gcode files has ended: {why}")
        self._next()

    def _give_up(self, why: str) -> None:
        """Tell everybody who waits, and begin nothing for a while."""
        if self._has_stopped:
            return
        self._log.error("{why}", why=why)
        self._why_broken = why
        self._broken = self._reactor.callLater(TRY_AGAIN, self._next)
        waiting, self._waiting = self._waiting, {}
        for left in waiting.values():
            left.finish(Unavailable(why))


def _problem(reply: Reply, found: Found | None) -> Unreadable:
    """Return what a reply that isn't Found says."""
    reason = getattr(reply, "reason", "")
    if getattr(reply, "may_pass", False):
        return Interrupted(reason, found, is_deadly=False)
    return Unreadable(reason)


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()


def _is_active(call: IDelayedCall | None) -> bool:
    return call is not None and bool(call.active())
