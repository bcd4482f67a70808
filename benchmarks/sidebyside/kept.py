"""Servers that run from the beginning of a run to its end, for what takes many minutes to come about."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from attrs import define, field

from sidebyside.rig import Cores, Rig, rig
from sidebyside.scenario import Kept, StartRig
from sidebyside.servers import Program


@define
class KeptRigs:
    """Rigs by scenario and server, each with the time since when it runs; ``stack`` ends them."""

    stack: ExitStack
    cores: Cores
    _rigs: dict[tuple[str, str], tuple[Rig, float]] = field(factory=dict, init=False)

    def begin(self, scenario: Kept, program: Program) -> None:
        """Start a rig."""
        new: StartRig = partial(rig, program, self.cores)
        started = self.stack.enter_context(new(**scenario.load))
        self._rigs[scenario.name, program.name] = started, time.monotonic()

    def starter(self, scenario: Kept, program: Program) -> Callable[[], AbstractContextManager[Rig]]:
        """Return what gives a scenario the rig that is kept for it, once that is old enough."""

        @contextmanager
        def start() -> Iterator[Rig]:
            kept, since = self._rigs[scenario.name, program.name]
            missing = since + scenario.age - time.monotonic()
            if missing > 0:
                print(f", in {missing:.0f} s", file=sys.stderr, end="", flush=True)
                time.sleep(missing)
            kept.windows.clear()
            yield kept

        return start
