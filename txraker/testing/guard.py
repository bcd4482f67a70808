"""A printer that uses the file its test says: provides IFileGuard."""

from __future__ import annotations

from attrs import define
from zope.interface import implementer

from txraker.interfaces import IFileGuard


@implementer(IFileGuard)
@define(eq=False)
class MemoryGuard:
    """``loaded`` is the file in use, as a path below ``gcodes``; ``problem`` is raised if there is one."""

    loaded: str | None = None
    problem: Exception | None = None

    async def in_use(self) -> str | None:
        if self.problem is not None:
            raise self.problem
        return self.loaded
