"""How often somebody may try a password.

Each try counts as a failure until it has succeeded, so that many at once are as good as many in a row. After
some failures in a row further tries must wait, longer each time: for one user tried from one address, and,
later, for the address whoever it tries. And when ``max_login_attempts`` is configured, an address that failed
that often in a row is locked out until the server restarts. Contract of the latter: ``[authorization]`` of
Moonraker's configuration.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address, IPv6Network

from attrs import Factory, define

from txraker.access import parse_address

FREE = 5
"""Failures in a row for one address and user before waiting begins."""

FREE_FOR_ADDRESS = 20
"""Failures in a row for one address, whatever users it tried."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds to wait, twice as long after each further failure."""

MOST_REMEMBERED = 2000
"""Pairs of address and user whose failures are remembered, and as many addresses."""

_NETWORK_BITS = 64
"""One host on IPv6 has all addresses of a network of this size."""


@define
class _Failures:
    count: int = 0
    until: float = 0.0

    def another(self, free: int, now: float) -> None:
        """Count a failure."""
        self.count += 1
        if self.count >= free:
            self.until = now + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(20, self.count - free))


@define(eq=False)
class LoginAttempts:
    """The failures so far. ``most`` is the configured limit, None for no limit.

    Times are seconds of a clock that only goes forward.
    """

    most: int | None = None
    _pairs: dict[Hashable, _Failures] = Factory(dict)
    _origins: dict[Hashable, _Failures] = Factory(dict)

    def is_locked(self, address: str) -> bool:
        """Say whether an address has used up its tries."""
        failures = self._origins.get(origin(address))
        return self.most is not None and failures is not None and failures.count >= self.most

    def wait(self, address: str, user: str, now: float) -> float:
        """Return how many seconds must pass before this user may be tried from this address again."""
        known = (self._pairs.get((origin(address), user)), self._origins.get(origin(address)))
        return max((failures.until - now for failures in known if failures is not None), default=0.0)

    def tried(self, address: str, user: str, now: float) -> None:
        """Count a try: a failure for as long as it hasn't succeeded."""
        _remembered(self._pairs, (origin(address), user)).another(FREE, now)
        _remembered(self._origins, origin(address)).another(FREE_FOR_ADDRESS, now)
        _forget(self._pairs, 0)
        _forget(self._origins, self.most or 0)

    def succeeded(self, address: str, user: str) -> None:
        """Forget the failures: whoever knows the password had only mistyped it."""
        self._pairs.pop((origin(address), user), None)
        self._origins.pop(origin(address), None)


def origin(address: str) -> str:
    """Return what stands for all addresses that somebody at this one may have as well."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _NETWORK_BITS), strict=False))
    return address


def _remembered(memory: dict[Hashable, _Failures], key: Hashable) -> _Failures:
    """Return the failures of a key, as the newest."""
    memory[key] = failures = memory.pop(key, None) or _Failures()
    return failures


def _forget(memory: dict[Hashable, _Failures], locked: int) -> None:
    """Forget the oldest, those who are locked out last."""
    while len(memory) > MOST_REMEMBERED:
        free = (key for key, failures in memory.items() if not locked or failures.count < locked)
        del memory[next(free, next(iter(memory)))]
