"""How a virtual printer behaves."""

from __future__ import annotations

from typing import Literal

import msgspec

Fault = Literal["config-error", "no-mcu"]


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a virtual printer; all durations are in real seconds."""

    startup_seconds: float = 0.5
    """How long the host stays in state ``startup`` before it is ready (or in error)."""

    restart_seconds: float = 1.0
    """How long the socket is absent during a restart."""

    tick_seconds: float = 0.25
    """Period of status updates."""

    speed: float = 1.0
    """Factor on motion, heating and waiting: 50 makes a minute of printing last 1.2 s."""

    fault: Fault | None = None
    """``config-error`` ends in state ``error``; ``no-mcu`` stays in ``startup`` for ever."""
