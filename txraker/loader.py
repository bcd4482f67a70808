"""Components are loaded each on its own: one that fails doesn't keep the others from working."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.logger import Logger

from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import endpoints_of
from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.events import Events
from txraker.faults import FaultReport
from txraker.interfaces import IComponent
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings


@define(eq=False, repr=False)
class ComponentLoader:
    """Loads components, each on its own: one that raises is named as failed, and the rest works.

    What it is given is the ground they all stand on, for whoever builds them.
    """

    reactor: Reactor
    configuration: Configuration
    dispatcher: Dispatcher
    events: Events
    warnings: ServerWarnings
    report_fault: FaultReport
    log: Logger
    loaded: list[IComponent] = field(factory=list, init=False)
    names: list[str] = field(factory=list, init=False)
    failed: list[str] = field(factory=list, init=False)

    def load(self, name: str, build: Callable[[], IComponent], *parts: object) -> None:
        """Build a component; its endpoints are its own and those of its ``parts``."""
        try:
            component = build()
            for part in (component, *parts):
                self.dispatcher.add(endpoints_of(part))
        except ConfigError as error:
            self.fail(name, str(error))
        except Exception as fault:
            self.fail(name, f"incident {self.report_fault(f'loading {name}', fault)}")
        else:
            self.loaded.append(component)
            self.names.append(name)

    def start(self) -> None:
        """Let everything that was loaded begin; what can't is named as failed, too."""
        for name, component in zip(list(self.names), list(self.loaded), strict=True):
            try:
                component.start()
            except Exception as fault:
                self.names.remove(name)
                self.loaded.remove(component)
                self.fail(name, f"incident {self.report_fault(f'starting {name}', fault)}")

    def fail(self, name: str, reason: str) -> None:
        """Name a component that failed, with the reason."""
        self.failed.append(name)
        self.configuration.failed(name)
        self.warnings.put(f"failed {name}", f"Component '{name}' failed to load: {reason}")
