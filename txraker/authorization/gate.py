"""Who somebody is, by what they show and where they come from.

Contract: "Authorization and Authentication" of Moonraker's API. What is shown counts before the address:
who shows something wrong is nobody, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import Factory, define, frozen

from txraker.access import Access
from txraker.api.caller import NOBODY, TRUSTED, Who
from txraker.authorization.accounts import Accounts
from txraker.authorization.oneshot import OneshotTokens
from txraker.errors import Unauthorized


@frozen
class Shown:
    """What a request shows of who makes it; None for what it doesn't."""

    token: str | None = None
    api_key: str | None = None
    oneshot: str | None = None


@define(eq=False)
class Gate:
    """Tells who somebody is. ``now`` is a clock that only goes forward (s).

    With ``force_logins`` addresses aren't trusted any more as soon as there is a user.
    """

    access: Access
    accounts: Accounts
    now: Callable[[], float]
    enable_api_key: bool = True
    force_logins: bool = False
    oneshot: OneshotTokens[Who] = Factory(OneshotTokens)

    @property
    def login_required(self) -> bool:
        """Whether an address alone doesn't open the door; it doesn't before the users are known, either."""
        return self.force_logins and (bool(self.accounts.users) or not self.accounts.is_loaded)

    def who_comes_from(self, addresses: Sequence[str]) -> Who:
        """Return who somebody is who shows nothing: trusted if all addresses are."""
        if self.login_required or not all(map(self.access.trusts, addresses)):
            return NOBODY
        return TRUSTED

    def who_shows(self, shown: Shown, addresses: Sequence[str]) -> Who:
        """Return who makes a request; it uses up a oneshot token, and one that isn't good is ignored."""
        try:
            if shown.token is not None:
                return self.accounts.who_has_token(shown.token)
            if shown.oneshot:
                owner = self.oneshot.take(shown.oneshot, addresses[-1], self.now())
                if owner is not None:
                    return owner if self.accounts.is_current(owner) else NOBODY
            if shown.api_key is not None:
                return self.who_has_key(shown.api_key)
        except Unauthorized:
            return NOBODY
        return self.who_comes_from(addresses)

    def is_current(self, who: Who) -> bool:
        """Say whether somebody who came in by another way than the unix socket would still be let in."""
        if who is TRUSTED:
            return not self.login_required
        return self.accounts.is_current(who)

    def who_has_key(self, key: str) -> Who:
        """Return who shows an API key. Raises Unauthorized for a wrong one, or when keys aren't enabled."""
        if not self.enable_api_key:
            raise Unauthorized("API Key authentication is disabled")
        return self.accounts.who_has_key(key)

    def oneshot_token(self, who: Who, address: str) -> str:
        """Return a token that stands for somebody in one request from the same address."""
        return self.oneshot.give(who, address, self.now())
