"""Builds the ``webcam`` component."""

from __future__ import annotations

from txraker.components.webcams.addresses import outward_address
from txraker.components.webcams.component import Webcams
from txraker.components.webcams.options import configured_webcams
from txraker.components.webcams.store import WebcamStore
from txraker.fetching import WebClient
from txraker.interfaces import INamespaces
from txraker.loader import ComponentLoader


def load_webcams(loader: ComponentLoader, namespaces: INamespaces) -> None:
    """Load the component."""

    def webcams() -> Webcams:
        store = WebcamStore(configured_webcams(loader.configuration, loader.warnings), namespaces)
        return Webcams(store, loader.events, WebClient(loader.reactor).reaches, outward_address)

    loader.load("webcam", webcams)
