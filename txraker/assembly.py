"""The composition root: one printer's server, built top to bottom from its configuration.

Nothing is looked up: each part is given its collaborators here, in an order without cycles.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from socket import gethostname

from attrs import field, frozen
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.logger import Logger

from txraker.access import configured_access
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import endpoints_of
from txraker.authorization.attempts import LoginAttempts
from txraker.authorization.audit import AuditLog
from txraker.authorization.gate import Gate
from txraker.authorization.names import TrustedNames, system_resolver
from txraker.clients import Clients
from txraker.components.announcements.assembly import load_announcements
from txraker.components.authorization.api_tokens import ApiTokenEndpoints
from txraker.components.authorization.component import Authorization
from txraker.components.authorization.sweep import Sweep
from txraker.components.connection import ConnectionEndpoints
from txraker.components.data_store.component import DataStore
from txraker.components.database.assembly import load_database
from txraker.components.extensions import ExtensionEndpoints
from txraker.components.file_manager.assembly import load_file_manager
from txraker.components.klippy_apis import KlippyApis, unknown_path
from txraker.components.logs import Logs
from txraker.components.machine.assembly import load_machine
from txraker.components.proc_stats import ProcStats
from txraker.components.server import ServerEndpoints
from txraker.components.webcams.assembly import load_webcams
from txraker.config.configuration import Configuration
from txraker.config.options import (
    AuthorizationOptions,
    DataStoreOptions,
    LogOptions,
    ServerOptions,
)
from txraker.config.schema import NoOptions
from txraker.events import (
    AnnouncementDismissed,
    AnnouncementUpdate,
    AnnouncementWake,
    CpuThrottled,
    Events,
    FileListChanged,
    GcodeResponse,
    KlippyDisconnected,
    KlippyReady,
    KlippyShutdown,
    MetadataUpdate,
    Notification,
    ProcStatUpdate,
    ServiceStateChanged,
    UserCreated,
    UserDeleted,
    UserLoggedOut,
    WebcamsChanged,
)
from txraker.faults import fault_report
from txraker.interfaces import ILogFile
from txraker.kept import Kept
from txraker.klippy.client import KlippyClient
from txraker.klippy.printing import PrintInProgress
from txraker.klippy.socket import PatientUnixEndpoint, socket_finder
from txraker.loader import ComponentLoader
from txraker.reactor import OffThread, Reactor, off_thread
from txraker.server import LocalSocket, Server
from txraker.server_warnings import ServerWarnings
from txraker.system.host.statistics import HostStatistics
from txraker.system.host.throttling import find_throttled_bits
from txraker.system.klipper_log import KlipperLog
from txraker.system.rolled import MIB, LogLimits
from txraker.transports.link import LinkService
from txraker.transports.listen import entrance, find_credentials
from txraker.transports.unix import UnixClients
from txraker.transports.web.assembly import build_web
from txraker.transports.web.resources import Door

BROADCAST: tuple[type[Notification], ...] = (
    KlippyReady,
    KlippyShutdown,
    KlippyDisconnected,
    GcodeResponse,
    ServiceStateChanged,
    ProcStatUpdate,
    CpuThrottled,
    UserCreated,
    UserDeleted,
    UserLoggedOut,
    FileListChanged,
    MetadataUpdate,
    WebcamsChanged,
    AnnouncementUpdate,
    AnnouncementDismissed,
    AnnouncementWake,
)
"""The events that every client is told of."""


@frozen(eq=False, repr=False)
class Lasting:
    """What belongs to the printer, and not to the server that a restart replaces.

    ``look_up`` runs look-ups of names, which may hang; ``rollovers`` is held while a log is rolled over;
    ``neighbours`` are the data paths of the other printers of this process.
    """

    log: Logger
    own_log: ILogFile
    kept: Kept
    audit: AuditLog
    look_up: OffThread
    neighbours: Sequence[Path] = ()
    rollovers: DeferredLock = field(factory=DeferredLock)


def assemble(
    reactor: Reactor,
    configuration: Configuration,
    lasting: Lasting,
    restart: Callable[[], Awaitable[None]],
    klippy_socket: Path | None = None,
    *,
    has_debug_features: bool = False,
) -> Server:
    """Build a printer's server.

    ``klippy_socket`` is that of a virtual printer, if that is to be served. Raises ConfigError when
    ``[server]``, ``[authorization]`` or ``[logs]`` can't be honoured; anything less is a warning.
    """
    options = configuration.read("server", ServerOptions)
    authorization = configuration.read("authorization", AuthorizationOptions)
    log_options = configuration.read("logs", LogOptions)
    configured = configured_access(
        authorization.trusted_clients,
        authorization.cors_domains,
        [gethostname()],
        authorization.trusted_proxies,
    )

    log, accounts = lasting.log, lasting.kept.accounts
    report_fault = fault_report(log)
    warnings = ServerWarnings(log)
    credentials = find_credentials(options, configuration, reactor, warnings)
    events = Events(report_fault)
    find_socket = socket_finder(klippy_socket or _path(options.klippy_uds_address), configuration.data_path)
    socket = PatientUnixEndpoint(reactor, find_socket, log, warnings)
    klippy = KlippyClient(reactor, socket, events, report_fault, log)
    clients = Clients(options.max_websocket_connections, events)
    for notification in BROADCAST:
        events.on(notification, clients.broadcast)
    gate = Gate(
        configured.access,
        accounts,
        time.monotonic,
        authorization.enable_api_key,
        authorization.force_logins,
    )
    dispatcher = Dispatcher(
        report_fault, partial(unknown_path, klippy), CancelledError, gate.is_current, lasting.audit.note
    )

    loader = ComponentLoader(reactor, configuration, dispatcher, events, warnings, report_fault, log)
    configuration.read("klippy_apis", NoOptions)
    loader.load("klippy_apis", lambda: KlippyApis(klippy, klippy.status, events, dispatcher))
    loader.load(
        "data_store",
        lambda: DataStore(
            configuration.read("data_store", DataStoreOptions), reactor, klippy.status, events, report_fault
        ),
    )
    configuration.read("extensions", NoOptions)
    loader.load("extensions", lambda: ExtensionEndpoints(clients, klippy, events))
    limits = LogLimits(log_options.rolled_files, log_options.rolled_size * MIB)
    configuration.read("proc_stats", NoOptions)
    loader.load(
        "proc_stats",
        lambda: ProcStats(
            reactor,
            HostStatistics(Path("/")),
            find_throttled_bits(Path("/"), reactor, report_fault),
            events,
            lambda: clients.websocket_count,
            report_fault,
            log,
        ),
    )
    system, instances = load_machine(loader, klippy, restart, is_simulated=klippy_socket is not None)
    printing = PrintInProgress(reactor, klippy, klippy.status)
    klipper_log = KlipperLog(reactor, klippy, printing, system, instances, off_thread(reactor), limits, log)
    debug = load_database(loader, lasting.kept, printing, restart, has_debug_features=has_debug_features)
    files = load_file_manager(
        loader,
        klippy,
        printing,
        lasting.kept.namespaces,
        lasting.audit.note,
        {"klippy.log": klipper_log.where, "moonraker.log": lasting.own_log.where},
        options.max_upload_size,
        lasting.neighbours,
    )
    load_webcams(loader, lasting.kept.namespaces)
    load_announcements(loader, lasting.kept.namespaces)
    names = TrustedNames(
        configured.trusted_names,
        reactor,
        system_resolver(lasting.look_up),
        gate.trust_also,
        warnings,
        report_fault,
    )
    sweep = Sweep(gate, clients)
    attempts = LoginAttempts(authorization.max_login_attempts)
    loader.load(
        "authorization",
        lambda: Authorization(
            reactor, gate, accounts, attempts, sweep, names, lasting.audit.note, report_fault, events
        ),
    )
    api_tokens = ApiTokenEndpoints(accounts, sweep, reactor.seconds)
    server = ServerEndpoints(
        klippy, clients, configuration, warnings, restart, loader.names, loader.failed, files.roots
    )
    logs = Logs({"moonraker": lasting.own_log, "klipper": klipper_log}, lasting.rollovers)
    for core in (server, ConnectionEndpoints(clients, gate, lasting.audit.note), logs, api_tokens, *debug):
        dispatcher.add(endpoints_of(core))

    for text in (*configured.warnings, *configuration.warnings()):
        warnings.put(text, text)
    door = Door(dispatcher, gate, report_fault)
    links = LinkService(
        reactor,
        dispatcher,
        clients,
        klippy.status,
        report_fault,
        log,
        options.client_queue_size * 1024,
        options.client_queue_seconds,
    )
    web = build_web(reactor, options, door, links, klippy, find_socket, files, warnings)
    local = LocalSocket(
        configuration.data_path / "comms" / "moonraker.sock",
        int(options.unix_socket_mode, 8),
        UnixClients(links),
    )
    return Server(
        reactor,
        options,
        klippy,
        clients,
        loader,
        logs,
        files,
        web,
        entrance(reactor, options, credentials, web.site, warnings, log),
        local,
        warnings,
        report_fault,
        dispatcher,
        log_options,
        authorization.login_timeout,
    )


def _path(address: str | None) -> Path | None:
    return Path(os.path.expanduser(address)) if address else None
