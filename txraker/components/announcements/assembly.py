"""Builds the ``announcements`` component."""

from __future__ import annotations

from txraker.components.announcements.component import Announcements
from txraker.components.announcements.lookout import Lookout
from txraker.components.announcements.moonlight import Moonlight
from txraker.components.announcements.options import AnnouncementOptions
from txraker.components.announcements.store import AnnouncementStore
from txraker.fetching import WebClient
from txraker.interfaces import INamespaces
from txraker.loader import ComponentLoader


def load_announcements(loader: ComponentLoader, namespaces: INamespaces) -> None:
    """Load the component. Feeds are fetched only if the configuration says so."""

    def announcements() -> Announcements:
        options = loader.configuration.read("announcements", AnnouncementOptions)
        reactor, lookout = loader.reactor, None
        store = AnnouncementStore(options.subscriptions, namespaces)
        if options.enable_moonlight:
            moonlight = Moonlight(WebClient(reactor).read, reactor.seconds, loader.warnings)
            lookout = Lookout(moonlight, store, reactor.seconds, loader.events)
        return Announcements(reactor, store, lookout, loader.events, loader.report_fault)

    loader.load("announcements", announcements)
