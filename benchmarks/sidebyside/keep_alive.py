"""An HTTP client that asks for one resource again and again over one connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from sidebyside.loop import READING

_READ: Final = 1 << 18

OnAnswer = Callable[[int, bytes, float], None]
"""Receives status, body and the monotonic time at which the answer was complete."""


class KeepAlive:
    """One connection to a server; answers must have a Content-Length."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.interest = READING
        self.closed: str | None = None
        self.on_answer: OnAnswer = _ignore
        self._port = port
        self._got: list[bytes] = []
        self._missing = 0
        self._head = b""

    def get(self, path: str, on_answer: OnAnswer) -> None:
        """Ask for a resource."""
        self.on_answer = on_answer
        self.socket.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())

    def ready(self) -> None:
        """Read what has come, and hand on the answer when that was all of it."""
        data = self.socket.recv(_READ)
        if not data:
            raise RuntimeError("the server closed a connection that is to be kept")
        if not self._missing:
            data = self._begin(data)
        self._got.append(data)
        self._missing -= len(data)
        if self._missing == 0:
            body = b"".join(self._got)
            self._got = []
            self.on_answer(status_of(self._head), body, time.monotonic())

    def _begin(self, data: bytes) -> bytes:
        """Note how long the answer is; return what there is of its body. A head comes in one piece."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            raise RuntimeError(f"not the head of an answer: {data!r}")
        self._head, self._missing = head, content_length(head)
        return rest


def status_of(head: bytes) -> int:
    """Return the status in the head of an answer."""
    return int(head.split(b" ", 2)[1])


def content_length(head: bytes) -> int:
    """Return how long a body is, as the head of its answer says. Raises RuntimeError when it doesn't."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return int(rest.split(b"\r\n", 1)[0])


def _ignore(_status: int, _body: bytes, _now: float) -> None:
    """Do nothing with an answer."""
