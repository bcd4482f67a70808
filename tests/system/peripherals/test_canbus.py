"""Nodes without an id on a CAN bus in memory."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.system.peripherals.can import Wires, failure, frame
from tests.tools import Outcome, result_of, start
from txraker.errors import BadRequest
from txraker.system.peripherals.canbus import (
    LISTENING_SECONDS,
    MOST_NODES,
    CanUuid,
    open_can_socket,
)

KLIPPER = frame("20 11aabbccddee 01")
KATAPULT = frame("20 0a0b0c0d0e0f 11")


@pytest.fixture
def wires() -> Wires:
    """Make a bus."""
    return Wires()


def ask(wires: Wires, interface: str = "can0") -> Outcome[list[CanUuid]]:
    """Begin to ask."""
    return start(wires.bus.unassigned(interface))


def uuids(outcome: Outcome[list[CanUuid]]) -> list[str]:
    """Return the nodes of an answer."""
    return [node.uuid for node in outcome.result()]


def test_query(wires: Wires) -> None:
    """One frame is sent, answers are waited for, and then nothing is left."""
    asked = ask(wires)
    assert wires.opened["can0"][0].sent == [bytes.fromhex("f0030000 01 000000 0000000000000000")]
    assert [verifyObject(IReadDescriptor, reader) for reader in wires.readers()] == [True]
    wires.come(KLIPPER)
    wires.reactor.advance(LISTENING_SECONDS * 0.9)
    wires.come(KATAPULT)
    assert not asked.done
    wires.reactor.advance(LISTENING_SECONDS * 0.1)
    assert asked.result() == [CanUuid("11aabbccddee", "Klipper"), CanUuid("0a0b0c0d0e0f", "Katapult")]
    assert wires.is_quiet()


def test_nobody_answers(wires: Wires) -> None:
    """A bus without such nodes has none."""
    asked = ask(wires)
    wires.reactor.advance(LISTENING_SECONDS)
    assert asked.result() == []
    assert wires.is_quiet()


@pytest.mark.parametrize(
    "came",
    [
        frame("20 010203040506"),
        frame("20 010203040506 01", length=7),
        frame("20 010203040506 00"),
        frame("20 010203040506 77"),
    ],
)
def test_unknown_application(wires: Wires, came: bytes) -> None:
    """A node that doesn't say what it runs, or says something new, is there with an unknown application."""
    asked = ask(wires)
    wires.come(came)
    wires.reactor.advance(LISTENING_SECONDS)
    assert asked.result() == [CanUuid("010203040506", "Unknown")]


@pytest.mark.parametrize(
    "odd",
    [
        frame("20 010203040506 01", number=0x3F0),
        frame("20 010203040506 01", number=0x3F1 | 0x80000000),
        frame("20 010203040506 01", number=0x3F1 | 0x40000000),
        frame("20 010203040506 01", number=0x3F1 | 0x20000000),
        frame("21 010203040506 01"),
        frame("20 0102030405"),
        frame("20 010203040506 01", length=0),
        frame(""),
        KLIPPER[:15],
        b"",
    ],
)
def test_other_frames(wires: Wires, odd: bytes) -> None:
    """Frames that are no such answer, or are cut short, are passed over."""
    asked = ask(wires)
    wires.come(odd, KATAPULT)
    wires.reactor.advance(LISTENING_SECONDS)
    assert uuids(asked) == ["0a0b0c0d0e0f"]


def test_node_that_repeats_itself(wires: Wires) -> None:
    """A node that answers twice is there once."""
    asked = ask(wires)
    wires.come(KLIPPER, KATAPULT, KLIPPER)
    wires.reactor.advance(LISTENING_SECONDS)
    assert uuids(asked) == ["11aabbccddee", "0a0b0c0d0e0f"]


def test_babbling_bus(wires: Wires) -> None:
    """A flood of answers neither holds up the reactor nor grows without bounds."""
    asked = ask(wires)
    flood = [frame(f"20 {number:012x} 01") for number in range(3 * MOST_NODES)]
    wires.come(*flood)
    assert len(wires.opened["can0"][0].waiting) > len(flood) / 2
    while wires.opened["can0"][0].waiting:
        wires.come()
    wires.reactor.advance(LISTENING_SECONDS)
    assert uuids(asked) == [f"{number:012x}" for number in range(MOST_NODES)]


def test_several_ask(wires: Wires) -> None:
    """Those who ask on an interface at the same time share one query; the next gets one of its own."""
    first = ask(wires)
    wires.come(KLIPPER)
    wires.reactor.advance(LISTENING_SECONDS / 2)
    second = ask(wires)
    wires.reactor.advance(LISTENING_SECONDS / 2)
    assert uuids(first) == uuids(second) == ["11aabbccddee"]
    third = ask(wires)
    wires.reactor.advance(LISTENING_SECONDS)
    assert uuids(third) == []
    assert [len(opened.sent) for opened in wires.opened["can0"]] == [1, 1]


def test_several_interfaces(wires: Wires) -> None:
    """Interfaces are asked independently of each other."""
    first, second = ask(wires, "can0"), ask(wires, "can1")
    wires.come(KATAPULT, interface="can1")
    wires.reactor.advance(LISTENING_SECONDS)
    assert (uuids(first), uuids(second)) == ([], ["0a0b0c0d0e0f"])


def test_client_that_goes(wires: Wires) -> None:
    """Somebody who doesn't wait for the answer takes it from nobody else."""
    first, second = ask(wires), ask(wires)
    first.deferred.cancel()
    wires.come(KLIPPER)
    wires.reactor.advance(LISTENING_SECONDS)
    assert isinstance(first.error, CancelledError)
    assert uuids(second) == ["11aabbccddee"]
    assert wires.is_quiet()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENODEV, "There is no CAN interface 'can7'"),
        (errno.ENETDOWN, "CAN interface 'can7' is down"),
        (errno.EAFNOSUPPORT, "CAN interface 'can7' can't be used: there is no CAN support"),
        (errno.ENOBUFS, "CAN interface 'can7' can't be used: No buffer space available"),
    ],
)
@pytest.mark.parametrize("when", ["cannot_open", "cannot_send"])
def test_refusals(wires: Wires, when: str, number: int, said: str) -> None:
    """An interface that can't be used is the client's to know, by name; later it may work."""
    setattr(wires, when, failure(number))
    with pytest.raises(BadRequest, match=f"^{said}$"):
        result_of(wires.bus.unassigned("can7"))
    assert wires.is_quiet()
    setattr(wires, when, None)
    assert not ask(wires, "can7").done


def test_error_without_a_number(wires: Wires) -> None:
    """An error of Python's own is told as it is."""
    wires.cannot_open = OSError("interface name too long")
    with pytest.raises(BadRequest, match="'can0' can't be used: interface name too long"):
        result_of(wires.bus.unassigned("can0"))


def test_interface_goes_down(wires: Wires) -> None:
    """All who wait hear that the interface went down, at once, and nothing is left."""
    first, second = ask(wires), ask(wires)
    wires.come(KLIPPER, failure(errno.ENETDOWN))
    assert [str(asked.error) for asked in (first, second)] == ["CAN interface 'can0' is down"] * 2
    assert wires.is_quiet()


def test_reactor_sees_an_error(wires: Wires) -> None:
    """The same when it is the reactor that sees it first."""
    asked = ask(wires)
    (reader,) = wires.readers()
    wires.reactor.removeReader(reader)
    reader.connectionLost(Failure(ConnectionLost()))
    assert isinstance(asked.error, BadRequest)
    assert wires.is_quiet()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR])
def test_read_in_vain(wires: Wires, number: int) -> None:
    """Being woken up for nothing is no error."""
    asked = ask(wires)
    wires.come(failure(number))
    wires.come(KLIPPER)
    wires.reactor.advance(LISTENING_SECONDS)
    assert uuids(asked) == ["11aabbccddee"]


@pytest.mark.parametrize(
    "name", ["", "a" * 16, "../can0", "can0/x", "can 0", "can0\n", "c:n0", "can\0", "cän0", "can\udcff"]
)
def test_no_name(wires: Wires, name: str) -> None:
    """What can't be the name of an interface is refused before anything is opened."""
    with pytest.raises(BadRequest):
        result_of(wires.bus.unassigned(name))
    assert wires.opened == {}


@pytest.mark.parametrize("name", ["can0", "a" * 15, "slcan-0.1_x", "vcan0@if2"])
def test_names(wires: Wires, name: str) -> None:
    """What can be a name is asked for."""
    ask(wires, name)
    assert list(wires.opened) == [name]


@define(eq=False)
class Kernel:
    """Stands for the socket class and keeps what is done with the socket."""

    done: list[object] = field(factory=list)
    refuses: OSError | None = None

    def __call__(self, *kind: int) -> Kernel:
        """Make a socket."""
        self.done.append(kind)
        return self

    def setsockopt(self, *option: object) -> None:
        """Set an option."""
        self.done.append(option)

    def bind(self, address: object) -> None:
        """Bind it, or refuse."""
        self.done.append(address)
        if self.refuses is not None:
            raise self.refuses

    def close(self) -> None:
        """Close it."""
        self.done.append("closed")


RAW = (29, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 1)
FILTER = (101, 1, struct.pack("<II", 0x3F1, 0xC00007FF))


def test_real_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket never blocks, hears just the nodes' messages, and is on the interface."""
    kernel = Kernel()
    monkeypatch.setattr(socket, "socket", kernel)
    assert open_can_socket("can0") is kernel  # type: ignore[comparison-overlap]  # it stands for a socket
    assert kernel.done == [RAW, FILTER, ("can0",)]


def test_real_socket_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that can't be bound is closed."""
    kernel = Kernel(refuses=failure(errno.ENODEV))
    monkeypatch.setattr(socket, "socket", kernel)
    with pytest.raises(OSError, match="No such device"):
        open_can_socket("nix")
    assert kernel.done[-1] == "closed"
