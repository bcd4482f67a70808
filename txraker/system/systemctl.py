"""systemd by its command ``systemctl``: what ``provider: systemd_cli`` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from txraker.faults import FaultReport, run_aside
from txraker.interfaces import ISystem
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system.cgroups import unit_of_cgroups
from txraker.system.errors import (
    PERMISSION_WARNING,
    JobFailed,
    NoSuchService,
    NotPermitted,
    SystemUnavailable,
)
from txraker.system.process import Finished, run
from txraker.system.services import PowerAction, UnitState
from txraker.system.sudo import Sudo

JOB_WITHIN = 30.0
"""Seconds that starting or stopping a service may take."""

LOOK_WITHIN = 10.0
"""Seconds that looking at services may take."""

WATCH_INTERVAL = 5.0
"""Seconds between two looks at watched services; each costs a process."""

_UNKNOWN = ("not found", "not loaded", "does not exist")
_REFUSED = ("Interactive authentication required", "Access denied", "Permission denied")
_GONE = ("Failed to connect to bus", "has not been booted with systemd")
_WARNING = "systemctl"


@implementer(ISystem)
@define(eq=False, repr=False)
class SystemdCli:
    """Provides ISystem. ``root`` is where the file system begins."""

    _reactor: Reactor
    _sudo: Sudo
    _warnings: ServerWarnings
    _report_fault: FaultReport
    _log: Logger
    _root: Path = Path("/")

    provider: str = field(default="systemd_cli", init=False)
    _locks: dict[str, DeferredLock] = field(factory=dict, init=False)
    _watchers: dict[str, Callable[[UnitState], None]] = field(factory=dict, init=False)
    _states: dict[str, UnitState] = field(factory=dict, init=False)
    _loop: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._loop = LoopingCall(self._look_aside)
        self._loop.clock = self._reactor

    def start(self) -> None:
        self._loop.start(WATCH_INTERVAL)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    async def start_unit(self, unit: str) -> None:
        await self._job("start", unit)

    async def stop_unit(self, unit: str) -> None:
        await self._job("stop", unit)

    async def restart_unit(self, unit: str) -> None:
        await self._job("restart", unit)

    async def state(self, unit: str) -> UnitState | None:
        return (await self._look([unit])).get(unit)

    async def installed(self, patterns: Iterable[str]) -> list[str]:
        wanted = list(patterns)
        plain = ("--type=service", "--no-legend", "--plain", "--full", "--no-pager")
        files = await self._ask("list-unit-files", *plain, "--", *wanted)
        loaded = await self._ask("list-units", "--all", *plain, "--", *wanted)
        names = {line.split()[0] for text in (files, loaded) for line in text.splitlines() if line.split()}
        return sorted(name for name in names if name.endswith(".service") and "@." not in name)

    async def unit_of_process(self, process_id: int) -> str | None:
        try:
            text = (self._root / "proc" / str(process_id) / "cgroup").read_text(errors="replace")
        except OSError:
            return None
        return unit_of_cgroups(text)

    async def watch(self, unit: str, changed: Callable[[UnitState], None]) -> None:
        self._watchers[unit] = changed
        self._states.pop(unit, None)
        await self._look_at_watched()

    async def power(self, action: PowerAction) -> None:
        await self._as_root(f"{action} the machine", action)

    async def _job(self, verb: str, unit: str) -> None:
        lock = self._locks.setdefault(unit, DeferredLock())
        await lock.acquire()
        try:
            await self._as_root(f"{verb} {unit}", verb, "--", unit)
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(unit, None)
        run_aside(self._look_at_watched(), "looking at services", self._report_fault, SystemUnavailable)

    async def _as_root(self, what: str, *arguments: str) -> None:
        """Let systemctl do something. Raises what ISystem raises."""
        try:
            finished = await self._sudo.run(["systemctl", "--no-ask-password", *arguments], JOB_WITHIN)
            if finished.status != 0:
                raise _problem(what, finished)
        except NotPermitted as refusal:
            self._warnings.put(PERMISSION_WARNING, str(refusal))
            raise
        self._warnings.drop(PERMISSION_WARNING)

    async def _ask(self, *arguments: str) -> str:
        finished = await run(self._reactor, ["systemctl", *arguments], LOOK_WITHIN)
        found_nothing = finished.status == 1 and not finished.errors
        if finished.status != 0 and not found_nothing:
            raise SystemUnavailable(f"Services can't be looked at: {_words(finished)}")
        return finished.output

    async def _look(self, units: Iterable[str]) -> dict[str, UnitState]:
        wanted = list(units)
        names = "--property=Id,LoadState,ActiveState,SubState"
        shown = list(parse_shown(await self._ask("show", names, "--", *wanted)))
        return {
            unit: UnitState(properties["ActiveState"], properties["SubState"])
            for unit, properties in zip(wanted, shown, strict=False)
            if properties.get("LoadState") == "loaded"
        }

    def _look_aside(self) -> None:
        run_aside(self._look_at_watched(), "looking at services", self._report_fault)

    async def _look_at_watched(self) -> None:
        if not self._watchers:
            return
        try:
            states = await self._look(self._watchers)
        except SystemUnavailable as problem:
            self._warnings.put(_WARNING, str(problem))
            return
        self._warnings.drop(_WARNING)
        for unit, state in states.items():
            if self._states.get(unit) != state:
                self._states[unit] = state
                self._watchers[unit](state)


def parse_shown(text: str) -> Iterator[dict[str, str]]:
    """Yield the properties of each unit of the output of ``systemctl show``."""
    for block in text.strip().split("\n\n"):
        pairs = [line.partition("=") for line in block.splitlines()]
        properties = {name: value for name, equals, value in pairs if equals}
        if "ActiveState" in properties and "SubState" in properties:
            yield properties


def _problem(what: str, finished: Finished) -> JobFailed | NoSuchService | NotPermitted | SystemUnavailable:
    words = _words(finished)
    if any(known in words for known in _REFUSED):
        return NotPermitted(f"Can't {what}: {words}")
    if any(known in words for known in _GONE):
        return SystemUnavailable(f"Can't {what}: {words}")
    if any(known in words for known in _UNKNOWN):
        return NoSuchService(f"Can't {what}: {words}")
    return JobFailed(f"Can't {what}: {words}")


def _words(finished: Finished) -> str:
    """Return what a program said of its failure, in one line."""
    if finished.status is None:
        return "systemctl didn't end in time"
    return " ".join(finished.errors.split()) or f"systemctl ended with status {finished.status}"
