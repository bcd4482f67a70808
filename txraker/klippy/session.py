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

from attrs import define
from automat import TypeMachineBuilder

KlippyState = Literal["disconnected", "startup", "ready", "error", "shutdown"]
REPORTED_STATES: frozenset[str] = frozenset(get_args(KlippyState)) - {"disconnected"}
"""The states that Klippy reports of itself."""


class Session(Protocol):
    """What can happen to the connection, and the one thing to ask of it."""

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

    def state(self) -> KlippyState:
        """Return the state as last announced."""


class Announcer(Protocol):
    """Who is told of changes of state."""

    def ready(self) -> None:
        """Klippy became ready."""

    def shutdown(self) -> None:
        """Klippy shut the printer down."""

    def disconnected(self) -> None:
        """The connection ended."""


@define
class _Core:
    announce: Announcer


_builder = TypeMachineBuilder(Session, _Core)
_disconnected = _builder.state("disconnected")
_startup = _builder.state("startup")
_ready = _builder.state("ready")
_error = _builder.state("error")
_shutdown = _builder.state("shutdown")
_connected_states = (_startup, _ready, _error, _shutdown)

_disconnected.upon(Session.connected).to(_startup).returns(None)
_disconnected.upon(Session.lost).loop().returns(None)

for _state in _connected_states:
    _state.upon(Session.connected).loop().returns(None)
    _state.upon(Session.reports_startup).to(_startup).returns(None)
    _state.upon(Session.reports_error).to(_error).returns(None)

    @_state.upon(Session.lost).to(_disconnected)
    def _announce_loss(_inputs: Session, core: _Core) -> None:
        core.announce.disconnected()

    if _state is not _ready:

        @_state.upon(Session.reports_ready).to(_ready)
        def _announce_ready(_inputs: Session, core: _Core) -> None:
            core.announce.ready()

    if _state is not _shutdown:

        @_state.upon(Session.reports_shutdown).to(_shutdown)
        def _announce_shutdown(_inputs: Session, core: _Core) -> None:
            core.announce.shutdown()


_ready.upon(Session.reports_ready).loop().returns(None)
_shutdown.upon(Session.reports_shutdown).loop().returns(None)
for _input in (
    Session.reports_startup,
    Session.reports_ready,
    Session.reports_error,
    Session.reports_shutdown,
):
    _disconnected.upon(_input).loop().returns(None)

_disconnected.upon(Session.state).loop().returns("disconnected")
_startup.upon(Session.state).loop().returns("startup")
_ready.upon(Session.state).loop().returns("ready")
_error.upon(Session.state).loop().returns("error")
_shutdown.upon(Session.state).loop().returns("shutdown")

_build = _builder.build()


def new_session(announce: Announcer) -> Session:
    """Return a session that is disconnected and tells ``announce`` what clients must hear."""
    return _build(_Core(announce))


def report(session: Session, state: str) -> None:
    """Feed a session the state that Klippy reports; states nobody knows are left aside."""
    if state in REPORTED_STATES:
        getattr(session, f"reports_{state}")()
