"""``machine.services.*``: the services that may be managed, and how they are doing.

Contract: "System Administration" of Moonraker's API, "Allowed Services" of its configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from attrs import define, field
from msgspec import Meta
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import POST, endpoint
from txraker.errors import ApiError, BadRequest
from txraker.events import Events, ServiceStateChanged
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import ISystem
from txraker.system.errors import NoSuchService, SystemUnavailable
from txraker.system.instances import Instances
from txraker.system.services import (
    DEFAULT_ALLOWED,
    PATTERNS,
    UnitState,
    allowed_text,
    is_always_allowed,
    parse_allowed,
    service_name,
    unit_name,
)

OWN_NAME = "moonraker"
"""What clients call the service that answers them."""

LAST_WORDS = 0.25
"""Seconds between an answer and what ends the process that gives it."""

ServiceParameter = Annotated[str, Meta(min_length=1, description="The service's name, as `klipper`.")]


@define(eq=False, repr=False)
class Services:
    """Knows which services there are and may be managed, and does what clients ask with them.

    ``allowed_file`` lists those that are allowed beside Klipper's and ours; ``restart`` replaces this server
    within its process.
    """

    _clock: IReactorTime
    _system: ISystem
    _instances: Instances
    _events: Events
    _allowed_file: Path
    _restart: Callable[[], Awaitable[None]]
    _report_fault: FaultReport
    _log: Logger
    states: dict[str, UnitState] = field(factory=dict, init=False)
    _watched: set[str] = field(factory=set, init=False)

    @endpoint(
        "machine.services.restart", POST, "/machine/services/restart", role=Role.ADMIN, audit=("service",)
    )
    async def restart_service(self, caller: Caller, *, service: ServiceParameter) -> str:
        """Restart a service and return when that is done; `moonraker` is this server, which answers first."""
        if not await self._is_own(service):
            await self._act(self._system.restart_unit, service)
        elif self._instances.own is None:
            await self._restart()
        else:
            self._restart_own_unit(self._instances.own)
        return "ok"

    @endpoint("machine.services.stop", POST, "/machine/services/stop", role=Role.ADMIN, audit=("service",))
    async def stop_service(self, caller: Caller, *, service: ServiceParameter) -> str:
        """Stop a service and return when that is done. This server can only be restarted."""
        await self._refuse_own(service, "stop")
        await self._act(self._system.stop_unit, service)
        return "ok"

    @endpoint("machine.services.start", POST, "/machine/services/start", role=Role.ADMIN, audit=("service",))
    async def start_service(self, caller: Caller, *, service: ServiceParameter) -> str:
        """Start a service and return when that is done. This server can only be restarted."""
        await self._refuse_own(service, "start")
        await self._act(self._system.start_unit, service)
        return "ok"

    async def _is_own(self, service: str) -> bool:
        name = service_name(service)
        return name == OWN_NAME or unit_name(name) == await self._instances.own_unit()

    async def _refuse_own(self, service: str, action: str) -> None:
        if await self._is_own(service):
            raise BadRequest(f"Service action '{action}' not available for {OWN_NAME}")

    async def _act(self, act: Callable[[str], Awaitable[None]], service: str) -> None:
        """Do something to a service that may be managed, and that there is."""
        unit = unit_name(service)
        if unit != await self._instances.klipper_unit() and not self._is_allowed(service_name(unit)):
            raise BadRequest(f"Service '{service}' not allowed")
        try:
            await act(unit)
        except NoSuchService:
            raise BadRequest(f"Service '{service}' not installed") from None

    def _is_allowed(self, name: str) -> bool:
        return is_always_allowed(name) or name in self._listed()

    def start(self) -> None:
        """Make the list of services that are allowed, if there is none."""
        self._listed()

    async def refresh(self) -> None:
        """Find out which services there are. Raises SystemUnavailable."""
        available = await self._available()
        for service in available:
            try:
                await self._look_at(service)
            except SystemUnavailable:
                raise
            except ApiError as problem:
                self._log.warn("{service} can't be watched: {problem}", service=service, problem=str(problem))
        for service in self._watched.difference(available):
            self._forget(service)

    async def _look_at(self, service: str) -> None:
        unit = unit_name(service)
        if await self._system.state(unit) is None:
            self._forget(service)
        elif service not in self._watched:
            self._watched.add(service)
            await self._system.watch(unit, partial(self._changed, service))

    def _forget(self, service: str) -> None:
        self._watched.discard(service)
        self.states.pop(service, None)

    async def _available(self) -> list[str]:
        installed = map(service_name, await self._system.installed(PATTERNS))
        own, klipper = await self._instances.own_unit(), await self._instances.klipper_unit()
        detected = [service_name(unit) for unit in (own, klipper) if unit is not None]
        allowed = [*filter(is_always_allowed, installed), *detected, *self._listed()]
        return sorted(set(allowed))

    def _listed(self) -> tuple[str, ...]:
        """Return what the file allows; one that isn't there is made."""
        try:
            return parse_allowed(self._allowed_file.read_text(errors="replace"))
        except FileNotFoundError:
            self._make_allowed_file()
            return DEFAULT_ALLOWED
        except OSError as problem:
            self._log.warn("{path} can't be read: {reason}", path=self._allowed_file, reason=problem.strerror)
            return ()

    def _make_allowed_file(self) -> None:
        try:
            self._allowed_file.write_text(allowed_text(DEFAULT_ALLOWED))
            self._allowed_file.chmod(0o644)
        except OSError as problem:
            self._log.warn("{path} can't be made: {reason}", path=self._allowed_file, reason=problem.strerror)

    def _changed(self, service: str, state: UnitState) -> None:
        if service not in self._watched:
            return
        is_news = service in self.states
        self.states[service] = state
        if is_news:
            self._events.emit(ServiceStateChanged({service: state}))

    def _restart_own_unit(self, unit: str) -> None:
        """End this process, to be started again, once the client has its answer."""

        async def restart() -> None:
            try:
                await self._system.restart_unit(unit)
            except ApiError as problem:
                self._log.error("We are not restarted: {problem}", problem=str(problem))

        where = "restarting our own service"
        self._clock.callLater(LAST_WORDS, lambda: run_aside(restart(), where, self._report_fault))
