"""How often somebody may try a password.

Each try counts as a failure until it has succeeded, so that many at once are as good as many in a row. After
some failures in a row further tries must wait, longer each time: for one user tried from one address, and,
later, for the address whoever it tries. And when ``max_login_attempts`` is configured, an address that failed
that often in a row is locked out until the server restarts. Contract of the latter: ``[authorization]`` of
Moonraker's configuration.

Who comes by way of a proxy may claim several addresses, of which just one is true: a try counts for each.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import msgspec
from attrs import Factory, define

from txraker.access import origin

FREE = 5
"""Failures in a row for one address and user before waiting begins."""

FREE_FOR_ADDRESS = 20
"""Failures for one address, whatever users it tried, before waiting begins."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds to wait, twice as long after each further failure."""

FORGOTTEN_AFTER = 3600.0
"""Seconds without a failure after which those before are forgotten, except for who is locked out."""

MOST_REMEMBERED = 2000
"""Pairs of address and user whose failures are remembered, and as many addresses."""


class _Failures(msgspec.Struct):
    count: int = 0
    until: float = 0.0
    latest: float = 0.0

    def another(self, free: int, now: float, locked: int | None) -> None:
        """Count a failure."""
        if now - self.latest > FORGOTTEN_AFTER and (locked is None or self.count < locked):
            self.count = 0
        self.count += 1
        self.latest = now
        self._wait(free)

    def less(self, count: int, free: int) -> None:
        """Count some failures no more."""
        self.count = max(0, self.count - count)
        self._wait(free)

    def _wait(self, free: int) -> None:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(20, self.count - free))
        self.until = self.latest + (wait if self.count >= free else 0.0)


@define(eq=False, repr=False)
class LoginAttempts:
    """The failures so far. ``most`` is the configured limit, None for no limit.

    Times are seconds of a clock that only goes forward.
    """

    most: int | None = None
    _pairs: dict[Hashable, _Failures] = Factory(dict)
    _origins: dict[Hashable, _Failures] = Factory(dict)

    def is_locked(self, addresses: Iterable[str]) -> bool:
        """Say whether one of the addresses has used up its tries."""
        if self.most is None:
            return False
        known = (self._origins.get(place) for place in origins(addresses))
        return any(failures.count >= self.most for failures in known if failures is not None)

    def wait(self, addresses: Iterable[str], user: str, now: float) -> float:
        """Return how many seconds must pass before this user may be tried from there again."""
        places = origins(addresses)
        known = [self._pairs.get((place, user)) for place in places]
        known += [self._origins.get(place) for place in places]
        return max((failures.until - now for failures in known if failures is not None), default=0.0)

    def tried(self, addresses: Iterable[str], user: str, now: float) -> None:
        """Count a try: a failure for as long as it hasn't succeeded."""
        for place in origins(addresses):
            _remembered(self._pairs, (place, user)).another(FREE, now, None)
            _remembered(self._origins, place).another(FREE_FOR_ADDRESS, now, self.most)
        _forget(self._pairs, 0)
        _forget(self._origins, self.most or 0)

    def not_tried(self, addresses: Iterable[str], user: str) -> None:
        """Take a try back that came to nothing: nobody looked at the password."""
        for place in origins(addresses):
            self._count_less(place, user, 1)

    def succeeded(self, addresses: Iterable[str], user: str) -> None:
        """Forget the failures with this user: whoever knows the password had only mistyped it.

        Those with others still count for the address, or a user's own password would buy tries of others'.
        """
        for place in origins(addresses):
            failures = self._pairs.get((place, user))
            self._count_less(place, user, failures.count if failures is not None else 0)

    def _count_less(self, place: str, user: str, count: int) -> None:
        counted: tuple[tuple[dict[Hashable, _Failures], Hashable, int], ...] = (
            (self._pairs, (place, user), FREE),
            (self._origins, place, FREE_FOR_ADDRESS),
        )
        for memory, key, free in counted:
            failures = memory.get(key)
            if failures is not None:
                failures.less(count, free)
                if not failures.count:
                    del memory[key]


def origins(addresses: Iterable[str]) -> set[str]:
    """Return what stands for all of some addresses."""
    return {origin(address) for address in addresses}


def _remembered(memory: dict[Hashable, _Failures], key: Hashable) -> _Failures:
    """Return the failures of a key, as the newest."""
    memory[key] = failures = memory.pop(key, None) or _Failures()
    return failures


def _forget(memory: dict[Hashable, _Failures], locked: int) -> None:
    """Forget the oldest, those who are locked out last."""
    while len(memory) > MOST_REMEMBERED:
        free = (key for key, failures in memory.items() if not locked or failures.count < locked)
        del memory[next(free, next(iter(memory)))]
