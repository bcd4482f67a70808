"""Where cameras are: their URLs made complete."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

_COMPLETE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]")
_ELSEWHERE = ("198.51.100.1", 9)
"""Nobody's address, which is as far away as any; nothing is sent to it."""


def complete_url(url: str, host: str) -> str:
    """Return a camera's URL with scheme and host: a path is meant on ``host``, at port 80."""
    if not url or _COMPLETE.match(url):
        return url
    return f"http://{host}/{url.lstrip('/')}"


def outward_address(open_socket: Callable[[int, int], socket.socket] = socket.socket) -> str:
    """Return the address that this machine has for others, its loopback address if it has none."""
    try:
        with open_socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_ELSEWHERE)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
