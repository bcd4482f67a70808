"""How often somebody may try a password.

After some failures in a row each further try must wait, longer each time: for one user tried from one
address, and, later, for the address whoever it tries. And when ``max_login_attempts`` is configured, an
address that failed that often in a row is locked out until the server restarts. Contract of the latter:
``[authorization]`` of Moonraker's configuration.
"""

from __future__ import annotations

from attrs import Factory, define

FREE = 5
"""Failures in a row for one address and user before waiting begins."""

FREE_FOR_ADDRESS = 20
"""Failures in a row for one address, whatever users it tried."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds to wait, twice as long after each further failure."""

MOST_REMEMBERED = 2000
"""Addresses, and users of them, whose failures are remembered; the oldest are forgotten for others."""

_ANYBODY = ""


@define
class _Failures:
    count: int = 0
    until: float = 0.0


@define(eq=False)
class LoginAttempts:
    """The failures so far. ``most`` is the configured limit, None for no limit."""

    most: int | None = None
    _failures: dict[tuple[str, str], _Failures] = Factory(dict)

    def is_locked(self, address: str) -> bool:
        """Say whether an address has used up its tries."""
        failures = self._failures.get((address, _ANYBODY))
        return self.most is not None and failures is not None and failures.count >= self.most

    def wait(self, address: str, user: str, now: float) -> float:
        """Return how many seconds must pass before this user may be tried from this address again."""
        known = (self._failures.get((address, name)) for name in (user, _ANYBODY))
        return max((failures.until - now for failures in known if failures is not None), default=0.0)

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a failure."""
        for name, free in ((user, FREE), (_ANYBODY, FREE_FOR_ADDRESS)):
            failures = self._failures.pop((address, name), None) or _Failures()
            failures.count += 1
            if failures.count >= free:
                failures.until = now + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(20, failures.count - free))
            self._failures[address, name] = failures
        while len(self._failures) > MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str, user: str) -> None:
        """Forget the failures: whoever knows the password had only mistyped it."""
        for name in (user, _ANYBODY):
            self._failures.pop((address, name), None)
