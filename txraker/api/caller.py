"""Who calls, from where and over what: the first argument of every endpoint."""

from __future__ import annotations

import enum

import msgspec

from txraker.interfaces import IConnection


class Transport(enum.Flag):
    """The ways a request can reach us."""

    HTTP = enum.auto()
    JSONRPC_HTTP = enum.auto()
    WEBSOCKET = enum.auto()
    UNIX = enum.auto()

    PERSISTENT = WEBSOCKET | UNIX
    """Transports that keep a connection, to which notifications can be sent."""

    ALL = HTTP | JSONRPC_HTTP | PERSISTENT


class Role(enum.IntEnum):
    """What somebody may do. Each role may do what those before it may."""

    NOBODY = 0
    """Find out how to get in, and nothing else."""
    VIEWER = 1
    """Look."""
    OPERATOR = 2
    """Print."""
    ADMIN = 3
    """Change who may do what, what is installed, and what runs."""


class Who(msgspec.Struct, frozen=True):
    """What somebody is known by: a user's ``name`` and ``source``, and what they may do.

    ``session`` is the login of a user who has logged in, and ``key`` stands for the API key or the API token
    that was shown; both are None for those who are known otherwise.
    """

    name: str
    role: Role
    source: str = "moonraker"
    session: str | None = None
    key: str | None = None

    @property
    def is_user(self) -> bool:
        """Whether it is a user who has logged in."""
        return self.session is not None


NOBODY = Who("", Role.NOBODY)
TRUSTED = Who("_TRUSTED_USER_", Role.ADMIN)
"""Whoever comes from an address that the configuration trusts, or over the unix socket."""


class Caller(msgspec.Struct, frozen=True):
    """The origin of one request.

    ``address`` is the peer's IP address as text, or the peer's identity on a unix socket, and ``others`` are
    further addresses that a proxy says it comes from. ``who`` is what the caller is known by, and
    ``otherwise`` what it would be by its address alone. ``connection`` is there on persistent transports.
    """

    transport: Transport
    address: str
    who: Who
    connection: IConnection | None = None
    others: tuple[str, ...] = ()
    otherwise: Who = NOBODY

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses that it may come from."""
        return (self.address, *self.others)

    @property
    def is_known(self) -> bool:
        """Whether the caller may do anything beyond finding out how to get in."""
        return self.who.role is not Role.NOBODY
