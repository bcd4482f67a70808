"""Builds what answers HTTP for one printer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from txraker.components.file_manager.assembly import Files
from txraker.config.options import ServerOptions
from txraker.klippy.client import KlippyClient
from txraker.klippy.socket import OneTryUnixEndpoint
from txraker.reactor import Reactor, off_thread
from txraker.server_warnings import ServerWarnings
from txraker.transports.bridge import BridgeUpgrade
from txraker.transports.link import LinkService
from txraker.transports.web.channel import LimitedSite
from txraker.transports.web.download import FileResource
from txraker.transports.web.frontend import Frontend
from txraker.transports.web.resources import Door
from txraker.transports.web.sending import Sending
from txraker.transports.web.tree import site
from txraker.transports.web.upload import UploadResource
from txraker.transports.websocket import ApiUpgrade, WebSocketFactory


@frozen(eq=False, repr=False)
class Web:
    """What answers, and what takes files."""

    site: LimitedSite
    upload: UploadResource


def build_web(
    reactor: Reactor,
    options: ServerOptions,
    door: Door,
    links: LinkService,
    klippy: KlippyClient,
    find_socket: Callable[[], Path],
    files: Files,
    warnings: ServerWarnings,
) -> Web:
    """Return what answers HTTP, and websockets after it."""
    prefix = f"/{options.route_prefix}" if options.route_prefix else ""
    websockets = WebSocketFactory(reactor)
    threads = off_thread(reactor)
    folder = Path(os.path.expanduser(options.frontend_path)) if options.frontend_path else None
    sending = Sending(threads, reactor)
    upload = UploadResource(door, files.uploads, threads, prefix)
    web = site(
        reactor,
        door,
        ApiUpgrade(door, websockets, links),
        BridgeUpgrade(door, websockets, links, OneTryUnixEndpoint(reactor, find_socket), klippy.touched),
        Frontend(door, sending, warnings, folder, prefix),
        options.route_prefix,
        upload,
        FileResource(door, files.downloads, files.delete, sending, prefix),
    )
    return Web(web, upload)
