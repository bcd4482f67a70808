"""The URL space of one printer's server."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from txraker.transports.web.channel import LimitedSite
from txraker.transports.web.download import FOLDER, FileResource
from txraker.transports.web.frontend import Frontend
from txraker.transports.web.resources import ApiResource, Door, JsonRpcResource, Nothing
from txraker.transports.web.upload import PATH, UploadResource


def site(
    reactor: IReactorTime,
    door: Door,
    websocket: IResource,
    bridge: IResource,
    frontend: Frontend,
    route_prefix: str,
    upload: UploadResource,
    files: FileResource,
) -> LimitedSite:
    """Return what answers HTTP for one printer.

    ========================  =====================================================
    ``/websocket``            the upgrade to JSON-RPC over a websocket
    ``/klippysocket``         the upgrade to a bridge to Klippy's own API
    ``/server/jsonrpc``       JSON-RPC in a POST
    ``/server/files/upload``  files that are sent to us, as they come
    ``/server/files/ROOT/``   files, by ``GET`` and ``DELETE``
    ``/`` and what it needs   by GET: the front-end's files, or a welcome page
    everything else           the API's own paths, Klippy's among them
    ========================  =====================================================

    All of it is below ``route_prefix`` when there is one.
    """
    prefix = f"/{route_prefix}" if route_prefix else ""
    named: dict[bytes, IResource] = {
        b"/websocket": websocket,
        b"/klippysocket": bridge,
        b"/server/jsonrpc": JsonRpcResource(door),
        PATH.encode(): upload,
    }
    root = _Root(prefix.encode(), named, files, frontend, ApiResource(door, prefix), Nothing(door))
    return LimitedSite(root, reactor, door.trusts, door.access.is_proxy, upload.open_sink)


class _Root(Resource):
    """Has the resource of a path answer, as it is written: nothing in it is decoded or joined."""

    isLeaf = True

    def __init__(
        self,
        prefix: bytes,
        named: Mapping[bytes, IResource],
        files: FileResource,
        frontend: Frontend,
        api: IResource,
        nothing: IResource,
    ) -> None:
        super().__init__()
        self._prefix = prefix
        self._named = named
        self._files = files
        self._frontend = frontend
        self._api = api
        self._nothing = nothing

    def render(self, request: Request) -> int:
        """Have the resource of the request's whole path answer."""
        answered: int = self._resource_of(request).render(request)
        return answered

    def _resource_of(self, request: Request) -> IResource:
        way = request.path.removeprefix(self._prefix)
        if not request.path.startswith(self._prefix) or way[:1] not in (b"", b"/"):
            return self._nothing
        if self._frontend.takes(request.method, way):
            return self._frontend
        return self._named.get(way) or self._file_at(way) or self._api

    def _file_at(self, way: bytes) -> IResource | None:
        """Return what serves files if a way leads to one."""
        if not way.startswith(FOLDER.encode()):
            return None
        return self._files if self._files.downloads.has(way[len(FOLDER) :].decode("latin-1")) else None
