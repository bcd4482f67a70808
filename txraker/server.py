"""One printer's server as it runs: its start, its end, and how another one takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from attrs import define, field
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater

from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import Endpoint
from txraker.clients import Clients
from txraker.components.file_manager.assembly import Files
from txraker.components.logs import Logs
from txraker.config.options import LogOptions, ServerOptions
from txraker.faults import FaultReport
from txraker.klippy.client import KlippyClient
from txraker.loader import ComponentLoader
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.transports.listen import Entrance
from txraker.transports.unix import LocalPort, UnixClients
from txraker.transports.web.assembly import Web
from txraker.transports.websocket import GOING_AWAY

FAREWELL = 1.0
"""Seconds for which clients may take leave before their connections are cut."""


class LocalSocket(NamedTuple):
    """The unix socket for programs on this machine: where, with which mode, for which protocols."""

    path: Path
    mode: int
    clients: UnixClients


@define(eq=False, repr=False)
class Server:
    """One printer's server: it is built by ``assembly``, and can be started and stopped once."""

    _reactor: Reactor
    _options: ServerOptions
    _klippy: KlippyClient
    _clients: Clients
    _components: ComponentLoader
    _logs: Logs
    _files: Files
    _web: Web
    entrance: Entrance
    _local: LocalSocket
    warnings: ServerWarnings
    _report_fault: FaultReport
    _dispatcher: Dispatcher
    log_options: LogOptions
    login_timeout: int
    _local_port: LocalPort | None = field(default=None, init=False)

    @property
    def klippy_version(self) -> str | None:
        """The version of the Klippy that was connected last."""
        return self._klippy.host.software_version if self._klippy.host is not None else None

    @property
    def wants_debug(self) -> bool:
        """Whether its configuration asks for more detail in the log."""
        return self._options.enable_debug_logging

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers, apart from what Klippy adds."""
        return self._dispatcher.endpoints()

    def take_over(self, predecessor: Server) -> None:
        """Answer from now on where another server did, without a moment in which nobody does.

        The cache answers no queries until the predecessor, whose commands aren't known here, has stopped.
        """
        self._klippy.freshness.hold()
        self.entrance.take_over(predecessor.entrance)
        local_port = predecessor._local_port
        if local_port is not None and local_port.is_reachable:
            local_port.hand_over(self._local.clients, self._local.mode)
            self._local_port, predecessor._local_port = local_port, None

    def predecessor_has_stopped(self) -> None:
        """Trust the cache again, from the next sign of Klippy's on."""
        self._klippy.freshness.release()

    def start(self) -> None:
        """Let components begin, connect to Klippy whenever it is there, and let local programs connect."""
        self._components.start()
        self._klippy.service.startService()
        self._files.start()
        if self._local_port is not None:
            return
        try:
            self._local_port = LocalPort.open(self._reactor, *self._local)
        except CannotListenError as problem:
            text = f"Programs on this machine can't connect to {self._local.path}: {problem.socketError}"
            self.warnings.put("unix socket", text)

    async def stop_listening(self) -> None:
        """Take no new connections."""
        await self.entrance.close()
        port, self._local_port = self._local_port, None
        if port is not None:
            await port.close()

    async def stop(self) -> None:
        """Take leave of clients and of Klippy, and let go of everything."""
        await self.stop_listening()
        self._web.site.finish_connections()
        await self._dismiss_clients()
        self._web.site.cut_connections()
        await self._web.upload.finished()
        await self._logs.finished()
        await self._files.stop()
        await self._klippy.stop()
        for component in self._components.loaded:
            try:
                stopped = component.stop()
                if stopped is not None:
                    await stopped
            except Exception as fault:
                self._report_fault(f"stopping {component.name}", fault)

    def _is_busy(self) -> bool:
        return bool(len(self._clients) or self._clients.bridges or self._web.site.channels)

    async def _dismiss_clients(self) -> None:
        for leaving in (*self._clients, *self._clients.bridges):
            leaving.close(GOING_AWAY, "Server Shutdown")
        deadline = self._reactor.seconds() + FAREWELL
        while self._is_busy() and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, 0.02)
        for client in self._clients:
            client.cut()
        for bridge in list(self._clients.bridges):
            bridge.abort()
