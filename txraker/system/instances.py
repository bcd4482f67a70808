"""Which units of the service manager our Klippy and we ourselves are."""

from __future__ import annotations

import os

from attrs import define, field

from txraker.interfaces import IKlippy, ISystem
from txraker.system.errors import NotSupported, SystemUnavailable

_INIT = 1
"""The process id of systemd, which listens on Klippy's socket when the unit is activated by it.

Only then Klippy's own word for its process id is taken: from within a container it would name some other
process of this machine.
"""


@define(eq=False)
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
            unit = await self._unit_of(host.process_id if host.peer == _INIT else host.peer)
            if unit is not None and unit != await self.own_unit() and self._klipper_of is host:
                self._klipper = unit
        return self._klipper

    async def _unit_of(self, process_id: int | None) -> str | None:
        if process_id is None:
            return None
        try:
            return await self._system.unit_of_process(process_id)
        except (SystemUnavailable, NotSupported):
            return None
