"""A CAN bus in memory: sockets on interfaces, and a reactor that lets them be read."""

from __future__ import annotations

import errno
import os
import struct
from typing import cast

from attrs import define, field
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock

from txraker.reactor import Reactor
from txraker.system.peripherals.canbus import CanBus


def frame(data: str, number: int = 0x3F1, length: int | None = None) -> bytes:
    """Return a frame with data in hexadecimal."""
    content = bytes.fromhex(data)
    return struct.pack("<IBBBB8s", number, len(content) if length is None else length, 0, 0, 0, content)


def failure(number: int) -> OSError:
    """Return an error of the system's."""
    return OSError(number, os.strerror(number))


@define(eq=False)
class MemoryCanSocket:
    """A socket that has frames to read; what is sent is kept. Once it is closed it can't be used."""

    waiting: list[bytes | OSError] = field(factory=list)
    sent: list[bytes] = field(factory=list)
    refuses: OSError | None = None
    closed: bool = False

    def fileno(self) -> int:
        """Return a descriptor that nobody has."""
        return 1_000_000

    def send(self, data: bytes, /) -> int:
        """Keep a frame, or refuse."""
        assert not self.closed
        if self.refuses is not None:
            raise self.refuses
        self.sent.append(data)
        return len(data)

    def recv(self, size: int, /) -> bytes:
        """Return the next frame, or raise what came instead of one."""
        assert not self.closed
        if not self.waiting:
            raise failure(errno.EAGAIN)
        came = self.waiting.pop(0)
        if isinstance(came, OSError):
            raise came
        return came[:size]

    def close(self) -> None:
        """Close it, once."""
        assert not self.closed
        self.closed = True


@define(eq=False)
class Wires:
    """CAN interfaces, and what asks on them."""

    reactor: MemoryReactorClock = field(factory=MemoryReactorClock)
    opened: dict[str, list[MemoryCanSocket]] = field(factory=dict)
    cannot_open: OSError | None = None
    cannot_send: OSError | None = None
    bus: CanBus = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bus = CanBus(cast("Reactor", self.reactor), self.open)

    def open(self, interface: str) -> MemoryCanSocket:
        """Open a socket, or fail."""
        if self.cannot_open is not None:
            raise self.cannot_open
        opened = MemoryCanSocket(refuses=self.cannot_send)
        self.opened.setdefault(interface, []).append(opened)
        return opened

    def readers(self) -> list[IReadDescriptor]:
        """Return who wants to read."""
        return list(self.reactor.readers)

    def come(self, *frames: bytes | OSError, interface: str = "can0") -> None:
        """Let frames come in on an interface, and the reactor tell who listens."""
        self.opened[interface][-1].waiting += frames
        for reader in self.readers():
            reader.doRead()

    def is_quiet(self) -> bool:
        """Say whether nothing is left: no reader, no timer, no open socket."""
        sockets = [opened for some in self.opened.values() for opened in some]
        all_closed = all(opened.closed for opened in sockets)
        return all_closed and not self.reactor.readers and not self.reactor.getDelayedCalls()
