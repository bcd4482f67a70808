"""What the machine can't or won't do, as clients are told."""

from __future__ import annotations

from txraker.errors import ApiError, BadRequest, Forbidden, Unavailable

PERMISSION_WARNING = "permission"
"""The key of the one warning that we were refused something; it goes when we are let do something again."""


class SystemUnavailable(Unavailable):
    """There is nobody to ask: no bus, no systemd, or no answer in time."""


class NotSupported(BadRequest):
    """The configured provider can't do that at all."""


class NoSuchService(BadRequest):
    """The service manager knows no such unit."""


class NotPermitted(Forbidden):
    """The machine's policy refuses what we asked for: PolicyKit, sudo or the bus."""


class JobFailed(ApiError):
    """A service was not started or stopped; what systemd says of it is in the message."""

    http_status = 500
    jsonrpc_code = 500


class RolloverFailed(ApiError):
    """A log file could not be put aside; it is written to as before."""
