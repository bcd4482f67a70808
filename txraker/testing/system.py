"""A machine in memory: provides ISystem without any systemd."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatch

from attrs import define, field
from zope.interface import implementer

from txraker.interfaces import ISystem
from txraker.system.errors import JobFailed, NoSuchService
from txraker.system.services import PowerAction, UnitState, is_service

RUNNING = UnitState("active", "running")
STOPPED = UnitState("inactive", "dead")


@implementer(ISystem)
@define(eq=False)
class MemorySystem:
    """Does what a service manager does, at once.

    ``units`` maps units to states, ``processes`` process ids to units. ``problem`` is raised by every call,
    and ``failing`` maps what is asked, such as ``stop klipper.service`` or ``reboot``, to what is raised
    then. What is in ``spoiled`` can't be looked at. All that was done is in ``done``, and ``looks`` counts
    how often services were looked for.
    """

    units: dict[str, UnitState] = field(factory=dict)
    processes: dict[int, str] = field(factory=dict)
    provider: str = "systemd_dbus"
    problem: Exception | None = None
    failing: dict[str, Exception] = field(factory=dict)
    done: list[str] = field(factory=list, init=False)
    looks: int = field(default=0, init=False)
    spoiled: set[str] = field(factory=set, init=False)
    running: bool = field(default=False, init=False)
    _watchers: dict[str, Callable[[UnitState], None]] = field(factory=dict, init=False)

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    async def start_unit(self, unit: str) -> None:
        self._do(f"start {unit}", unit)
        self.become(unit, RUNNING)

    async def stop_unit(self, unit: str) -> None:
        self._do(f"stop {unit}", unit)
        self.become(unit, STOPPED)

    async def restart_unit(self, unit: str) -> None:
        self._do(f"restart {unit}", unit)
        self.become(unit, STOPPED)
        self.become(unit, RUNNING)

    async def state(self, unit: str) -> UnitState | None:
        self._answer()
        if unit in self.spoiled:
            raise JobFailed(f"Can't look at {unit}")
        return self.units.get(unit)

    async def installed(self, patterns: Iterable[str]) -> list[str]:
        self._answer()
        self.looks += 1
        wanted = list(patterns)
        return sorted(unit for unit in self.units if any(fnmatch(unit, pattern) for pattern in wanted))

    async def unit_of_process(self, process_id: int) -> str | None:
        self._answer()
        unit = self.processes.get(process_id)
        return unit if unit is not None and is_service(unit) else None

    async def watch(self, unit: str, changed: Callable[[UnitState], None]) -> None:
        self._answer()
        self._watchers[unit] = changed
        changed(self.units.get(unit, STOPPED))

    async def power(self, action: PowerAction) -> None:
        self._do(action)

    def become(self, unit: str, state: UnitState) -> None:
        """Let a unit be in a state; who watches it is told when that is news."""
        if self.units.get(unit) != state:
            self.units[unit] = state
            if unit in self._watchers:
                self._watchers[unit](state)

    def _answer(self) -> None:
        if self.problem is not None:
            raise self.problem

    def _do(self, what: str, unit: str | None = None) -> None:
        self._answer()
        if what in self.failing:
            raise self.failing[what]
        if unit is not None and unit not in self.units:
            raise NoSuchService(f"Can't {what}: Unit {unit} not found.")
        self.done.append(what)
