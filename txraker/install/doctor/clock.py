"""Whether the machine knows what time it is: tokens, certificates and backups depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from attrs import frozen

from txraker.install.commands import ICommands
from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.system.host.files import pairs

EARLIEST: Final = 2026
"""The year in which there was a txraker first."""

_SYNCHRONIZE: Final = "sudo timedatectl set-ntp true"


@frozen
class ClockFacts:
    """The time, and whether it is set by the network; None when nobody knows."""

    now: datetime
    is_synchronized: bool | None


def read_clock(now: datetime, commands: ICommands) -> ClockFacts:
    """Return what the clock says, and what systemd says of it."""
    outcome = commands.run(["timedatectl", "show", "--property=NTPSynchronized"])
    said = dict(pairs(outcome.output, "=")).get("NTPSynchronized")
    return ClockFacts(now, {"yes": True, "no": False}.get(said or ""))


def clock_findings(facts: ClockFacts) -> Iterator[Finding]:
    """Judge the clock."""
    shown = f"{facts.now:%Y-%m-%d %H:%M}"
    if facts.now.year < EARLIEST:
        yield bad(f"The clock is wrong: it says {shown}", _SYNCHRONIZE)
    elif facts.is_synchronized is None:
        yield unknown(f"It is {shown}, if the clock is right; whether the network sets it can't be seen")
    elif facts.is_synchronized:
        yield good(f"It is {shown}, by the network's time")
    else:
        yield warning(f"It is {shown} by a clock that the network hasn't set", _SYNCHRONIZE)
