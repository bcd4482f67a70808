"""``access.*_token``: named API tokens for programs, each with a role; an administrator takes them back.

An addition of ours to Moonraker's API: beside the one API key, which opens everything to whoever has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, cast

import msgspec
from attrs import define
from msgspec import Meta

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import DELETE, GET, POST, endpoint
from txraker.authorization.accounts import DAY, RESERVED, Accounts
from txraker.authorization.keys import ApiToken
from txraker.components.authorization.answers import (
    ApiTokenAction,
    ApiTokenInfo,
    ApiTokens,
    NewApiToken,
    RoleName,
)
from txraker.components.authorization.sweep import Sweep
from txraker.errors import BadRequest

NameParameter = Annotated[str, Meta(min_length=1, max_length=256, description="The token's name.")]


@define(eq=False, repr=False)
class ApiTokenEndpoints:
    """Gives API tokens out and takes them back. ``now`` is Unix time."""

    _accounts: Accounts
    _sweep: Sweep
    _now: Callable[[], float]

    @endpoint("access.tokens.list", GET, "/access/tokens/list", role=Role.ADMIN)
    async def tokens(self, caller: Caller) -> ApiTokens:
        """Return all API tokens, without what they are shown by."""
        self._accounts.check_loaded()
        return ApiTokens([_about(token) for token in self._accounts.keys.tokens.values()])

    @endpoint("access.post_token", POST, "/access/token", role=Role.ADMIN, audit=("name", "role"))
    async def post_token(
        self,
        caller: Caller,
        *,
        name: NameParameter,
        role: Annotated[RoleName, Meta(description="What may be done with it.")] = "viewer",
        days: Annotated[
            float, Meta(ge=0, le=36500, description="How long it is good; 0 is until it is deleted.")
        ] = 0.0,
    ) -> NewApiToken:
        """Make an API token. It is shown as `X-Api-Key`, as a bearer token, or to identify a connection."""
        check_name("name", name)
        if name in RESERVED:
            raise BadRequest(f"Invalid argument 'name': '{name}' means somebody else")
        expires_on = self._now() + days * DAY if days else None
        token, text = await self._accounts.keys.create(
            name, Role[role.upper()], expires_on, caller.who.name, self._sweep.still(caller)
        )
        return NewApiToken(**msgspec.structs.asdict(_about(token)), token=text)

    @endpoint("access.delete_token", DELETE, "/access/token", role=Role.ADMIN, audit=("name",))
    async def delete_token(self, caller: Caller, *, name: NameParameter) -> ApiTokenAction:
        """Take an API token back; connections that it let in end to be its own at once."""
        await self._accounts.keys.take_back(name)
        return ApiTokenAction(name, "token_deleted")


def check_name(parameter: str, name: str) -> None:
    """Raise BadRequest for a name that people couldn't tell from others."""
    if not name.isprintable() or name != name.strip():
        raise BadRequest(f"Invalid argument '{parameter}': must be printable, without spaces at its ends")


def _about(token: ApiToken) -> ApiTokenInfo:
    role = cast("RoleName", Role(token.role).name.lower())
    return ApiTokenInfo(token.name, role, token.created_on, token.created_by, token.expires_on)
