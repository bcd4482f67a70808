"""How files are changed: by who may, one after the other where changes could meet, and told of once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from attrs import define, field
from twisted.internet.defer import Deferred

from txraker.api.caller import Caller
from txraker.api.dispatch import permit
from txraker.events import FileChange
from txraker.files.claims import Claims
from txraker.files.guard import loaded_place
from txraker.files.operations import Order, OtherDisk
from txraker.files.places import Place, Roots
from txraker.files.rights import role_to_write, writes_of
from txraker.interfaces import IFileGuard
from txraker.reactor import OffThread

Work = Callable[[Order], Sequence[FileChange]]
"""Changes something on somebody's behalf, in a worker thread, and returns what has happened, in order."""


@define(eq=False, repr=False)
class Changes:
    """Makes changes. ``told`` hears of each once, when it is done, in order.

    ``short`` and ``long`` run work in other threads: what may take minutes has threads of its own. Others are
    ``quiet`` about the places of a change as long as it lasts.
    """

    _roots: Roots
    _guard: IFileGuard
    _short: OffThread
    _long: OffThread
    _told: Callable[[FileChange], None]
    _quiet: Callable[[Sequence[Place]], AbstractContextManager[None]] = lambda _: nullcontext()
    _claims: Claims = field(factory=Claims, init=False)

    async def make(
        self, caller: Caller, places: Sequence[Place], work: Work, *, is_long: bool = False
    ) -> Sequence[FileChange]:
        """Change something at ``places``. Raises ApiError."""
        for place in places:
            permit(role_to_write(place.root.name), caller, f"Writing to {place.root.name}")
        claim = self._claims.make(places)
        await claim.ready
        try:
            loaded = await loaded_place(self._guard, self._roots, places)
            order = Order(writes_of(caller, self._roots), loaded, may_copy=is_long)
            with self._quiet(places):
                changes = await self._do(work, order)
                for change in changes:
                    self.tell(change)
        finally:
            self._claims.release(claim)
        return changes

    def tell(self, change: FileChange) -> None:
        """Tell of something that has happened, unless it was moved to where it was."""
        source = change.source_item
        if source is None or (source.root, source.path) != (change.item.root, change.item.path):
            self._told(change)

    def ended(self) -> Deferred[None]:
        """Return what fires when nothing is being changed."""
        return self._claims.ended()

    async def _do(self, work: Work, order: Order) -> Sequence[FileChange]:
        if order.may_copy:
            return await self._long(lambda: work(order))
        try:
            return await self._short(lambda: work(order))
        except OtherDisk:
            patient = Order(order.may_write, order.loaded, may_copy=True)
            return await self._long(lambda: work(patient))
