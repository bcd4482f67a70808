"""Where a site listens: ``host`` and ``port`` of ``[server]``."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP
from twisted.internet.protocol import ServerFactory

EVERY_INTERFACE = "all"
"""The host that stands for every IPv4 and IPv6 address."""

_BACKLOG = 128
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


def listen(reactor: IReactorTCP, host: str, port: int, factory: ServerFactory[Any]) -> IListeningPort:
    """Listen on a host's address. Raises CannotListenError."""
    if host == EVERY_INTERFACE:
        try:
            return reactor.listenTCP(port, factory, _BACKLOG, "::")
        except CannotListenError as problem:
            if getattr(problem.socketError, "errno", None) not in _NO_IPV6:
                raise
            return reactor.listenTCP(port, factory, _BACKLOG, "0.0.0.0")
    return reactor.listenTCP(port, factory, _BACKLOG, _address_of(host, port))


def _address_of(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as problem:
        raise CannotListenError(host, port, problem) from None
    return str(found[0][4][0])
