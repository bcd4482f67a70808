"""Who somebody is, by what they show and where they come from.

Contract: "Authorization and Authentication" of Moonraker's API. What is shown counts before the address:
who shows something wrong is nobody, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from attrs import Factory, define, field

from txraker.access import Access, Network
from txraker.api.caller import NOBODY, TRUSTED, Who
from txraker.authorization.accounts import Accounts
from txraker.authorization.keys import PREFIX
from txraker.authorization.oneshot import OneshotTokens
from txraker.errors import Unauthorized, Unavailable


class Shown(msgspec.Struct, frozen=True):
    """What a request shows of who makes it; None for what it doesn't."""

    token: str | None = None
    api_key: str | None = None
    oneshot: str | None = None


@define(eq=False, repr=False)
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
    _configured: Access = field(default=Factory(lambda self: self.access, takes_self=True), init=False)

    @property
    def login_required(self) -> bool:
        """Whether an address alone doesn't open the door; it doesn't before the users are known, either."""
        return self.force_logins and (bool(self.accounts.users) or not self.accounts.is_loaded)

    def trust_also(self, networks: Sequence[Network]) -> None:
        """Trust addresses beside those that the configuration gives; they replace those of the last call."""
        trusted = self._configured.trusted.union(networks)
        self.access = msgspec.structs.replace(self._configured, trusted=trusted)

    def who_comes_from(self, addresses: Sequence[str]) -> Who:
        """Return who somebody is who shows nothing: trusted if all addresses are."""
        if self.login_required or not all(map(self.access.trusts, addresses)):
            return NOBODY
        return TRUSTED

    def who_shows(self, shown: Shown, addresses: Sequence[str]) -> Who:
        """Return who makes a request; it uses up a oneshot token.

        Raises Unavailable as long as users and keys aren't known, where that makes a difference.
        """
        return self._who(shown, addresses, self.oneshot.take)

    def who_seems(self, shown: Shown, addresses: Sequence[str]) -> Who:
        """Return who seems to make a request that isn't there as a whole yet, and use nothing up."""
        return self._who(shown, addresses, self.oneshot.peek)

    def _who(
        self,
        shown: Shown,
        addresses: Sequence[str],
        oneshot_owner: Callable[[str, Sequence[str], float], Who | None],
    ) -> Who:
        try:
            if shown.token is not None:
                return self.who_has_token(shown.token)
            if shown.oneshot:
                owner = oneshot_owner(shown.oneshot, addresses, self.now())
                if owner is not None:
                    return owner if self.is_current(owner) else NOBODY
            if shown.api_key is not None:
                return self.who_has_key(shown.api_key)
        except Unauthorized:
            return NOBODY
        except Unavailable:
            who = self.who_comes_from(addresses)
            if who is NOBODY:
                raise
            return who
        return self.who_comes_from(addresses)

    def is_current(self, who: Who) -> bool:
        """Say whether somebody who came in by another way than the unix socket would still be let in."""
        if who is NOBODY:
            return True
        if who is TRUSTED:
            return not self.login_required
        return self.accounts.is_current(who)

    def who_has_token(self, text: str) -> Who:
        """Return who shows a user's token or an API token. Raises Unauthorized and Unavailable."""
        if text.startswith(PREFIX):
            return self.accounts.keys.who_has_token(text)
        return self.accounts.who_has_token(text)

    def who_has_key(self, text: str) -> Who:
        """Return who shows the API key or an API token. Raises Unauthorized and Unavailable."""
        if text.startswith(PREFIX):
            return self.who_has_token(text)
        if not self.enable_api_key:
            raise Unauthorized("API Key authentication is disabled")
        return self.accounts.keys.who_has_api_key(text)

    def oneshot_token(self, who: Who, addresses: Sequence[str]) -> str:
        """Return a token that stands for somebody in one request from the same addresses."""
        return self.oneshot.give(who, addresses, self.now())
