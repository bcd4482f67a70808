"""Commands that only root may run: by sudo, with or without a password."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence

from attrs import define, field

from txraker.reactor import Reactor
from txraker.system.errors import NotPermitted
from txraker.system.process import NOT_INSTALLED, Finished, run

_ACCESS_WITHIN = 10.0
_REFUSED = 1
"""The status that sudo itself ends with when it doesn't let somebody run a command."""


@define(eq=False, repr=False)
class Sudo:
    """Runs commands as root. The password is kept in memory only, and is never an argument of a program."""

    _reactor: Reactor
    _password: str | None = field(default=None, repr=False)

    @property
    def user(self) -> str:
        """The name of the user we run as."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a user id without a name, as in containers
            return str(os.getuid())

    @property
    def is_needed(self) -> bool:
        """Whether we aren't root anyway."""
        return os.geteuid() != 0

    async def run(self, command: Sequence[str], seconds: float) -> Finished:
        """Run a command as root. Raises NotPermitted when we may not, or there is no sudo."""
        if not self.is_needed:
            return await run(self._reactor, command, seconds)
        finished = await self._sudo(command, seconds, self._password)
        reason = _refusal(finished)
        if reason:
            raise NotPermitted(f"The user {self.user} may not run {command[0]} by sudo: {reason}")
        return finished

    async def has_access(self) -> bool:
        """Say whether commands can be run as root."""
        return await self._accepts(self._password)

    async def set_password(self, password: str) -> bool:
        """Use a password from now on, if it is right; say whether it is."""
        accepted = await self._accepts(password)
        if accepted:
            self._password = password
        return accepted

    async def _accepts(self, password: str | None) -> bool:
        if not self.is_needed:
            return True
        return (await self._sudo(["true"], _ACCESS_WITHIN, password)).status == 0

    async def _sudo(self, command: Sequence[str], seconds: float, password: str | None) -> Finished:
        """Run sudo; ``-k`` makes it forget an earlier success, so that a wrong password is seen as such."""
        if password is None:
            return await run(self._reactor, ["sudo", "-n", "--", *command], seconds)
        prompt = ["sudo", "-k", "-S", "-p", "", "--", *command]
        return await run(self._reactor, prompt, seconds, f"{password}\n".encode())


def _refusal(finished: Finished) -> str:
    """Return why sudo itself ended, empty when it ran the command: then the last word was the command's."""
    if finished.status == NOT_INSTALLED:
        return finished.errors
    last = finished.errors.strip().rpartition("\n")[2]
    return last.removeprefix("sudo: ") if finished.status == _REFUSED and last.startswith("sudo: ") else ""
