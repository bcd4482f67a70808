"""Websocket clients that cost next to nothing: epoll, one read for many frames, no message decoded unasked.

A server's frames are not masked and its messages not fragmented (both servers' aren't; others are refused),
so that a message is a slice of what was read.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import time
from collections.abc import Callable
from itertools import count, islice
from typing import Any, Final

import msgspec

from sidebyside.loop import READING

_READ: Final = 1 << 18
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_FINAL: Final = 0x80

UPDATE: Final = b'"notify_status_update"'
_HEAD: Final = 60
"""Bytes of a message in which its method is found."""

OnText = Callable[[bytes, float], None]
"""Receives a message and the monotonic time at which it was read."""


def is_update(text: bytes) -> bool:
    """Say whether a message is a status update."""
    return UPDATE in text[:_HEAD]


def is_notification(text: bytes) -> bool:
    """Say whether a message is any notification, rather than an answer."""
    return b'"method"' in text[:_HEAD]


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame: masked, with a mask of zeros, which changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _FINAL | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", _FINAL | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class Client:
    """One websocket. ``on_text`` gets its messages; ``closed`` is why it ended, None while it is open."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20.0)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on_text: OnText = _ignore
        self.interest = READING
        self.closed: str | None = None
        self._rest = _upgrade(self.socket, port)
        self.socket.setblocking(False)
        self._ids = count(1)
        self._answers: dict[int, Callable[[dict[str, Any], float], None]] = {}

    def request(
        self, method: str, params: object, on_answer: Callable[[dict[str, Any], float], None]
    ) -> None:
        """Send a request; ``on_answer`` gets the whole answer and the time at which it was read."""
        number = next(self._ids)
        self._answers[number] = on_answer
        message = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
        self.socket.sendall(frame(_TEXT, msgspec.json.encode(message)))

    def burst(self, number: int, method: str, on_answer: Callable[[dict[str, Any], float], None]) -> None:
        """Send a number of requests without parameters at once."""
        frames = []
        for each in islice(self._ids, number):
            self._answers[each] = on_answer
            frames.append(frame(_TEXT, msgspec.json.encode({"jsonrpc": "2.0", "method": method, "id": each})))
        self.socket.sendall(b"".join(frames))

    def take_leave(self) -> None:
        """Send a close frame; ``closed`` tells when the server answered."""
        self.socket.sendall(frame(_CLOSE, (1000).to_bytes(2, "big")))

    def pong(self) -> None:
        """Send a pong nobody asked for."""
        self.socket.send(frame(_PONG, b""))

    def ready(self) -> None:
        """Read what has come and hand on every message in it."""
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as problem:
            self.end(str(problem))
            return
        if not data:
            self.end("end of stream")
            return
        now = time.monotonic()
        if self._rest:
            data = self._rest + data
        self._rest = data[self._frames(data, now) :]

    def _frames(self, data: bytes, now: float) -> int:
        """Hand on the complete frames in ``data`` and return where the rest begins."""
        at, end = 0, len(data)
        while end - at >= 2:
            size, body = data[at + 1], at + 2
            if size == 126:
                body = at + 4
                size = int.from_bytes(data[at + 2 : body], "big") if end >= body else end
            elif size == 127:
                body = at + 10
                size = int.from_bytes(data[at + 2 : body], "big") if end >= body else end
            if end - body < size:
                break
            opcode = data[at]
            at = body + size
            if opcode == _FINAL | _TEXT:
                self._text(data[body:at], now)
            else:
                self._control(opcode, data[body:at])
        return at

    def _text(self, text: bytes, now: float) -> None:
        if not self._answers or is_notification(text):
            self.on_text(text, now)
            return
        answer = msgspec.json.decode(text)
        waiting = self._answers.pop(answer.get("id"), None)
        if waiting is not None:
            waiting(answer, now)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _FINAL | _PING:
            self.socket.send(frame(_PONG, payload))
        elif opcode == _FINAL | _CLOSE:
            self.end(f"close frame {int.from_bytes(payload[:2], 'big')}")
        elif opcode != _FINAL | _PONG:
            raise RuntimeError(f"a frame that this client can't read: {opcode:#x}")

    def end(self, reason: str) -> None:
        """Note that the connection is over."""
        self.closed = self.closed or reason
        self.socket.close()


def _ignore(_text: bytes, _now: float) -> None:
    """Do nothing with a message."""


def _upgrade(connection: socket.socket, port: int) -> bytes:
    """Ask for the upgrade and return what came after the answer to it."""
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            raise RuntimeError(f"no websocket: {data!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"no websocket: {head!r} {rest!r}")
    return rest
