"""``machine.system_info`` and the machine's power, by clients and by Klipper's macros.

Contract: "System Administration" of Moonraker's API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txraker.api.caller import TRUSTED, Caller, Role, Transport
from txraker.api.endpoint import GET, POST, endpoint
from txraker.components.machine.services import OWN_NAME, Services
from txraker.errors import ApiError, BadRequest
from txraker.events import Events, KlippyIdentified
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IComponent, IKlippy, ISystem
from txraker.reactor import OffThread
from txraker.system.host.facts import HostFacts, HostFactsReader
from txraker.system.instances import Instances
from txraker.system.services import PowerAction, UnitState, service_name

LOOK_INTERVAL = 10.0
"""Seconds between two looks for services that clients cause by asking what there is."""

RemoteMethod = Callable[[dict[str, Any]], Awaitable[str]]
"""What Klipper's macros can call, with its arguments."""

KLIPPER = Caller(Transport.UNIX, "Klipper", TRUSTED)
"""Whoever wrote the macros: they may do what their printer's owner may."""

SERVICES_WITHIN = 2.0
"""Seconds that the first answer waits for the services to be found."""


_WORDS: dict[PowerAction, str] = {"poweroff": "shutdown", "halt": "shutdown", "reboot": "reboot"}


class InstanceIds(msgspec.Struct, frozen=True):
    """The names of the services that this server and its Klippy are."""

    moonraker: str
    klipper: str


class SystemInfo(HostFacts, frozen=True, kw_only=True):
    """The machine and its services; ``service_state`` has those of ``available_services``."""

    provider: Literal["none", "systemd_cli", "systemd_dbus"]
    available_services: list[str]
    service_state: dict[str, UnitState]
    instance_ids: InstanceIds


class SystemInfoResult(msgspec.Struct, frozen=True):
    """Everything about the machine."""

    system_info: SystemInfo


@implementer(IComponent)
@define(eq=False, repr=False)
class Machine:
    """Answers for the machine as a whole; ``shutdown_action`` is how it is switched off."""

    _clock: IReactorTime
    _system: ISystem
    _instances: Instances
    _services: Services
    _klippy: IKlippy
    _events: Events
    _facts: HostFactsReader
    _off_thread: OffThread
    _shutdown_action: PowerAction
    _report_fault: FaultReport
    _log: Logger
    name: str = field(default="machine", init=False)
    _is_looking: bool = field(default=False, init=False)
    _look_again: bool = field(default=False, init=False)
    _looked_at: float | None = field(default=None, init=False)
    _waiting: list[Deferred[None]] = field(factory=list, init=False)

    def start(self) -> None:
        self._services.start()
        self._system.start()
        self._events.on(KlippyIdentified, lambda _: self._look_for_services())
        self._look_for_services()
        methods: dict[str, RemoteMethod] = {
            "shutdown_machine": lambda _: self._switch(self._shutdown_action),
            "reboot_machine": lambda _: self._switch("reboot"),
            "start_service": self._on_service(self._services.start_service),
            "stop_service": self._on_service(self._services.stop_service),
            "restart_service": self._on_service(self._services.restart_service),
        }
        for name, method in methods.items():
            self._klippy.register_remote_method(name, self._remotely(name, method))

    def stop(self) -> None:
        self._system.stop()

    @endpoint("machine.system_info", GET, "/machine/system_info")
    async def system_info(self, caller: Caller) -> SystemInfoResult:
        """Return what the machine is, and how the services on it are doing that may be managed.

        What can't be found out is left empty.
        """
        facts = await self._off_thread(self._facts.read)
        await self._services_found()
        states = self._services.states
        return SystemInfoResult(
            SystemInfo(
                **msgspec.structs.asdict(facts),
                provider=self._system.provider,
                available_services=sorted(states),
                service_state=dict(states),
                instance_ids=InstanceIds(
                    service_name(self._instances.own or OWN_NAME),
                    service_name(self._instances.klipper or "klipper"),
                ),
            )
        )

    @endpoint("machine.shutdown", POST, "/machine/shutdown", role=Role.ADMIN)
    async def shutdown(self, caller: Caller) -> str:
        """Switch the machine off."""
        return await self._switch(self._shutdown_action)

    @endpoint("machine.reboot", POST, "/machine/reboot", role=Role.ADMIN)
    async def reboot(self, caller: Caller) -> str:
        """Restart the machine."""
        return await self._switch("reboot")

    async def _switch(self, action: PowerAction) -> str:
        facts = await self._off_thread(self._facts.read)
        if facts.virtualization.virt_type == "container":
            what, where = _WORDS[action], facts.virtualization.virt_identifier
            raise BadRequest(f"Cannot {what} from within a {where} container")
        self._log.info("The machine is asked to {action}", action=action)
        await self._system.power(action)
        return "ok"

    def _on_service(self, method: Callable[..., Awaitable[str]]) -> RemoteMethod:
        """Return what a macro may call to do something to the ``service`` it names."""

        async def call(arguments: dict[str, Any]) -> str:
            service = arguments.get("service")
            if not isinstance(service, str) or not service:
                raise BadRequest("No service is named: give its name as SERVICE")
            return await method(KLIPPER, service=service)

        return call

    def _remotely(self, name: str, method: RemoteMethod) -> Callable[[dict[str, Any]], None]:
        """Return what Klippy may call: there is nobody who could be told of an error, except by the log."""

        async def call(arguments: dict[str, Any]) -> None:
            try:
                await method(arguments)
            except ApiError as problem:
                self._log.error("Klipper's call of {name} failed: {problem}", name=name, problem=str(problem))

        return lambda arguments: _ignore(run_aside(call(arguments), name, self._report_fault))

    def _look_for_services(self) -> None:
        """Look for services; if that is under way, once more after it."""
        if self._is_looking:
            self._look_again = True
        else:
            run_aside(self._look(), "looking for services", self._report_fault)

    async def _look(self) -> None:
        self._is_looking, self._look_again = True, False
        try:
            await self._services.refresh()
        except ApiError as problem:
            self._log.info("Services can't be looked for: {problem}", problem=str(problem))
        finally:
            self._is_looking = False
            self._looked_at = self._clock.seconds()
            waiting, self._waiting = self._waiting, []
            for asking in waiting:
                asking.callback(None)
        if self._look_again:
            await self._look()

    async def _services_found(self) -> None:
        """Wait for the first look at services, if it doesn't take long; later just begin another."""
        if self._looked_at is not None:
            if self._clock.seconds() - self._looked_at >= LOOK_INTERVAL:
                self._look_for_services()
            return
        asking: Deferred[None] = Deferred()
        self._waiting.append(asking)
        with suppress(DeferredTimeout):
            await asking.addTimeout(SERVICES_WITHIN, self._clock)


def _ignore(_: object) -> None:
    """Return nothing."""
