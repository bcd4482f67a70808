"""Klippy's state as clients may rely on it, and what is announced when it changes.

::

                       connected
      disconnected ───────────────▶ startup ──▶ ready ──▶ shutdown
           ▲                          │  ▲        │  ▲        │
           │                          ▼  └────────┼──┼────────┤ (Klippy may report any state
           │                        error ◀───────┘  └────────┘  from any other)
           └──────────────────────────┴── lost ───────────────┘

    entering ready      announces KlippyReady
    entering shutdown   announces KlippyShutdown
    lost                announces KlippyDisconnected

The states and their meaning are those of ``klippy_state`` in ``server.info``.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import msgspec
from attrs import frozen
from automat import TypeMachineBuilder

from txraker.events import Events, KlippyDisconnected, KlippyReady, KlippyShutdown

KlippyState = Literal["disconnected", "startup", "ready", "error", "shutdown"]
REPORTED_STATES: frozenset[str] = frozenset(get_args(KlippyState)) - {"disconnected"}
"""The states that Klippy reports of itself."""


class SessionInputs(Protocol):
    """What can happen to the connection."""

    def connected(self) -> None:
        """Klippy's socket accepted us."""

    def lost(self) -> None:
        """The connection ended."""

    def reports_startup(self) -> None:
        """Klippy says that it is initializing."""

    def reports_ready(self) -> None:
        """Klippy says that it can print."""

    def reports_error(self) -> None:
        """Klippy says that it failed to start."""

    def reports_shutdown(self) -> None:
        """Klippy says that the printer was stopped."""


class Announcer(Protocol):
    """Who is told of changes of state."""

    def ready(self) -> None:
        """Klippy became ready."""

    def shutdown(self) -> None:
        """Klippy shut the printer down."""

    def disconnected(self) -> None:
        """The connection ended."""


@frozen(repr=False)
class Announcements:
    """Announces changes of state as events."""

    _events: Events

    def ready(self) -> None:
        """Klippy became ready."""
        self._events.emit(KlippyReady())

    def shutdown(self) -> None:
        """Klippy shut the printer down."""
        self._events.emit(KlippyShutdown())

    def disconnected(self) -> None:
        """The connection ended."""
        self._events.emit(KlippyDisconnected())


class _Core(msgspec.Struct):
    announce: Announcer
    state: KlippyState = "disconnected"


_builder = TypeMachineBuilder(SessionInputs, _Core)
_disconnected = _builder.state("disconnected")
_startup = _builder.state("startup")
_ready = _builder.state("ready")
_error = _builder.state("error")
_shutdown = _builder.state("shutdown")
_connected_states = (_startup, _ready, _error, _shutdown)


@_disconnected.upon(SessionInputs.connected).to(_startup)
def _connect(_inputs: SessionInputs, core: _Core) -> None:
    core.state = "startup"


for _state in _connected_states:
    _state.upon(SessionInputs.connected).loop().returns(None)

    @_state.upon(SessionInputs.lost).to(_disconnected)
    def _lose(_inputs: SessionInputs, core: _Core) -> None:
        core.state = "disconnected"
        core.announce.disconnected()

    @_state.upon(SessionInputs.reports_startup).to(_startup)
    def _start(_inputs: SessionInputs, core: _Core) -> None:
        core.state = "startup"

    @_state.upon(SessionInputs.reports_error).to(_error)
    def _fail(_inputs: SessionInputs, core: _Core) -> None:
        core.state = "error"

    if _state is not _ready:

        @_state.upon(SessionInputs.reports_ready).to(_ready)
        def _be_ready(_inputs: SessionInputs, core: _Core) -> None:
            core.state = "ready"
            core.announce.ready()

    if _state is not _shutdown:

        @_state.upon(SessionInputs.reports_shutdown).to(_shutdown)
        def _shut_down(_inputs: SessionInputs, core: _Core) -> None:
            core.state = "shutdown"
            core.announce.shutdown()


_ready.upon(SessionInputs.reports_ready).loop().returns(None)
_shutdown.upon(SessionInputs.reports_shutdown).loop().returns(None)
for _input in (
    SessionInputs.lost,
    SessionInputs.reports_startup,
    SessionInputs.reports_ready,
    SessionInputs.reports_error,
    SessionInputs.reports_shutdown,
):
    _disconnected.upon(_input).loop().returns(None)

_build = _builder.build()


class Session:
    """The state of one printer's Klippy, fed with what happens; ``announce`` is told what clients must hear.

    The state is the new one already while it is announced.
    """

    def __init__(self, announce: Announcer) -> None:
        self._core = _Core(announce)
        self._inputs = _build(self._core)

    @property
    def state(self) -> KlippyState:
        """The state as last announced."""
        return self._core.state

    def connected(self) -> None:
        """Klippy's socket accepted us."""
        self._inputs.connected()

    def lost(self) -> None:
        """The connection ended."""
        self._inputs.lost()

    def reports(self, state: str) -> None:
        """Klippy says what state it is in; states nobody knows are left aside."""
        if state in REPORTED_STATES:
            getattr(self._inputs, f"reports_{state}")()
