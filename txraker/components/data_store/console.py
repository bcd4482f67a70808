"""What was lately said on Klippy's console, by clients and by Klippy. Pure.

Contract: "Request Cached GCode Responses" of the server administration document.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Literal

import msgspec
from attrs import define, field


class ConsoleEntry(msgspec.Struct, frozen=True):
    """One command or response. ``time`` is Unix time (s)."""

    message: str
    time: float
    type: Literal["command", "response"]


@define(repr=False)
class ConsoleStore:
    """The newest entries; ``size`` is how many are kept."""

    _size: int
    _entries: deque[ConsoleEntry] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._entries = deque(maxlen=self._size)

    def add(self, entry: ConsoleEntry) -> None:
        """Remember one more entry."""
        self._entries.append(entry)

    def newest(self, count: int) -> list[ConsoleEntry]:
        """Return the newest ``count`` entries, oldest first; all of them if ``count`` is not positive."""
        kept = len(self._entries)
        return list(islice(self._entries, max(0, kept - count) if count > 0 else 0, kept))
