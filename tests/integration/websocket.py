"""A websocket client small enough to see every byte: frames over a blocking socket."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from attrs import define, field

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE = 20.0


@define
class Closed(Exception):
    """The connection ended; ``code`` is that of the close frame, None without one."""

    code: int | None


@define
class WebSocket:
    """One connection to ``/websocket``."""

    _socket: socket.socket
    _buffer: bytes = b""
    notifications: list[dict[str, Any]] = field(factory=list)

    @classmethod
    def connect(
        cls, port: int, path: str = "/websocket", context: ssl.SSLContext | None = None, **headers: str
    ) -> Self:
        """Open a websocket, secure if a context is given.

        Raises AssertionError with the response if it is refused.
        """
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        return cls._shake_hands(connection, port, path, headers)

    @classmethod
    def _shake_hands(
        cls, connection: socket.socket, port: int, path: str, headers: Mapping[str, str]
    ) -> Self:
        """Make a connection a websocket; headers may replace those of the handshake."""
        key = base64.b64encode(os.urandom(16)).decode()
        shown = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", **headers}
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Sec-WebSocket-Key: {key}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in shown.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        opened = cls(connection)
        while b"\r\n\r\n" not in opened._buffer:
            opened._read()
        head, _, opened._buffer = opened._buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            connection.close()
            raise AssertionError(head + b"\n" + opened._buffer)
        return opened

    def send_frame(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        """Send one frame, masked with zeros."""
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65536:
            size = b"\xfe" + struct.pack("!H", length)
        else:
            size = b"\xff" + struct.pack("!Q", length)
        self._socket.sendall(bytes([(0x80 if final else 0) | opcode]) + size + b"\0\0\0\0" + payload)

    def send(self, text: str) -> None:
        """Send one text message."""
        self.send_frame(TEXT, text.encode())

    def receive_frame(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload. Raises Closed."""
        self._need(2)
        length, skip = self._buffer[1] & 127, 2
        if length == 126:
            self._need(4)
            length, skip = struct.unpack("!H", self._buffer[2:4])[0], 4
        elif length == 127:
            self._need(10)
            length, skip = struct.unpack("!Q", self._buffer[2:10])[0], 10
        self._need(skip + length)
        opcode, payload = self._buffer[0] & 15, self._buffer[skip : skip + length]
        self._buffer = self._buffer[skip + length :]
        return opcode, payload

    def receive(self) -> Any:
        """Return the next message, decoded; pings are answered. Raises Closed, and TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if time.monotonic() > deadline:
                raise TimeoutError("no message came")
            opcode, payload = self.receive_frame()
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                with suppress(OSError):
                    self.send_frame(CLOSE, payload)
                    while self._socket.recv(65536):
                        pass
                raise Closed(struct.unpack("!H", payload[:2])[0] if payload else None)
            elif opcode == TEXT:
                return json.loads(payload)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a call and return its whole answer; notifications before it are kept."""
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": method}))
        while True:
            message: dict[str, Any] = self.receive()
            if message.get("id") == method:
                return message
            self.notifications.append(message)

    def wait_for(self, method: str) -> dict[str, Any]:
        """Return the next notification of a name, kept or to come."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for position, message in enumerate(self.notifications):
                if message["method"] == method:
                    del self.notifications[: position + 1]
                    return message
            self.notifications.append(self.receive())
        raise TimeoutError(f"no {method} among {self.notifications}")

    def drain(self) -> int | None:
        """Read until the connection ends and return the code of the close frame, None without one."""
        try:
            while True:
                self.receive()
        except Closed as closed:
            return closed.code

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def _need(self, count: int) -> None:
        while len(self._buffer) < count:
            self._read()

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise Closed(None)
        self._buffer += data
