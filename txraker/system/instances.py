"""Which units of the service manager our Klippy and we ourselves are."""

from __future__ import annotations

import os

from attrs import define, field

from txraker.interfaces import IKlippy, ISystem
from txraker.klippy.host import KlippyHost
from txraker.system.errors import NotSupported, SystemUnavailable

_INIT = 1
"""The process id of systemd, which listens on Klippy's socket when the unit is activated by it."""

_KLIPPERS = "klipper"
"""How a unit is named that is found by Klippy's own word for its process id: what a Klippy in a container
says is the id of some other process here.
"""


@define(eq=False, repr=False)
class Instances:
    """Finds the units, and remembers Klippy's for as long as the same Klippy is the last that was seen.

    A Klippy that was started by hand, or that is part of our own process, is no service. Klippy is traced
    only while it is connected: later its process id may be somebody else's.
    """

    _system: ISystem
    _klippy: IKlippy
    _own: str | None = field(default=None, init=False)
    _klipper: str | None = field(default=None, init=False)
    _klipper_of: object = field(default=None, init=False)

    @property
    def own(self) -> str | None:
        """The unit we run as, as far as that is known without asking."""
        return self._own

    @property
    def klipper(self) -> str | None:
        """The unit of our Klippy, as far as that is known without asking."""
        return self._klipper

    async def own_unit(self) -> str | None:
        """Return the unit we run as, None when we run as none or nobody can be asked."""
        if self._own is None:
            self._own = await self._unit_of(os.getpid())
        return self._own

    async def klipper_unit(self) -> str | None:
        """Return the unit of the Klippy that was connected last, None when it is none or can't be found."""
        host = self._klippy.host
        if host is not self._klipper_of:
            self._klipper, self._klipper_of = None, host
        if self._klipper is None and host is not None and self._klippy.connected:
            unit = await self._unit_of_klippy(host)
            if unit is not None and unit != await self.own_unit() and self._klipper_of is host:
                self._klipper = unit
        return self._klipper

    async def _unit_of_klippy(self, host: KlippyHost) -> str | None:
        if host.peer == _INIT:
            return await self._unit_of(host.process_id)
        unit = await self._unit_of(host.peer)
        if unit is None:
            said = await self._unit_of(host.process_id)
            unit = said if said is not None and said.startswith(_KLIPPERS) else None
        return unit

    async def _unit_of(self, process_id: int | None) -> str | None:
        if process_id is None:
            return None
        try:
            return await self._system.unit_of_process(process_id)
        except (SystemUnavailable, NotSupported):
            return None
