"""Whether a Raspberry Pi's firmware slows down its processor, for want of power or because it is hot.

Contract: "Throttled State" of Moonraker's ``machine.proc_stats``, and Raspberry Pi's documentation of
``vcgencmd get_throttled`` and of the kernel's ``get_throttled`` file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txraker.faults import FaultReport, run_aside
from txraker.reactor import Reactor
from txraker.system.host.files import HotFile, children, exists
from txraker.system.host.usage import ThrottledState
from txraker.system.process import RunProgram, run

_FLAGS = {
    1 << 0: "Under-Voltage Detected",
    1 << 1: "Frequency Capped",
    1 << 2: "Currently Throttled",
    1 << 3: "Temperature Limit Active",
    1 << 16: "Previously Under-Volted",
    1 << 17: "Previously Frequency Capped",
    1 << 18: "Previously Throttled",
    1 << 19: "Previously Temperature Limited",
}
_BITS = re.compile(r"(?:throttled=)?(?:0x)?([0-9a-f]{1,8})", re.IGNORECASE)

_PROGRAMS = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_ASK_EVERY = 5
_ASK_AGAIN_AFTER = 60
_TIME_LIMIT = 2.0


def throttled_state(bits: int) -> ThrottledState:
    """Return bits with their names."""
    return ThrottledState(bits, [name for bit, name in _FLAGS.items() if bits & bit])


class ThrottledBits(Protocol):
    """Where the firmware's bits come from."""

    def poll(self, tell: Callable[[int | None], None]) -> None:
        """Tell the bits, or None if they can't be had; now, later, or not this time. Called once a second."""

    def close(self) -> None:
        """Let go of everything; nothing is told any more."""


@define(eq=False, repr=False)
class NoThrottledBits:
    """A machine that isn't a Raspberry Pi: provides ThrottledBits."""

    def poll(self, tell: Callable[[int | None], None]) -> None:
        """Have nothing to tell."""

    def close(self) -> None:
        """Have nothing to let go of."""


@define(eq=False, repr=False)
class ThrottledFile:
    """The kernel's file: provides ThrottledBits."""

    _file: HotFile

    def poll(self, tell: Callable[[int | None], None]) -> None:
        """Read it."""
        tell(_bits(self._file.read().decode("ascii", "replace")))

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


@define(eq=False, repr=False)
class ThrottledProgram:
    """Raspberry Pi's own program, run every few seconds, one at a time: provides ThrottledBits.

    One that fails, as it does for users outside the group ``video``, is tried again after a minute.
    """

    _program: Path
    _run: RunProgram
    _report_fault: FaultReport
    _asking: Deferred[None] | None = field(default=None, init=False)
    _polls_to_wait: int = field(default=0, init=False)

    def poll(self, tell: Callable[[int | None], None]) -> None:
        """Run it, if it is time to and the one before has ended."""
        self._polls_to_wait -= 1
        if self._polls_to_wait > 0 or (self._asking is not None and not self._asking.called):
            return
        self._polls_to_wait = _ASK_EVERY
        self._asking = run_aside(self._ask(tell), f"running {self._program}", self._report_fault)

    async def _ask(self, tell: Callable[[int | None], None]) -> None:
        finished = await self._run([str(self._program), "get_throttled"], _TIME_LIMIT)
        bits = _bits(finished.output) if finished.status == 0 else None
        if bits is None:
            self._polls_to_wait = _ASK_AGAIN_AFTER
        tell(bits)

    def close(self) -> None:
        """End it, if it is running."""
        if self._asking is not None:
            self._asking.cancel()


def find_throttled_bits(root: Path, reactor: Reactor, report_fault: FaultReport) -> ThrottledBits:
    """Return where the bits come from on the machine with this root."""
    for chip in children(root / "sys/devices/platform", "soc"):
        for device in children(chip, "soc"):
            if exists(device / "get_throttled"):
                return ThrottledFile(HotFile(device / "get_throttled"))
    for name in _PROGRAMS:
        if exists(root / name):
            return ThrottledProgram(root / name, partial(run, reactor), report_fault)
    return NoThrottledBits()


def _bits(text: str) -> int | None:
    found = _BITS.fullmatch(text.strip())
    return int(found[1], 16) if found else None


@define(eq=False, repr=False)
class ThrottleWatch:
    """Knows the state, and tells ``changed`` of another one.

    A machine that was never slowed down has no news. Each flag is logged the first time it is seen.
    """

    _source: ThrottledBits
    _changed: Callable[[ThrottledState], None]
    _log: Logger
    state: ThrottledState | None = field(default=None, init=False)
    _known: ThrottledState = field(factory=lambda: throttled_state(0), init=False)
    _logged: set[str] = field(factory=set, init=False)

    def poll(self) -> None:
        """Look at the state. Called once a second."""
        self._source.poll(self._learn)

    def close(self) -> None:
        """Look no more."""
        self._source.close()

    def _learn(self, bits: int | None) -> None:
        self.state = None if bits is None else throttled_state(bits)
        if self.state is None or self.state == self._known:
            return
        self._known = self.state
        if not self._logged.issuperset(self.state.flags):
            self._logged.update(self.state.flags)
            self._log.warn("The processor is slowed down: {flags}", flags=", ".join(self.state.flags))
        self._changed(self.state)
