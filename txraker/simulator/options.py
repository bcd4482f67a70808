"""How a virtual printer behaves."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Fault = Literal["config-error", "no-mcu"]


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual printer in load mode does beside being a printer.

    The defaults make an update of about 2.7 KB on a front-end's websocket.
    """

    objects: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 30
    """Extra printer objects, named ``load 0``, ``load 1``, ..."""

    fields: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 8
    """Fields of each, named ``value_0``, ``value_1``, ..."""

    sensors: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    """Extra temperature sensors, ``temperature_sensor load 0`` and so on; all change in each update."""

    changed: Annotated[int, msgspec.Meta(ge=0)] = 130
    """Fields that change in each update, over all objects; they take turns."""

    rate: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = 4.0
    """Status updates a second; at 0 nothing of the load changes, and ticks are the printer's own."""

    console_rate: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0.0
    """Console lines a second, written in bursts, at most fifty a second."""

    console_bytes: Annotated[int, msgspec.Meta(ge=20, le=1_000_000)] = 80
    """Length of each of those lines."""


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a virtual printer; all durations are in real seconds."""

    startup_seconds: float = 0.5
    """How long the host stays in state ``startup`` before it is ready (or in error)."""

    restart_seconds: float = 1.0
    """How long the socket is absent during a restart."""

    tick_seconds: float = 0.25
    """Period of status updates, and of answers to queries while anything is subscribed."""

    speed: float = 1.0
    """Factor on motion, heating and waiting: 50 makes a minute of printing last 1.2 s."""

    fault: Fault | None = None
    """``config-error`` ends in state ``error``; ``no-mcu`` stays in ``startup`` for ever."""

    load: LoadOptions | None = None
    """Load mode, for measurements: more objects, more updates, more console. Answers still wait for ticks."""
