"""Who is changing what: two changes that could meet are made one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field
from twisted.internet.defer import Deferred

from txraker.errors import Unavailable
from txraker.files.places import Place

MOST_WAITING = 1000
"""Changes that may wait."""


@define(eq=False, repr=False)
class Claim:
    """Places that somebody changes, or waits to change. ``ready`` fires when it is their turn."""

    places: tuple[Place, ...]
    ready: Deferred[None] = field(factory=Deferred)

    def meets(self, other: Claim) -> bool:
        """Say whether a place of one is in a place of the other."""
        return any(
            ours.is_in(theirs) or theirs.is_in(ours) for ours in self.places for theirs in other.places
        )


@define(eq=False, repr=False)
class Claims:
    """Gives way in the order of asking; what doesn't meet goes on at the same time."""

    _claims: list[Claim] = field(factory=list, init=False)
    _waiting_for_end: list[Deferred[None]] = field(factory=list, init=False)

    def make(self, places: Iterable[Place]) -> Claim:
        """Ask for places: wait for ``ready``, and ``release`` the claim in the end. Raises Unavailable."""
        if len(self._claims) >= MOST_WAITING:
            raise Unavailable("Too many changes of files are waiting: try again later")
        claim = Claim(tuple(places))
        self._claims.append(claim)
        self._go_on()
        return claim

    def release(self, claim: Claim) -> None:
        """End a claim."""
        self._claims.remove(claim)
        self._go_on()

    def ended(self) -> Deferred[None]:
        """Return what fires when there is no claim."""
        waiting: Deferred[None] = Deferred()
        self._waiting_for_end.append(waiting)
        self._go_on()
        return waiting

    def _go_on(self) -> None:
        for claim in list(self._claims):  # who goes on may be done at once
            if claim in self._claims and not claim.ready.called and not self._is_blocked(claim):
                claim.ready.callback(None)
        if not self._claims:
            waiting, self._waiting_for_end = self._waiting_for_end, []
            for end in waiting:
                end.callback(None)

    def _is_blocked(self, claim: Claim) -> bool:
        return any(claim.meets(earlier) for earlier in self._claims[: self._claims.index(claim)])
