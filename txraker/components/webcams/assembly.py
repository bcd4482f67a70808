"""Builds the ``webcam`` component."""

from __future__ import annotations

from txraker.components.webcams.addresses import outward_address
from txraker.components.webcams.component import Webcams
from txraker.components.webcams.options import configured_webcams
from txraker.components.webcams.store import WebcamStore
from txraker.config.configuration import Configuration
from txraker.events import Events
from txraker.fetching import WebClient
from txraker.interfaces import INamespaces
from txraker.loader import ComponentLoader
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings


def load_webcams(
    loader: ComponentLoader,
    configuration: Configuration,
    warnings: ServerWarnings,
    namespaces: INamespaces,
    reactor: Reactor,
    events: Events,
) -> None:
    """Load the component."""

    def webcams() -> Webcams:
        store = WebcamStore(configured_webcams(configuration, warnings), namespaces)
        return Webcams(store, events, WebClient(reactor).reaches, outward_address)

    loader.load("webcam", webcams)
