"""The machine component put together: its parts, and the service manager that others need, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec

from txraker.components.machine.component import Machine
from txraker.components.machine.peripherals import Peripherals
from txraker.components.machine.services import Services
from txraker.components.machine.sudo import SudoEndpoints
from txraker.config.errors import ConfigError
from txraker.config.options import MachineOptions
from txraker.interfaces import IKlippy, ISystem
from txraker.loader import ComponentLoader
from txraker.reactor import off_thread
from txraker.system.host.facts import HostFactsReader
from txraker.system.instances import Instances
from txraker.system.peripherals.canbus import CanBus
from txraker.system.peripherals.libcamera import Libcamera
from txraker.system.process import run
from txraker.system.providers import configured_system
from txraker.system.sudo import Sudo


def load_machine(
    loader: ComponentLoader, klippy: IKlippy, restart: Callable[[], Awaitable[None]], *, is_simulated: bool
) -> tuple[ISystem, Instances]:
    """Load what deals with the machine, and return its service manager and what our units in it are.

    A section that can't be honoured costs the services only: front-ends don't start without the rest. Nor
    does a virtual printer manage any, unless it is told to.
    """
    reactor, configuration, events = loader.reactor, loader.configuration, loader.events
    report_fault, log = loader.report_fault, loader.log
    try:
        options = configuration.read("machine", MachineOptions)
    except ConfigError as error:
        loader.warnings.put("machine", f"Services can't be managed: {error}")
        options = MachineOptions(provider="none")
    if is_simulated and not configuration.has_option("machine", "provider"):
        options = msgspec.structs.replace(options, provider="none")
    sudo, aside = Sudo(reactor, options.sudo_password), off_thread(reactor)
    system = configured_system(options, reactor, sudo, loader.warnings, report_fault, log)
    instances = Instances(system, klippy)
    allowed = configuration.data_path / "moonraker.asvc"
    services = Services(reactor, system, instances, events, allowed, restart, report_fault, log)
    machine = Machine(
        reactor,
        system,
        instances,
        services,
        klippy,
        events,
        HostFactsReader(Path("/")),
        aside,
        options.shutdown_action,
        report_fault,
        log,
    )
    root = Path("/")
    peripherals = Peripherals(root, aside, Libcamera(root, aside, partial(run, reactor)), CanBus(reactor))
    loader.load("machine", lambda: machine, services, SudoEndpoints(sudo), peripherals)
    return system, instances
