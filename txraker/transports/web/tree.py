"""The URL space of one printer's server."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from txraker.transports.web.request import LimitedSite
from txraker.transports.web.resources import ApiResource, Door, JsonRpcResource, Nothing


def site(
    reactor: IReactorTime, door: Door, websocket: IResource, bridge: IResource, route_prefix: str
) -> LimitedSite:
    """Return what answers HTTP for one printer.

    ========================  =====================================================
    ``/websocket``            the upgrade to JSON-RPC over a websocket
    ``/klippysocket``         the upgrade to a bridge to Klippy's own API
    ``/server/jsonrpc``       JSON-RPC in a POST
    everything else           the API's own paths, Klippy's among them
    ========================  =====================================================

    All of it is below ``route_prefix`` when there is one.
    """
    prefix = f"/{route_prefix}" if route_prefix else ""
    named = {
        b"/websocket": websocket,
        b"/klippysocket": bridge,
        b"/server/jsonrpc": JsonRpcResource(door),
    }
    return LimitedSite(
        _Root(prefix.encode(), named, ApiResource(door, prefix), Nothing(door)),
        reactor,
        door.trusts,
        door.access.is_proxy,
    )


class _Root(Resource):
    """Finds the resource of a path as it is written: nothing in it is decoded or joined."""

    def __init__(
        self, prefix: bytes, named: Mapping[bytes, IResource], api: IResource, nothing: IResource
    ) -> None:
        super().__init__()
        self._prefix = prefix
        self._named = named
        self._api = api
        self._nothing = nothing

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Return the resource of the request's whole path."""
        if not request.path.startswith(self._prefix + b"/"):
            return self._nothing
        return self._named.get(request.path[len(self._prefix) :], self._api)
