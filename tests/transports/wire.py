"""One HTTP connection in memory, for tests of what a site does byte by byte."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from txraker.transports.web.channel import LimitedSite, TrackedChannel

BOUNDARY = "XyZ"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


class MemoryTcp(StringTransport):
    """A transport that notes how it is closed."""

    is_half_closed = False
    is_aborted = False

    def loseWriteConnection(self) -> None:
        """Note that nothing more is sent."""
        self.is_half_closed = True

    def abortConnection(self) -> None:
        """Note that it was cut."""
        self.is_aborted = True

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read."""
        return bool(self.producerState == "paused")


@define
class Response:
    """What was answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Wire:
    """A client's connection to a site, from an address."""

    site: LimitedSite
    address: str = "192.168.1.7"
    tcp: Any = field(init=False)
    channel: TrackedChannel = field(init=False)

    def __attrs_post_init__(self) -> None:
        peer = IPv4Address("TCP", self.address, 1)
        channel: Any = self.site.buildProtocol(peer)  # type: ignore[no-untyped-call]  # Twisted's
        self.tcp = MemoryTcp(peerAddress=peer)  # type: ignore[no-untyped-call]  # Twisted's
        self.channel = channel
        channel.makeConnection(self.tcp)

    def head(self, method: str, path: str, **headers: object) -> None:
        """Send the head of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: printer.local"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Send bytes, in one piece."""
        self.channel.dataReceived(data)

    def lose(self) -> None:
        """Lose the connection."""
        self.channel.connectionLost(Failure(ConnectionLost()))

    def ask(self, method: str, path: str, body: bytes = b"", **headers: object) -> Response:
        """Make a request, and return what is answered at once."""
        self.tcp.clear()
        self.head(method, path, **({"Content_Length": len(body)} if body else {}), **headers)
        if body:
            self.send(body)
        return self.response()

    def upload(self, *parts: bytes, **headers: object) -> Response:
        """Send a form, and return what is answered at once."""
        return self.ask("POST", "/server/files/upload", form(*parts), Content_Type=FORM, **headers)

    def response(self) -> Response:
        """Return what is answered by now."""
        head, _, body = self.tcp.value().partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Response(
            int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body
        )


def part(name: str, content: bytes | str, filename: str | None = None) -> bytes:
    """Return a part of a form; a file's if it has a file name, which is put in as it is."""
    named = f'; filename="{filename}"' if filename is not None else ""
    data = content.encode() if isinstance(content, str) else content
    return f'Content-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + data


def file(content: bytes = b"G28\n", name: str = "a.gcode") -> bytes:
    """Return the part that holds the file."""
    return part("file", content, name)


def form(*parts: bytes) -> bytes:
    """Return a form of parts."""
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + b"--\r\n"
