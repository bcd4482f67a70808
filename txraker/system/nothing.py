"""No service manager at all: what ``provider: none`` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field
from zope.interface import implementer

from txraker.interfaces import ISystem
from txraker.system.errors import NotSupported
from txraker.system.services import PowerAction, UnitState


@implementer(ISystem)
@define(eq=False, repr=False)
class NoSystem:
    """Provides ISystem: there are no services, and nothing can be done to any."""

    provider: str = field(default="none", init=False)

    def start(self) -> None:
        """There is nothing to begin."""

    def stop(self) -> None:
        """There is nothing to let go of."""

    async def start_unit(self, unit: str) -> None:
        raise _refusal()

    async def stop_unit(self, unit: str) -> None:
        raise _refusal()

    async def restart_unit(self, unit: str) -> None:
        raise _refusal()

    async def state(self, unit: str) -> UnitState | None:
        return None

    async def installed(self, patterns: Iterable[str]) -> list[str]:
        return []

    async def unit_of_process(self, process_id: int) -> str | None:
        return None

    async def watch(self, unit: str, changed: Callable[[UnitState], None]) -> None:
        """Nothing ever changes."""

    async def power(self, action: PowerAction) -> None:
        raise _refusal()


def _refusal() -> NotSupported:
    return NotSupported("No service manager may be used: the option provider of [machine] is none")
