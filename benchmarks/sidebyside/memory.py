"""How much memory a server takes at most while something goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define

from sidebyside.rig import Rig

_INTERVAL: Final = 0.1


@define
class Peak:
    """The most memory, in MB, that was seen."""

    most: float = 0.0


@contextmanager
def weighed(rig: Rig) -> Iterator[Peak]:
    """Weigh a server ten times a second, while the loop runs, until the context is left."""
    peak, over = Peak(rig.pss()), False

    def weigh() -> None:
        if not over:
            peak.most = max(peak.most, rig.pss())
            rig.loop.call_at(time.monotonic() + _INTERVAL, weigh)

    weigh()
    yield peak
    over = True
