"""``server.info``, ``server.config`` and ``server.restart``.

Contract: the server administration document, field by field.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from attrs import define, field

from txraker import __version__
from txraker.api.caller import Caller, Role
from txraker.api.endpoint import GET, POST, endpoint
from txraker.clients import Clients
from txraker.config.configuration import Configuration, ServerConfig
from txraker.files.places import Roots
from txraker.interfaces import IKlippy
from txraker.klippy.session import KlippyState
from txraker.server_warnings import ServerWarnings

API_VERSION = (1, 5, 0)
"""The version of Moonraker's API that we speak."""

MOONRAKER_VERSION = "0.11.0"
"""The Moonraker whose behaviour we have; clients refuse versions they find too old."""

_REQUIREMENTS = ("virtual_sdcard", "display_status", "pause_resume")
"""The printer objects that front-ends can't do without."""


_API_VERSION_STRING = ".".join(map(str, API_VERSION))


class ServerInfo(msgspec.Struct, frozen=True):
    """What this server is and how it is doing.

    ``server_name`` and ``server_version`` are our own; ``moonraker_version`` is the Moonraker we stand for.
    """

    klippy_connected: bool
    klippy_state: KlippyState
    components: list[str]
    failed_components: list[str]
    registered_directories: list[str]
    warnings: list[str]
    websocket_count: int
    moonraker_version: str
    missing_klippy_requirements: list[str]
    api_version: tuple[int, int, int]
    api_version_string: str
    server_name: str
    server_version: str


@define(eq=False, repr=False)
class ServerEndpoints:
    """Answers for the server as a whole.

    ``components`` and ``failed`` are the names of those that work and of those that don't; ``restart``
    replaces this server by one with the configuration of now, or raises and changes nothing.
    """

    _klippy: IKlippy
    _clients: Clients
    _configuration: Configuration
    _warnings: ServerWarnings
    _restart: Callable[[], Awaitable[None]]
    _components: Sequence[str] = field(factory=list)
    _failed: Sequence[str] = field(factory=list)
    _roots: Roots = field(factory=Roots)

    @endpoint("server.info", GET, "/server/info")
    async def info(self, caller: Caller) -> ServerInfo:
        """Return the state of this server and of its connection to Klippy."""
        loaded = self._klippy.objects
        return ServerInfo(
            klippy_connected=self._klippy.connected,
            klippy_state=self._klippy.state,
            components=list(self._components),
            failed_components=list(self._failed),
            registered_directories=self._roots.names(),
            warnings=self._warnings.texts(),
            websocket_count=self._clients.websocket_count,
            moonraker_version=MOONRAKER_VERSION,
            missing_klippy_requirements=[name for name in _REQUIREMENTS if loaded and name not in loaded],
            api_version=API_VERSION,
            api_version_string=_API_VERSION_STRING,
            server_name="txraker",
            server_version=__version__,
        )

    @endpoint("server.config", GET, "/server/config")
    async def config(self, caller: Caller) -> ServerConfig:
        """Return the configuration: as used, as written, and from which files. Secrets are masked."""
        return self._configuration.report()

    @endpoint("server.restart", POST, "/server/restart", role=Role.ADMIN)
    async def restart(self, caller: Caller) -> str:
        """Restart this printer's server with its configuration as it is now.

        The answer is `"ok"` before connections are closed. A configuration that can't be used is refused
        with the reason, and nothing happens.
        """
        await self._restart()
        return "ok"
