"""A live server of a data path: who it is, and whether it prints."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from txraker.klippy.framing import TERMINATOR

ANSWERS_WITHIN: Final = 3.0
"""Seconds in which a server says what the printer does; one that can't tell isn't waited for."""

_QUESTION: Final = {
    "jsonrpc": "2.0",
    "method": "printer.objects.query",
    "params": {"objects": {"print_stats": ["state"]}},
    "id": 7125,
}
_MOST: Final = 1024 * 1024


class _PrintStats(msgspec.Struct, frozen=True):
    state: str


class _Status(msgspec.Struct, frozen=True):
    print_stats: _PrintStats


class _Result(msgspec.Struct, frozen=True):
    status: _Status


class _Answer(msgspec.Struct, frozen=True):
    id: int
    result: _Result


def local_socket(data_path: Path) -> Path:
    """Return where the server of a data path listens for programs on this machine."""
    return data_path / "comms" / "moonraker.sock"


def print_state(path: Path) -> str | None:
    """Return what a live server says of the printer: ``printing``, ``paused``, ``standby`` and the like.

    ``path`` is its socket. None when nobody answers, or Klipper isn't ready.
    """
    deadline = time.monotonic() + ANSWERS_WITHIN
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWERS_WITHIN)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(_QUESTION) + TERMINATOR)
            return _answer(connection, deadline)
    except OSError:
        return None


def _answer(connection: socket.socket, deadline: float) -> str | None:
    data = b""
    while len(data) < _MOST and time.monotonic() < deadline:
        received = connection.recv(65536)
        if not received:
            return None
        *texts, data = (data + received).split(TERMINATOR)
        for text in texts:
            try:
                return msgspec.json.decode(text, type=_Answer).result.status.print_stats.state
            except msgspec.DecodeError:  # some notification, or a refusal
                continue
    return None
