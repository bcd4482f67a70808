"""What systemd wants to hear from a service of ``Type=notify``: that it is up, alive, or going.

Contract: sd_notify(3) and sd_watchdog_enabled(3). Without systemd nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


@define(eq=False, repr=False)
class ServiceManager:
    """Speaks to the service manager named in an environment, if there is one."""

    _clock: IReactorTime
    _address: str = ""
    _watchdog_seconds: float = 0.0
    _watchdog: LoopingCall | None = field(default=None, init=False)

    @classmethod
    def of(cls, clock: IReactorTime, environment: Mapping[str, str]) -> ServiceManager:
        """Return the manager that started this process, if any: see ``$NOTIFY_SOCKET``."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(microseconds) / 1e6 if microseconds.isdecimal() and for_us else 0.0
        return cls(clock, environment.get("NOTIFY_SOCKET", ""), seconds)

    def ready(self, status: str) -> None:
        """Say that requests are answered from now on, and keep the watchdog fed."""
        self._send(f"READY=1\nSTATUS={status}")
        if self._watchdog_seconds and self._address:
            self._watchdog = LoopingCall(self._send, "WATCHDOG=1")
            self._watchdog.clock = self._clock
            self._watchdog.start(self._watchdog_seconds / 2)

    def stopping(self) -> None:
        """Say that the end has begun."""
        if self._watchdog is not None and self._watchdog.running:
            self._watchdog.stop()
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(message.encode(), socket.MSG_DONTWAIT, address)
            except OSError:
                return
