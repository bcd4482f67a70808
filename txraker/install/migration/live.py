"""A live server of a data path: who it is, and whether it prints."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from txraker.klippy.framing import TERMINATOR

ANSWERS_WITHIN: Final = 3.0
"""Seconds in which a server says what the printer does."""

UNKNOWN: Final = "unknown"
"""What the printer does, if the server doesn't say."""

_QUESTION: Final = {
    "jsonrpc": "2.0",
    "method": "printer.objects.query",
    "params": {"objects": {"print_stats": ["state"]}},
    "id": 7125,
}
_MOST: Final = 1024 * 1024


class _PrintStats(msgspec.Struct, frozen=True):
    state: str | None = None


class _Status(msgspec.Struct, frozen=True):
    print_stats: _PrintStats = _PrintStats()


class _Result(msgspec.Struct, frozen=True):
    status: _Status = _Status()


class _Answer(msgspec.Struct, frozen=True):
    """An answer to our question; one without a result is an error, such as that Klipper isn't ready."""

    id: Literal[7125]
    result: _Result = _Result()


def local_socket(data_path: Path) -> Path:
    """Return where the server of a data path listens for programs on this machine."""
    return data_path / "comms" / "moonraker.sock"


def print_state(path: Path) -> str | None:
    """Return what a live server says of the printer: ``printing``, ``paused``, ``standby`` and the like.

    ``path`` is its socket. None when nobody is there, or Klipper isn't ready; UNKNOWN without an answer.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWERS_WITHIN)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(_QUESTION) + TERMINATOR)
            return told_state(connection.recv, time.monotonic)
    except TimeoutError:
        return UNKNOWN
    except OSError:
        return None


def told_state(receive: Callable[[int], bytes], now: Callable[[], float]) -> str | None:
    """Return what is told by the answer among what is received, which may be notifications for a while."""
    data, deadline = b"", now() + ANSWERS_WITHIN
    while len(data) < _MOST and now() < deadline:
        received = receive(65536)
        if not received:
            return None
        *texts, data = (data + received).split(TERMINATOR)
        for text in texts:
            with suppress(msgspec.DecodeError):  # it is none
                return msgspec.json.decode(text, type=_Answer).result.status.print_stats.state
    return UNKNOWN
