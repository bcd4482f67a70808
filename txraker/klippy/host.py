"""What Klippy says of the process it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class KlippyHost(msgspec.Struct, frozen=True, kw_only=True):
    """The process at the other end of Klippy's socket.

    ``peer`` is the id of the process that listens there, as the kernel has it; it is 1 when systemd opened
    the socket. The rest is what Klippy says of itself; what it doesn't say is None. Contract: ``info`` of
    Klipper's API.
    """

    peer: int | None = None
    process_id: int | None = None
    log_file: str | None = None
    software_version: str | None = None

    @classmethod
    def of(cls, info: Mapping[str, Any], peer: int | None) -> KlippyHost:
        """Return what the result of ``info`` tells; a value of another type than it should be is left out."""
        process_id = info.get("process_id")
        return cls(
            peer=peer,
            process_id=process_id if type(process_id) is int and process_id > 0 else None,
            log_file=_text(info, "log_file"),
            software_version=_text(info, "software_version"),
        )


def _text(info: Mapping[str, Any], name: str) -> str | None:
    value = info.get(name)
    return value if isinstance(value, str) and value else None
