"""Servers that several measurements are made on, as starting one takes longer than many a measurement."""

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
    """Rigs by scenario and server that run from the beginning of a run to its end.

    They are for what takes many minutes to come about. ``stack`` ends them.
    """

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
            with kept.used_again():
                yield kept

        return start


@define
class SharedRigs:
    """One rig a server, for the scenarios of one round that don't mind what was measured on it before."""

    cores: Cores
    _stack: ExitStack = field(factory=ExitStack, init=False)
    _rigs: dict[str, Rig] = field(factory=dict, init=False)

    def starter(self, program: Program) -> Callable[[], AbstractContextManager[Rig]]:
        """Return what gives a scenario the server's rig, which is started for the first of them."""

        @contextmanager
        def start() -> Iterator[Rig]:
            if program.name not in self._rigs:
                self._rigs[program.name] = self._stack.enter_context(rig(program, self.cores))
            with self._rigs[program.name].used_again() as again:
                yield again

        return start

    def end(self) -> None:
        """End all rigs; the next that is asked for is new."""
        self._rigs.clear()
        self._stack.close()
