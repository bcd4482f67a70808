"""Nodes of a CAN bus that wait for an id: Klipper's admin messages on a raw socket of SocketCAN.

Contract: "Query Unassigned Canbus UUIDs" of the machine document, "Admin messages" of Klipper's
CANBUS_protocol document, and can(7) of the kernel's documentation for the socket.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.errors import BadRequest
from txraker.reactor import Reactor

LISTENING_SECONDS = 2.0
"""How long nodes may take to answer: they answer all at once, and try again when they collide."""

MOST_NODES = 128
"""Nodes that are listed; a bus has ids for fewer."""

FRAME = struct.Struct("=IB3x8s")
"""``can_frame``: the id, the number of bytes, the bytes."""

TO_NODES, FROM_NODES = 0x3F0, 0x3F1
_QUERY_UNASSIGNED, _NEED_NODE_ID = 0x00, 0x20

_Application = Literal["Klipper", "Katapult", "Unknown"]
_APPLICATIONS: dict[int, _Application] = {0x01: "Klipper", 0x11: "Katapult"}

_ID_BITS, _EXTENDED, _REMOTE = 0x7FF, 0x80000000, 0x40000000
_MOST_FRAMES = 64
"""Frames that are read before the reactor goes on with something else."""


class CanUuid(msgspec.Struct, frozen=True):
    """A node without an id. The application is Unknown when the node doesn't say which it runs."""

    uuid: str
    application: _Application


class CanSocket(Protocol):
    """A socket that doesn't block."""

    def fileno(self) -> int:
        """Return its descriptor."""

    def send(self, data: bytes, /) -> int:
        """Send a frame; raises OSError."""

    def recv(self, size: int, /) -> bytes:
        """Return the next frame; raises BlockingIOError when there is none, OSError when none will come."""

    def close(self) -> None:
        """Close it."""


def open_can_socket(interface: str) -> CanSocket:
    """Return a socket on a CAN interface that hears what nodes say of themselves, or raise OSError."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    opened = socket.socket(socket.AF_CAN, kind, socket.CAN_RAW)
    try:
        only = struct.pack("=II", FROM_NODES, _ID_BITS | _EXTENDED | _REMOTE)
        opened.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, only)
        opened.bind((interface,))
    except BaseException:
        opened.close()
        raise
    return opened


@define(eq=False, repr=False)
class CanBus:
    """Asks for nodes without an id, on each interface once for all who ask at the same time."""

    _reactor: Reactor
    _open: Callable[[str], CanSocket] = open_can_socket
    _asked: dict[str, list[Deferred[list[CanUuid]]]] = field(factory=dict, init=False)

    async def unassigned(self, interface: str) -> list[CanUuid]:
        """Return the nodes of a bus that have no id, in the order of their answers.

        Raises BadRequest when there is no such interface, or nothing can be sent by it.
        """
        answered: Deferred[list[CanUuid]] = Deferred()
        if interface not in self._asked:
            self._ask(interface)
        self._asked.setdefault(interface, []).append(answered)
        return await answered

    def _ask(self, interface: str) -> None:
        if not re.fullmatch(r"[!-.0-9;-~]{1,15}", interface):
            raise BadRequest(f"'{interface}' can't be the name of a CAN interface")
        try:
            opened = self._open(interface)
        except OSError as problem:
            raise _refusal(interface, problem) from None
        try:
            opened.send(FRAME.pack(TO_NODES, 1, bytes([_QUERY_UNASSIGNED])))
        except OSError as problem:
            opened.close()
            raise _refusal(interface, problem) from None
        _Listening(self._reactor, opened, partial(self._answer, interface)).begin()

    def _answer(self, interface: str, nodes: list[CanUuid], problem: OSError | None) -> None:
        for answered in self._asked.pop(interface):
            if problem is None:
                answered.callback(nodes)
            else:
                answered.errback(_refusal(interface, problem))


@implementer(IReadDescriptor)
@define(eq=False, repr=False)
class _Listening:
    """Reads answers for a while, then closes its socket and tells what it has heard, once."""

    _reactor: Reactor
    _socket: CanSocket
    _ended: Callable[[list[CanUuid], OSError | None], None]
    _nodes: dict[str, CanUuid] = field(factory=dict, init=False)
    _end: IDelayedCall = field(init=False)

    def begin(self) -> None:
        """Listen from now on."""
        self._end = self._reactor.callLater(LISTENING_SECONDS, self._finish)
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "CAN bus"

    def doRead(self) -> None:
        try:
            for _ in range(_MOST_FRAMES):
                self._note(self._socket.recv(FRAME.size))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as problem:
            self._finish(problem)

    def connectionLost(self, reason: Failure) -> None:
        """End early: the reactor has seen an error, which is the interface that went away or down."""
        self._finish(OSError(errno.ENETDOWN, str(reason.value)))

    def _note(self, frame: bytes) -> None:
        if len(frame) < FRAME.size:
            return
        number, length, data = FRAME.unpack_from(frame)
        if number != FROM_NODES or length < 7 or data[0] != _NEED_NODE_ID or len(self._nodes) >= MOST_NODES:
            return
        uuid = data[1:7].hex()
        application = _APPLICATIONS.get(data[7] if length > 7 else -1, "Unknown")
        self._nodes.setdefault(uuid, CanUuid(uuid, application))

    def _finish(self, problem: OSError | None = None) -> None:
        if self._end.active():
            self._end.cancel()
        self._reactor.removeReader(self)
        self._socket.close()
        self._ended(list(self._nodes.values()), problem)


def _refusal(interface: str, problem: OSError) -> BadRequest:
    if problem.errno in (errno.ENODEV, errno.ENXIO):
        return BadRequest(f"There is no CAN interface '{interface}'")
    if problem.errno == errno.ENETDOWN:
        return BadRequest(f"CAN interface '{interface}' is down")
    if problem.errno == errno.EAFNOSUPPORT:
        return BadRequest(f"CAN interface '{interface}' can't be used: there is no CAN support")
    return BadRequest(f"CAN interface '{interface}' can't be used: {problem.strerror or problem}")
