"""Oneshot tokens: good for one request, within seconds, from where they were asked for.

Contract: "Generate a Oneshot Token" of Moonraker's API.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from attrs import Factory, define

LIFETIME = 5.0
"""Seconds for which a token is good."""

MOST = 1000
"""Tokens that may be waiting; the oldest are forgotten for further ones."""

_Owner = TypeVar("_Owner")


class _Token(msgspec.Struct, Generic[_Owner], frozen=True):
    owner: _Owner
    addresses: tuple[str, ...]
    expires: float


@define(eq=False, repr=False)
class OneshotTokens(Generic[_Owner]):
    """The tokens that were given and not used. Times are seconds of any clock that only goes forward.

    A token is bound to all addresses that its owner's request claimed to come from.
    """

    _tokens: dict[str, _Token[_Owner]] = Factory(dict)

    def give(self, owner: _Owner, addresses: Sequence[str], now: float) -> str:
        """Return a new token for somebody."""
        self._forget(now)
        text = base64.b32encode(secrets.token_bytes(20)).decode()
        self._tokens[text] = _Token(owner, tuple(addresses), now + LIFETIME)
        return text

    def peek(self, text: str, addresses: Sequence[str], now: float) -> _Owner | None:
        """Return whose a token is; None when it isn't good, or not from there."""
        token = self._tokens.get(text)
        if token is None or token.addresses != tuple(addresses) or token.expires <= now:
            return None
        return token.owner

    def take(self, text: str, addresses: Sequence[str], now: float) -> _Owner | None:
        """Use a token up and return whose it is; the same as ``peek`` otherwise."""
        owner = self.peek(text, addresses, now)
        if owner is not None:
            del self._tokens[text]
        return owner

    def _forget(self, now: float) -> None:
        for text, token in list(self._tokens.items()):
            if token.expires > now and len(self._tokens) < MOST:
                return
            del self._tokens[text]
