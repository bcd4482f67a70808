"""Who may change files."""

from __future__ import annotations

from collections.abc import Callable

from txraker.api.caller import Caller, Role
from txraker.files.gcodes import GCODES
from txraker.files.places import Roots


def role_to_write(root: str) -> Role:
    """Return who may change files of a root: print jobs are an operator's, all else is an admin's."""
    return Role.OPERATOR if root == GCODES else Role.ADMIN


def writes_of(caller: Caller, roots: Roots) -> Callable[[str], bool]:
    """Return what says whether a caller may write in a root."""

    def may_write(name: str) -> bool:
        return roots.get(name).is_writable and caller.who.role >= role_to_write(name)

    return may_write
