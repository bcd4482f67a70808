"""``machine.sudo.*``: what this server may do as root.

Contract: "Get Sudo Info" and "Set sudo password" of Moonraker's API.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from attrs import define
from msgspec import Meta

from txraker.api.caller import Caller, Role
from txraker.api.endpoint import GET, POST, endpoint
from txraker.errors import BadRequest
from txraker.system.sudo import Sudo


class SudoInfo(msgspec.Struct, frozen=True):
    """What is known of sudo; ``sudo_access`` is null unless the check was asked for."""

    sudo_access: bool | None
    linux_user: str
    sudo_requested: bool
    request_messages: list[str]


class SudoPasswordSet(msgspec.Struct, frozen=True):
    """What came of a password."""

    sudo_responses: list[str]
    is_restarting: bool


@define(eq=False, repr=False)
class SudoEndpoints:
    """Answers for sudo. Nothing here ever waits for a password, so nothing is requested."""

    _sudo: Sudo

    @endpoint("machine.sudo.info", GET, "/machine/sudo/info", role=Role.ADMIN)
    async def info(
        self,
        caller: Caller,
        *,
        check_access: Annotated[
            bool, Meta(description="Whether to try if commands may be run as root.")
        ] = False,
    ) -> SudoInfo:
        """Return whom this server runs as and, if asked, whether it may run commands as root."""
        access = await self._sudo.has_access() if check_access else None
        return SudoInfo(access, self._sudo.user, sudo_requested=False, request_messages=[])

    @endpoint("machine.sudo.password", POST, "/machine/sudo/password", role=Role.ADMIN)
    async def password(
        self,
        caller: Caller,
        *,
        password: Annotated[str, Meta(description="The password of the user this server runs as.")],
    ) -> SudoPasswordSet:
        """Use a password for commands that only root may run, until the server restarts.

        A wrong one is refused.
        """
        if not await self._sudo.set_password(password):
            raise BadRequest("Invalid password, sudo access was denied")
        return SudoPasswordSet(["Sudo password successfully set."], is_restarting=False)
