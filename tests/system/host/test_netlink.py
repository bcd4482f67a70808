"""Netlink dumps: recorded from a kernel, made by hand, and broken."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from txraker.system.host.netlink import GET_ADDRESSES, GET_LINKS, Link, addresses, dump, links

RECORDED = Path(__file__).parents[2] / "data/netlink"
"""What a kernel told of a namespace with a loopback, a tunnel and a pair of Ethernet devices."""

DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


def recorded(name: str) -> bytes:
    """Return a dump that was recorded."""
    return (RECORDED / f"{name}.bin").read_bytes()


def attribute(kind: int, data: bytes) -> bytes:
    """Make an attribute, padded."""
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def link(index: int, name: str, *attributes: bytes, flags: int = 0) -> bytes:
    """Make the message that tells of an interface."""
    body = struct.pack("=BxHiII", 0, 280, index, flags, 0)
    body += attribute(3, name.encode() + b"\0") + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 16, 2, 1, 0) + body


def can(index: int, name: str, bitrate: int) -> bytes:
    """Make the message that tells of a CAN bus: the kernel marks attributes that hold others."""
    timing = attribute(1, struct.pack("=8I", bitrate, 875, 125, 6, 7, 2, 1, 1))
    return link(index, name, attribute(18 | 0x8000, attribute(1, b"can\0") + attribute(2 | 0x8000, timing)))


def test_links() -> None:
    """Interfaces have their names, numbers and hardware addresses; a tunnel has no hardware."""
    assert links(recorded("links")) == [
        Link(1, "lo", True, "00:00:00:00:00:00", None),
        Link(2, "tun0", False, "", None),
        Link(3, "unused0", False, "06:5d:4d:9c:45:3b", None),
        Link(4, "eth0", False, "02:00:5e:10:00:01", None),
    ]


def test_addresses() -> None:
    """Addresses are those of this end, also where an interface leads to one other machine."""
    assert [(found.link, str(found.address)) for found in addresses(recorded("addresses"))] == [
        (1, "127.0.0.1"),
        (2, "10.9.0.1"),
        (4, "192.0.2.7"),
        (4, "169.254.3.4"),
        (1, "::1"),
        (4, "2001:db8::7"),
        (4, "fe80::5eff:fe10:1"),
    ]


def test_each_reads_its_own() -> None:
    """Messages of another kind are left aside."""
    assert links(recorded("addresses")) == []
    assert addresses(recorded("links")) == []


def test_bitrate() -> None:
    """A CAN bus that is configured has a bit rate, one that isn't, or is virtual, has none."""
    virtual = link(7, "vcan0", attribute(18, attribute(1, b"vcan\0")))
    found = links(can(5, "can0", 1_000_000) + link(6, "can1") + virtual + DONE)
    assert [(each.name, each.bitrate) for each in found] == [
        ("can0", 1_000_000),
        ("can1", None),
        ("vcan0", None),
    ]


def test_infiniband() -> None:
    """A hardware address that is no MAC address is none."""
    assert links(link(2, "ib0", attribute(1, bytes(20))))[0].mac == ""


def told(name: str, data: bytes) -> list[str]:
    """Return what a dump of this name tells, in short."""
    if name == "links":
        return [found.name for found in links(data)]
    return [str(found.address) for found in addresses(data)]


@pytest.mark.parametrize("name", ["links", "addresses"])
def test_cut_off(name: str) -> None:
    """Wherever a dump is cut off, what came before is told, and nothing is made up."""
    whole = recorded(name)
    everything = told(name, whole)
    lengths = set()
    for size in range(len(whole)):
        found = told(name, whole[:size])
        assert found == everything[: len(found)]
        lengths.add(len(found))
    assert lengths == set(range(len(everything) + 1))


@given(st.binary(max_size=200), st.integers(0, 6000), st.integers(0, 255))
def test_noise(noise: bytes, place: int, byte: int) -> None:
    """Neither noise nor a flipped byte is an error."""
    links(noise)
    addresses(noise)
    for name in ("links", "addresses"):
        data = bytearray(recorded(name))
        data[place % len(data)] = byte
        links(bytes(data))
        addresses(bytes(data))


@define(eq=False)
class FakeKernel:
    """A netlink socket that answers with prepared pieces."""

    pieces: list[bytes]
    sent: list[bytes] = field(factory=list)
    closed: bool = False
    time_limit: float | None = None

    def __call__(self, family: int, kind: int, protocol: int) -> FakeKernel:
        assert (family, protocol) == (socket.AF_NETLINK, socket.NETLINK_ROUTE)
        assert kind & socket.SOCK_CLOEXEC
        return self

    def __enter__(self) -> FakeKernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def settimeout(self, seconds: float) -> None:
        """Note the limit."""
        self.time_limit = seconds

    def bind(self, address: tuple[int, int]) -> None:
        """Let the kernel choose."""
        assert address == (0, 0)

    def send(self, request: bytes) -> None:
        """Note what is asked."""
        self.sent.append(request)

    def recv(self, _size: int) -> bytes:
        """Answer, or take too long."""
        if not self.pieces:
            raise TimeoutError("timed out")
        return self.pieces.pop(0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    """Put a kernel in the place of the real one, which must be left alone afterwards."""
    fake = FakeKernel([])
    monkeypatch.setattr(socket, "socket", fake)
    yield fake
    assert fake.closed
    assert fake.time_limit is not None


def test_dump(kernel: FakeKernel) -> None:
    """A dump is asked for once and read to its end, in however many pieces it comes."""
    kernel.pieces = [can(5, "can0", 250_000), can(6, "can1", 500_000) + DONE, b"of something else"]
    assert [found.bitrate for found in links(dump(GET_LINKS))] == [250_000, 500_000]
    assert kernel.sent == [struct.pack("=IHHII", 32, 18, 0x301, 1, 0) + bytes(16)]
    assert kernel.pieces == [b"of something else"]


def test_dump_of_addresses(kernel: FakeKernel) -> None:
    """Addresses are asked for with a header of their own size."""
    kernel.pieces = [recorded("addresses")]
    assert dump(GET_ADDRESSES) == recorded("addresses")
    assert kernel.sent == [struct.pack("=IHHII", 24, 22, 0x301, 1, 0) + bytes(8)]


def test_refused(kernel: FakeKernel) -> None:
    """What the kernel refuses is an error with its reason."""
    kernel.pieces = [struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + bytes(16)]
    with pytest.raises(PermissionError, match="not permitted"):
        dump(GET_LINKS)


def test_no_answer(kernel: FakeKernel) -> None:
    """A kernel that doesn't answer, or not to the end, is waited for no longer than a time limit."""
    kernel.pieces = [can(5, "can0", 250_000)]
    with pytest.raises(TimeoutError):
        dump(GET_LINKS)


def test_end_of_file(kernel: FakeKernel) -> None:
    """An empty answer ends a dump."""
    kernel.pieces = [can(5, "can0", 250_000), b""]
    assert len(links(dump(GET_LINKS))) == 1
