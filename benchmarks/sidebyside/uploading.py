"""A client that uploads a file, without ever keeping the loop: what it doesn't take now it takes later."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final

from sidebyside.keep_alive import content_length, status_of
from sidebyside.loop import READING, WRITING

_AT_ONCE: Final = 1 << 18
_BOUNDARY: Final = "----side-by-side"


class Upload:
    """One upload to ``server.files.upload``. ``answer`` is status and body once the server has answered."""

    def __init__(self, port: int, path: Path, root: str, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20.0)
        self.socket.setblocking(False)
        self.interest = WRITING
        self.closed: str | None = None
        self.answer: tuple[int, bytes] | None = None
        self.answered = 0.0
        self._file = path.open("rb")
        self._size, self._sent = path.stat().st_size, 0
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
        form = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="root"\r\n\r\n{root}\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        head = (
            f"POST /server/files/upload HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
            f"Content-Length: {len(form) + self._size + len(tail)}\r\n\r\n"
        ).encode()
        self._before, self._after = head + form, tail
        self._got = b""

    def ready(self) -> None:
        """Send some more, or read the answer."""
        if self.interest == READING:
            self._read()
        elif self._before:
            self._before = self._before[self.socket.send(self._before) :]
        elif self._sent < self._size:
            self._sent += os.sendfile(self.socket.fileno(), self._file.fileno(), self._sent, _AT_ONCE)
        else:
            self._after = self._after[self.socket.send(self._after) :]
            if not self._after:
                self.interest = READING

    def _read(self) -> None:
        data = self.socket.recv(_AT_ONCE)
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if end and len(body) >= content_length(head):
            self.answer, self.answered = (status_of(head), body), time.monotonic()
        if self.answer is not None or not data:
            self.closed = "answered" if data else "end of stream"
            self.socket.close()
            self._file.close()
