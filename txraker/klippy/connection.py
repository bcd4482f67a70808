"""One connection to Klippy's socket, and how its messages are read. What they mean is the client's business.

Klippy closes the socket of a reader that stalls for about five seconds, so reading is never paused: each
frame is taken off the socket and handed on at once, and whoever is slow must be slow elsewhere.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.klippy.framing import FrameSplitter, FrameTooLong, encode_frame
from txraker.reactor import Stream, peer_of


class Conversation(typing.Protocol):
    """Who a connection hands everything on to."""

    log: Logger

    def connection_made(self, connection: KlippyConnection) -> None:
        """The connection is there."""

    def connection_lost(self) -> None:
        """The connection has ended."""

    def frame_received(self, frame: bytes) -> None:
        """A message has come in."""


@implementer(IPushProducer)
class KlippyConnection(Protocol):
    """One connection: frames in, frames out. What it means is the client's business.

    Registered as its transport's producer it knows how much Klippy doesn't take: ``held_back`` (bytes).
    """

    transport: Stream  # type: ignore[assignment]  # connected as long as it is used

    def __init__(self, client: Conversation) -> None:
        self._client = client
        self._splitter = FrameSplitter()
        self._is_stalled = False
        self.held_back = 0

    def connectionMade(self) -> None:
        """Tell the client."""
        self.transport.registerProducer(self, True)
        self._client.connection_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Hand on every frame that is complete."""
        try:
            frames = self._splitter.feed(data)
        except FrameTooLong as problem:
            self._client.log.error("Klippy sent {problem}; reconnecting", problem=str(problem))
            self.transport.abortConnection()
            return
        for frame in frames:
            self._client.frame_received(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the client."""
        self._client.connection_lost()

    @property
    def peer(self) -> int | None:
        """The id of the process that listens on Klippy's socket, if it can be told."""
        peer = peer_of(self.transport)
        return peer.process_id if peer is not None else None

    def send(self, message: Mapping[str, object]) -> None:
        """Send one message."""
        frame = encode_frame(message)
        self.transport.write(frame)
        if self._is_stalled:
            self.held_back += len(frame)

    def pauseProducing(self) -> None:
        """Klippy doesn't take what was written."""
        self._is_stalled = True

    def resumeProducing(self) -> None:
        """Klippy has taken everything."""
        self._is_stalled = False
        self.held_back = 0

    def stopProducing(self) -> None:
        """The connection is gone."""


class KlippyConnections(Factory):
    """Makes the protocols of connections to Klippy."""

    noisy = False

    def __init__(self, client: Conversation) -> None:
        self._client = client

    def buildProtocol(self, addr: object) -> KlippyConnection:
        """Return the protocol of a new connection."""
        return KlippyConnection(self._client)


def decoded(frame: bytes) -> object:
    """Return a frame's message, None if it is none.

    Klippy's encoder writes NaN, Infinity and the lone surrogates of file names that are no UTF-8; none of
    these is JSON, and no client may get them.
    """
    try:
        return msgspec.json.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return _mended(json.loads(frame))
    except (ValueError, RecursionError):
        return None


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(item) for name, item in value.items()}
    return value
