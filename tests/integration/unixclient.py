"""A client on the unix socket: texts ended by a byte 0x03, over a blocking socket."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from attrs import define

from tests.integration.websocket import PATIENCE, Closed, WebSocket


@define
class UnixClient(WebSocket):
    """One connection to ``comms/moonraker.sock``; it is used as a websocket is."""

    @classmethod
    def connect_to(cls, path: Path) -> UnixClient:
        """Connect."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        return cls(connection)

    def send(self, text: str) -> None:
        """Send one message."""
        self._socket.sendall(text.encode() + b"\x03")

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def receive(self) -> Any:
        """Return the next message. Raises Closed, and TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while b"\x03" not in self._buffer:
            if time.monotonic() > deadline:
                raise TimeoutError("no message came")
            try:
                self._read()
            except ConnectionResetError:
                raise Closed(None) from None
        text, _, self._buffer = self._buffer.partition(b"\x03")
        return json.loads(text)
