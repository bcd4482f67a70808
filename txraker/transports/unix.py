"""The unix socket: the whole API for programs on this machine, as JSON-RPC texts ended by a byte 0x03.

Who may connect is decided by the file's mode; who connects is known from the kernel.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from typing import cast

from attrs import define
from twisted.internet import unix
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IReactorUNIX
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from txraker.api.caller import TRUSTED, Caller, Transport
from txraker.klippy.framing import TERMINATOR, FrameSplitter, FrameTooLong
from txraker.reactor import Stream, peer_of
from txraker.system.listener import listener_at
from txraker.transports.link import Link, LinkService
from txraker.transports.stream import Reading, StreamWriter
from txraker.transports.websocket import LONGEST_MESSAGE

MOST_CLIENTS = 100
"""Programs that may be connected at once."""


def etx_frame(text: bytes) -> bytes:
    """Return a text as it goes over the unix socket."""
    return text + TERMINATOR


class UnixClient(Protocol):
    """A program on this machine."""

    transport: Stream  # type: ignore[assignment]  # connected as long as it is used
    framing = staticmethod(etx_frame)

    def __init__(self, service: LinkService, present: set[UnixClient]) -> None:
        self._service = service
        self._present = present
        self._splitter = FrameSplitter(LONGEST_MESSAGE)
        self._link: Link | None = None
        self._writer: StreamWriter
        self._reading: Reading

    def connectionMade(self) -> None:
        """Begin."""
        self._present.add(self)
        self._link = Link(
            self._service, self, Caller(Transport.UNIX, self._identity(), TRUSTED, otherwise=TRUSTED)
        )
        self._writer = StreamWriter(self.transport, self._link.drained)
        self._writer.start()
        self._reading = Reading(self.transport)
        self._link.opened()

    def dataReceived(self, data: bytes) -> None:
        """Take messages."""
        assert self._link is not None
        try:
            texts = self._splitter.feed(data)
        except FrameTooLong:
            self.abort()
            return
        for text in texts:
            self._link.received(text)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        assert self._link is not None
        self._present.discard(self)
        self._link.closed()

    @property
    def progress(self) -> int:
        """A number that changes when the client is seen to read."""
        return self._writer.progress

    @property
    def is_idle(self) -> bool:
        """Whether everything written so far has been sent."""
        return self._writer.is_idle

    def write(self, data: bytes) -> None:
        """Send framed bytes."""
        self._writer.write(data)

    def take_leave(self, code: int, reason: str) -> None:
        """Close the connection once everything is sent; there are no words for more here."""
        self._writer.stop()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()

    def pause_reading(self, reason: str) -> None:
        """Take no more from the client as long as there is a reason."""
        self._reading.pause(reason)

    def resume_reading(self, reason: str) -> None:
        """Go on taking from the client, if this was the last reason not to."""
        self._reading.resume(reason)

    def _identity(self) -> str:
        peer = peer_of(self.transport)
        return f"process {peer.process_id} of user {peer.user_id}" if peer is not None else "unknown"


class UnixClients(Factory):
    """Makes the protocols of the unix socket."""

    noisy = False

    def __init__(self, service: LinkService) -> None:
        self._service = service
        self._present: set[UnixClient] = set()

    def buildProtocol(self, addr: IAddress | None) -> UnixClient | None:
        """Return the protocol of a new client, or None, which ends the connection, when there is no room."""
        return UnixClient(self._service, self._present) if len(self._present) < MOST_CLIENTS else None


@define(eq=False, repr=False)
class LocalPort:
    """A unix socket that is listened on. Its file is removed with it only while it is still our file."""

    _port: unix.Port
    _path: Path
    _file: tuple[int, int]

    @classmethod
    def open(cls, reactor: IReactorUNIX, path: Path, mode: int, clients: UnixClients) -> LocalPort:
        """Listen on a unix socket, replacing one that was left behind.

        Raises CannotListenError when somebody listens there, when something else has that name, or when
        there can't be a socket.
        """
        try:
            _remove_left_over(path)
            port = reactor.listenUNIX(str(path), clients, 50, mode)
            return cls(cast("unix.Port", port), path, _identity_of(path))
        except OSError as problem:
            raise CannotListenError("unix socket", path, problem) from None

    @property
    def is_reachable(self) -> bool:
        """Whether the file that leads here is still there."""
        try:
            return _identity_of(self._path) == self._file
        except OSError:
            return False

    def hand_over(self, clients: UnixClients, mode: int) -> None:
        """Let others have the connections to come."""
        self._port.factory = clients
        with suppress(OSError):
            self._path.chmod(mode)

    async def close(self) -> None:
        """Listen no more."""
        if self.is_reachable:
            self._path.unlink(missing_ok=True)
        # Twisted would remove whatever has that name now, and fail half-way when nothing has.
        self._port._bindPath = b"\0"
        await maybeDeferred(self._port.stopListening)


def _identity_of(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return (status.st_dev, status.st_ino)


def _remove_left_over(path: Path) -> None:
    """Remove a socket to which nobody listens any more; the only proof is that it refuses."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("something else has that name")
    except FileNotFoundError:
        return
    try:
        listener = listener_at(path)
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    raise OSError(f"{listener} listens there")
