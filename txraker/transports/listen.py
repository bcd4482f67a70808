"""Where a site listens: ``host``, ``port`` and ``ssl_port`` of ``[server]``."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Port
from twisted.logger import Logger

from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.options import ServerOptions
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings

if TYPE_CHECKING:
    from txraker.transports.certificate import Credentials

EVERY_INTERFACE = "all"
"""The host that stands for every IPv4 and IPv6 address."""

FIRST_UNPRIVILEGED_PORT = 1024

_BACKLOG = 128
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@define(eq=False, repr=False)
class Entrance:
    """The TCP ports of a server, each with what answers there.

    That the ``optional`` one can't be opened is a warning; with any other it is an error.
    """

    _reactor: IReactorTCP
    host: str
    _factories: Mapping[int, ServerFactory[Any]]
    _optional: int | None
    _warnings: ServerWarnings
    _log: Logger
    _ports: dict[int, IListeningPort] = field(factory=dict, init=False)

    @property
    def is_privileged(self) -> bool:
        """Whether only root may open one of its ports."""
        return any(number < FIRST_UNPRIVILEGED_PORT for number in self._factories)

    def listen(self) -> None:
        """Answer from now on. Raises CannotListenError."""
        self._open(set(self._factories) - set(self._ports))

    async def listen_beside(self, predecessor: Entrance) -> None:
        """Open already what can't be taken over from a predecessor that is to be replaced.

        On another host's address of the same port it must be now or never. Raises CannotListenError, and
        then the predecessor answers as before.
        """
        shared = set(self._factories) & set(predecessor._ports)
        is_heir = self.host == predecessor.host
        if not is_heir:
            await predecessor._close(shared)
        try:
            self._open(set(self._factories) - (shared if is_heir else set()))
        except CannotListenError:
            await self.close()
            predecessor.listen()
            raise

    def take_over(self, predecessor: Entrance) -> None:
        """Answer from now on where a predecessor did, without a moment in which nobody does."""
        if self.host != predecessor.host:
            return
        for number in set(self._factories) & set(predecessor._ports):
            port = cast("Port", predecessor._ports.pop(number))
            before, port.factory = port.factory, self._factories[number]
            port.factory.doStart()
            if before is not None:
                before.doStop()
            self._ports[number] = port

    def hold(self) -> None:
        """Let new connections wait, which the kernel has taken already."""
        for port in self._ports.values():
            cast("Port", port).stopReading()

    def let_in(self) -> None:
        """Take the connections that wait, and those to come."""
        for port in self._ports.values():
            cast("Port", port).startReading()

    async def close(self) -> None:
        """Take no new connections."""
        await self._close(set(self._ports))

    def _open(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            try:
                self._ports[number] = listen(self._reactor, self.host, number, self._factories[number])
            except CannotListenError as problem:
                if number != self._optional:
                    raise
                self._warnings.put("tls port", f"There is no HTTPS: {problem}")
            else:
                self._log.info("Listening on {host}, port {port}", host=self.host, port=number)

    async def _close(self, numbers: set[int]) -> None:
        for number in numbers:
            await maybeDeferred(self._ports.pop(number).stopListening)


def find_credentials(
    options: ServerOptions, configuration: Configuration, clock: IReactorTime, warnings: ServerWarnings
) -> Credentials | None:
    """Return what HTTPS is served with, None where there is to be none.

    Raises ConfigError when there is no HTTPS where nothing else is served, or where something else is.
    """
    files = _certificate_files(options, configuration.data_path)
    if files is None:
        return None
    if options.enable_http and options.ssl_port == options.port:
        raise _server_error(configuration, "must differ from 'port'", "ssl_port", str(options.ssl_port))
    try:
        # Only who serves HTTPS needs the libraries for it, and their memory.
        from txraker.transports.certificate import CertificateFiles, Credentials  # noqa: PLC0415
    except ImportError as missing:
        problem = f"{missing.name} isn't installed: install txraker[tls]"
        if not options.enable_http:
            rule = f"can't be, because there would be no HTTPS either: {problem}"
            raise _server_error(configuration, rule, "enable_http", "False") from None
        warnings.put("tls", f"There is no HTTPS: {problem}")
        return None
    credentials = Credentials(CertificateFiles(*files), clock, warnings)
    credentials.refresh()
    if not (credentials.is_usable or options.enable_http):
        rule = f"can't be, because there would be no HTTPS either: {credentials.problem}"
        raise _server_error(configuration, rule, "enable_http", "False")
    return credentials


def entrance(
    reactor: Reactor,
    options: ServerOptions,
    credentials: Credentials | None,
    site: ServerFactory[Any],
    warnings: ServerWarnings,
    log: Logger,
) -> Entrance:
    """Return the ports that are configured for a site."""
    factories: dict[int, ServerFactory[Any]] = {options.port: site} if options.enable_http else {}
    if credentials is not None:
        from txraker.transports.tls import TlsFactory  # noqa: PLC0415  # as above

        factories[options.ssl_port] = TlsFactory(credentials, site, reactor)  # type: ignore[assignment]  # it serves
    optional = options.ssl_port if options.enable_http else None
    return Entrance(reactor, options.host, factories, optional, warnings, log)


def _certificate_files(options: ServerOptions, data_path: Path) -> tuple[Path, Path] | None:
    """Return where certificate and key are to be; None when nothing says that there are any."""
    certificate, key = options.ssl_certificate_path, options.ssl_key_path
    folder = data_path / "certs"
    files = (
        data_path / os.path.expanduser(certificate or folder / "moonraker.cert"),
        data_path / os.path.expanduser(key or folder / "moonraker.key"),
    )
    is_expected = certificate or key or not options.enable_http or any(map(os.path.lexists, files))
    return files if is_expected else None


def _server_error(configuration: Configuration, rule: str, option: str, value: str) -> ConfigError:
    return ConfigError(rule, file=str(configuration.path), section="server", option=option, value=value)


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
