"""What is noted of a call: who asked for what, from where and how, and whether it was refused or failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from txraker.api.caller import Caller

LONGEST = 300
"""Characters that are noted of anything; the middle of what is longer is left out."""

Outcome = Literal["asked", "let in", "refused", "failed"]


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the audit log, but for its time.

    A call is noted when it begins, as ``asked``, and once more if it fails; one that isn't permitted is just
    ``refused``. Who has shown something good is ``let in``. ``source`` says where ``who`` is known,
    ``status`` why it was refused or failed, as HTTP has it, and ``client`` what the application on a
    connection says it is.
    """

    outcome: Outcome
    call: str
    who: str
    source: str
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
        _short(call),
        _short(caller.who.name),
        caller.who.source,
        caller.who.role.name.lower(),
        _short(", ".join(caller.addresses)),
        str(caller.transport.name).lower(),
        {name: _shown(value) for name, value in (arguments or {}).items()},
        status,
        _short(f"{identity.client_name} {identity.version}") if identity is not None else None,
    )


def _shown(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else _short(str(value))


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"
