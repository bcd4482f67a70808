"""Builds the ``announcements`` component."""

from __future__ import annotations

from txraker.components.announcements.component import Announcements
from txraker.components.announcements.moonlight import Moonlight
from txraker.components.announcements.options import AnnouncementOptions
from txraker.components.announcements.store import AnnouncementStore
from txraker.config.configuration import Configuration
from txraker.events import Events
from txraker.faults import FaultReport
from txraker.fetching import WebClient
from txraker.interfaces import INamespaces
from txraker.loader import ComponentLoader
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings


def load_announcements(
    loader: ComponentLoader,
    configuration: Configuration,
    warnings: ServerWarnings,
    namespaces: INamespaces,
    reactor: Reactor,
    events: Events,
    report_fault: FaultReport,
) -> None:
    """Load the component. Feeds are fetched only if the configuration says so."""

    def announcements() -> Announcements:
        options = configuration.read("announcements", AnnouncementOptions)
        moonlight = None
        if options.enable_moonlight:
            moonlight = Moonlight(WebClient(reactor).read, reactor.seconds, warnings)
        store = AnnouncementStore(options.subscriptions, namespaces)
        return Announcements(reactor, store, moonlight, events, report_fault)

    loader.load("announcements", announcements)
