"""What systemd hears, on a real datagram socket that never blocks."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from txraker.system.notify import ServiceManager

Heard = Callable[[], list[str]]


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Say where systemd listens."""
    return str(tmp_path / "notify")


@pytest.fixture
def heard(address: str) -> Iterator[Heard]:
    """Listen as systemd does; return what takes all that came."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)

        def take() -> list[str]:
            messages = []
            while True:
                try:
                    messages.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return messages

        yield take


def test_ready_and_stopping(address: str, heard: Heard) -> None:
    """Systemd hears that we are up, with a status, and that we are going."""
    manager = ServiceManager.of(Clock(), {"NOTIFY_SOCKET": address})
    assert heard() == []
    manager.ready("Listening on 7125")
    assert heard() == ["READY=1\nSTATUS=Listening on 7125"]
    manager.stopping()
    assert heard() == ["STOPPING=1"]


def test_watchdog(address: str, heard: Heard) -> None:
    """A watchdog is fed twice in its period, from when we are up until we are going."""
    clock = Clock()
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager.of(clock, environment)
    clock.advance(60)
    assert heard() == []
    manager.ready("up")
    assert "WATCHDOG=1" in heard()[-1]
    for _ in range(3):
        clock.advance(5)
        assert heard() == ["WATCHDOG=1"]
    manager.stopping()
    heard()
    clock.advance(60)
    assert heard() == []
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "environment",
    [
        {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "²"},
        {},
    ],
)
def test_no_watchdog(address: str, heard: Heard, environment: dict[str, str]) -> None:
    """A watchdog that is for somebody else, or no number, is not fed."""
    clock = Clock()
    manager = ServiceManager.of(clock, environment | {"NOTIFY_SOCKET": address})
    manager.ready("up")
    clock.advance(60)
    assert heard() == ["READY=1\nSTATUS=up"]


def test_watchdog_without_a_pid(address: str, heard: Heard) -> None:
    """A watchdog that is for anybody is for us."""
    manager = ServiceManager.of(Clock(), {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"})
    manager.ready("up")
    assert heard()[1:] == ["WATCHDOG=1"]
    manager.stopping()


def test_abstract_address() -> None:
    """An address in the abstract namespace is understood."""
    name = f"txraker-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.setblocking(False)
        ServiceManager.of(Clock(), {"NOTIFY_SOCKET": "@" + name}).stopping()
        assert listener.recv(100) == b"STOPPING=1"


def test_without_systemd() -> None:
    """Without systemd nothing is sent and no timer runs."""
    clock = Clock()
    manager = ServiceManager.of(clock, {"WATCHDOG_USEC": "10000000"})
    manager.ready("up")
    assert clock.getDelayedCalls() == []
    manager.stopping()


def test_systemd_that_does_not_listen(tmp_path: Path) -> None:
    """A socket that is not there, or that nobody reads, is no reason to fail."""
    ServiceManager.of(Clock(), {"NOTIFY_SOCKET": str(tmp_path / "nowhere")}).ready("up")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        manager = ServiceManager.of(Clock(), {"NOTIFY_SOCKET": str(tmp_path / "full")})
        for _ in range(10_000):
            manager.stopping()
