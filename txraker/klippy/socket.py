"""Where Klippy's socket is, and a connection attempt that lasts until it succeeds."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from txraker.server_warnings import ServerWarnings

DEFAULT_SOCKET = Path("/tmp/klippy_uds")
"""Where Klippy listens unless told otherwise. Contract: ``klippy_uds_address`` of ``[server]``."""

ATTEMPT_INTERVAL = 0.25
"""Seconds between two attempts to connect; one costs about as much as a clock tick."""

_SOCKET_WARNING = "klippy socket"


def socket_finder(configured: Path | None, data_path: Path) -> Callable[[], Path]:
    """Return what tells, at each attempt anew, which socket to try.

    A configured address is final; without one, ``comms/klippy.sock`` in the data path is preferred to the
    default whenever it exists.
    """
    if configured is not None:
        return lambda: configured
    beside_us = data_path / "comms" / "klippy.sock"
    return lambda: beside_us if beside_us.exists() else DEFAULT_SOCKET


@implementer(IStreamClientEndpoint)
@frozen(repr=False)
class OneTryUnixEndpoint:
    """Connects to Klippy's socket, or fails with the reason."""

    _reactor: IReactorTime
    _find: Callable[[], Path]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = UNIXClientEndpoint(self._reactor, str(self._find())).connect(
            protocolFactory
        )
        return connecting


@implementer(IStreamClientEndpoint)
@define(eq=False, repr=False)
class PatientUnixEndpoint:
    """Connects to a unix socket as soon as that is possible.

    While it isn't, the reason is logged once, and again only when it changes. A socket that we may not use
    is a warning for as long as that is so; one that isn't there is just a Klippy that isn't running.
    """

    _reactor: IReactorTime
    _find: Callable[[], Path]
    _log: Logger
    _warnings: ServerWarnings
    _said: str = field(default="", init=False)

    def __str__(self) -> str:
        return f"Klippy at {self._find()}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        while True:
            path: Path | str = "its socket"
            try:
                path = self._find()
                protocol: IProtocol = await UNIXClientEndpoint(self._reactor, str(path)).connect(factory)
            except (ConnectError, OSError) as problem:
                self._say(path, problem)
                await deferLater(self._reactor, ATTEMPT_INTERVAL)
            else:
                self._said = ""
                self._warnings.drop(_SOCKET_WARNING)
                return protocol

    def _say(self, path: Path | str, problem: Exception) -> None:
        reason = str(problem)
        if reason == self._said:
            return
        self._said = reason
        text = f"Klippy can't be reached at {path}: {reason}"
        if errno.EACCES in (getattr(problem, "osError", None), getattr(problem, "errno", None)):
            self._warnings.put(_SOCKET_WARNING, text)
        else:
            self._warnings.drop(_SOCKET_WARNING)
            self._log.info("{text}", text=text)
