"""What is noted of a call: who asked for what, from where and how, and whether it was refused or failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from txraker.api.caller import Caller

LONGEST_ARGUMENT = 300
"""Characters that are noted of an argument."""

Outcome = Literal["asked", "refused", "failed"]


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the audit log, but for its time.

    A call is noted when it begins, as ``asked``, and once more if it fails; one that isn't permitted is just
    ``refused``. ``status`` is the HTTP status of a refusal or failure. ``client`` is what the application at
    the other end of a connection says it is.
    """

    outcome: Outcome
    call: str
    who: str
    role: str
    address: str
    transport: str
    arguments: dict[str, object] = msgspec.field(default_factory=dict)
    status: int | None = None
    client: str | None = None


def audit_entry(
    outcome: Outcome,
    call: str,
    caller: Caller,
    arguments: Mapping[str, object] | None = None,
    status: int | None = None,
) -> AuditEntry:
    """Return what is to be noted of a call. ``arguments`` are those that may be shown."""
    identity = caller.connection.identity if caller.connection is not None else None
    return AuditEntry(
        outcome,
        call,
        caller.who.name,
        caller.who.role.name.lower(),
        ", ".join(caller.addresses),
        str(caller.transport.name).lower(),
        {name: _shown(value) for name, value in (arguments or {}).items()},
        status,
        f"{identity.client_name} {identity.version}" if identity is not None else None,
    )


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST_ARGUMENT else text[:LONGEST_ARGUMENT] + "…"
