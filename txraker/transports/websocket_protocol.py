"""Autobahn's websocket protocol over Twisted's transports, and nothing else of Autobahn.

Its own package for Twisted brings WAMP, serializers and cryptography, and so does one name that the protocol
itself takes from WAMP's package; its helpers in C bring a C parser. A JSON-RPC server uses none of that, and
it is a fifth of what a small server holds in memory. So ``autobahn.wamp.types`` is imported without its
package, and ``frames`` does what the helpers do. For a log that nobody reads it also words all of its
settings at each connect, which took a fifth of that: here it doesn't.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import autobahn
import txaio
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.server import Request

from txraker.reactor import Stream
from txraker.transports.frames import Masker, Utf8Validator, take_text


@contextmanager
def _instead(modules: dict[str, ModuleType | None]) -> Iterator[None]:
    """Have others in the place of modules that aren't imported yet; without one, they can't be."""
    absent = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]  # None says that there is none
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _bare_wamp() -> ModuleType:
    """Return WAMP's package without what it imports."""
    package = ModuleType("autobahn.wamp")
    package.__path__ = [str(Path(autobahn.__file__).parent / "wamp")]
    return package


txaio.use_twisted()  # before Autobahn's protocol is imported, which asks for it
with _instead({"autobahn.wamp": _bare_wamp(), "_nvx_utf8validator": None, "_nvx_xormasker": None}):
    from autobahn.websocket import protocol

vars(protocol).update(create_xor_masker=Masker, Utf8Validator=Utf8Validator, pformat=object.__repr__)

PIECE = 4096
"""Bytes that go Autobahn's way at once: of 64 KB of tiny frames it makes a tenth of a second and more."""

_EVENTS = (
    "onOpen",
    "onMessageBegin",
    "onMessageFrameBegin",
    "onMessageFrameData",
    "onMessageFrameEnd",
    "onMessageFrame",
    "onMessageEnd",
    "onMessage",
    "onPing",
    "onPong",
    "onClose",
)
"""What Autobahn tells an application; it calls them by names with an underscore before."""


class WebSocketProtocol(Protocol, protocol.WebSocketServerProtocol):
    """The server's end of a websocket; what happens is told by the ``on...`` methods, as Autobahn has it."""

    log = txaio.make_logger()  # type: ignore[attr-defined]  # there since use_twisted()
    transport: Stream  # type: ignore[assignment]  # connected as long as it is used
    _waiting = b""

    def connectionMade(self) -> None:
        """Begin."""
        self.peer = str(self.transport.getPeer())
        self.transport.setTcpNoDelay(True)
        self._connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        self._connectionLost(reason)  # type: ignore[arg-type]  # Autobahn just logs it

    def dataReceived(self, data: bytes) -> None:
        """Take bytes: whole short messages here, everything else by Autobahn's way.

        What is left when no more is to be read waits for the next call.
        """
        data, self._waiting = self._waiting + data, b""
        at = 0
        while at < len(data) and not self.is_paused:
            taken = take_text(data, at) if self._is_between_messages() else None
            if taken is None:
                at, begin = at + PIECE, at
                self._dataReceived(data[begin:at])
            else:
                text, at = taken
                if self.autoPingTimeoutCall:
                    self._cancelAutoPingTimeoutCall()
                self.onMessage(text, False)
        self._waiting = data[at:]

    @property
    def is_paused(self) -> bool:
        """Whether no more is to be read for now."""
        return False

    def _is_between_messages(self) -> bool:
        return (
            self.state == self.STATE_OPEN
            and not self.data
            and self.current_frame is None
            and not self.inside_message
        )

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: N802  # Autobahn's name
        if abort:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def unregisterProducer(self) -> None:
        """Have the transport ask nobody for more, as Autobahn wishes before it closes."""
        self.transport.unregisterProducer()


def _calls(name: str) -> Callable[..., None]:
    """Return what Autobahn calls for something that happens: a method that calls the one for applications."""

    def call(self: WebSocketProtocol, *arguments: object) -> None:
        getattr(self, name)(*arguments)

    return call


for _event in _EVENTS:
    setattr(WebSocketProtocol, f"_{_event}", _calls(_event))


class WebSocketProtocolFactory(protocol.WebSocketServerFactory):
    """What protocols have in common; they are made elsewhere."""

    def __init__(self, reactor: IReactorTime, server: str) -> None:
        self.reactor = reactor
        super().__init__(server=server)


def take_over(request: Request, successor: WebSocketProtocol) -> None:
    """Give the connection of an upgrade's request to a protocol, which reads that request and answers it."""
    channel: Any = request.channel
    transport, channel.transport = channel.transport, None
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = successor
    else:
        transport.protocol = successor
    successor.makeConnection(transport)
    transport.resumeProducing()
    lines = [request.method + b" " + request.uri + b" HTTP/1.1"]
    lines += [name + b": " + b",".join(values) for name, values in request.requestHeaders.getAllRawHeaders()]
    successor.dataReceived(b"\r\n".join([*lines, b"", b""]))
