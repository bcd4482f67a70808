"""One printer's server through its life: its folders, its log, its restarts and its virtual printer."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from attrs import define, field
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    globalLogPublisher,
)

from txraker import __version__
from txraker.assembly import Lasting, assemble
from txraker.authorization.audit import AuditLog
from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.errors import BadRequest
from txraker.faults import fault_report, run_aside
from txraker.kept import Kept
from txraker.reactor import OwnThreads, Reactor
from txraker.server import Server
from txraker.system.listener import listener_at
from txraker.system.logfile import LogFile
from txraker.system.rolled import MIB, LogLimits

FOLDERS = ("config", "gcodes", "logs", "comms", "database", "backup", "certs")
"""What a data path holds, as Klipper users know it."""

AUDIT_LIMITS = LogLimits(files=20, size=20 * MIB)
"""How much is kept of the audit log, beside the file that is written to, which is a MiB at the most."""

KNOWN_WITHIN = 5.0
"""Seconds for which the server waits for its users to be read; then it serves those who need not be known."""

LOOK_UPS_AT_ONCE = 2
"""Names that are looked up at once: each look-up holds a thread, for long where no DNS answers."""

LAST_WORDS = 0.1
"""Seconds between the answer to a restart and the end of the connections that may still carry it."""


@define(eq=False, repr=False)
class PrinterServer(Service):
    """Serves one printer from its data path.

    ``configuration`` is what was read before any privileges were dropped; a restart reads it anew.
    ``neighbours`` are the data paths of the other printers of this process.
    """

    _reactor: Reactor
    data_path: Path
    _config_path: Path | None
    _configuration: Configuration
    _simulate: bool
    _has_debug_features: bool = False
    _neighbours: Sequence[Path] = ()
    _log_file: LogFile = field(init=False)
    _log: Logger = field(init=False)
    _log_level: LogLevelFilterPredicate = field(factory=LogLevelFilterPredicate, init=False)
    _current: Server = field(init=False)
    _simulator: IService | None = field(default=None, init=False)
    _successor: Server | None = field(default=None, init=False)
    _replacing: IDelayedCall | None = field(default=None, init=False)
    _warnings: dict[str, str] = field(factory=dict, init=False)
    _lasting: Lasting = field(init=False)
    _kept: Kept = field(init=False)
    _audit: AuditLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log_file = LogFile(
            self.data_path / "logs" / "moonraker.log", self._log_header, partial(self.warn, "log file")
        )
        both = LogPublisher(self._log_file, globalLogPublisher)
        self._log = Logger(self.data_path.name, observer=FilteringLogObserver(both, [self._log_level]))
        self._kept = Kept(self._reactor, self.data_path, self.warn, fault_report(self._log))
        self._audit = AuditLog(self._audit_file(), time.monotonic)
        look_up = OwnThreads(self._reactor, LOOK_UPS_AT_ONCE, "txraker-names")
        self._lasting = Lasting(self._log, self._log_file, self._kept, self._audit, look_up, self._neighbours)
        self._current = self._assemble(self._configuration)

    def privilegedStartService(self) -> None:
        """Listen already, if that is on a port that only root may use.

        Raises CannotListenError, and OSError when another server, such as a Moonraker, has the data path.
        """
        super().privilegedStartService()
        _check_nobody_serves(self.data_path)
        if self._current.entrance.is_privileged:
            self._current.entrance.listen()

    def startService(self) -> None:
        """Begin to serve. Raises CannotListenError, and OSError when there can be no data path."""
        _make_folders(self.data_path)
        self._follow_options()
        self._log_file.open()
        self._audit.open()
        try:
            self._current.entrance.listen()
        except CannotListenError:
            self._log_file.close()
            self._audit.close()
            raise
        super().startService()
        if self._simulate:
            self._start_simulator()
        run_aside(self._begin(), "the start", fault_report(self._log))

    async def _begin(self) -> None:
        """Answer as soon as the users are known: connections that come before wait for that, not long."""
        self._current.entrance.hold()
        known = self._kept.open()
        long_enough: Deferred[None] = deferLater(self._reactor, KNOWN_WITHIN)
        await DeferredList([known, long_enough], fireOnOneCallback=True, consumeErrors=True)
        long_enough.cancel()
        if self.running:
            self._current.entrance.let_in()
            self._current.start()

    def stopService(self) -> Deferred[None]:
        """Take leave; the answer fires when nothing is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def warn(self, key: str, text: str) -> None:
        """Show a warning in ``server.info`` from now on, restarts or not; without a text take it back."""
        if text:
            self._warnings[key] = text
            self._current.warnings.put(key, text)
        else:
            self._warnings.pop(key, None)
            self._current.warnings.drop(key)

    async def restart(self) -> None:
        """Replace the server by one that follows the configuration as it is now, very soon.

        Raises BadRequest with the reason, and changes nothing, when that can't be done.
        """
        if self._replacing is not None:
            return
        try:
            configuration = load(self.data_path, self._config_path)
            successor = self._assemble(configuration)
        except ConfigError as error:
            raise BadRequest(f"The configuration can't be used: {error}") from None
        try:
            await successor.entrance.listen_beside(self._current.entrance)
        except CannotListenError as error:
            await successor.stop()
            raise BadRequest(f"The new address can't be used: {error}") from None
        self._configuration = configuration
        self._successor = successor
        self._replacing = self._reactor.callLater(LAST_WORDS, self._replace, successor)

    def _replace(self, successor: Server) -> None:
        run_aside(self._switch_to(successor), "a restart", fault_report(self._log))

    async def _switch_to(self, successor: Server) -> None:
        """Let the successor answer at once, while clients take leave of the predecessor."""
        self._log.info("Restarting the server")
        predecessor, self._current = self._current, successor
        self._follow_options()
        self._successor = self._replacing = None
        for key, text in self._warnings.items():
            successor.warnings.put(key, text)
        successor.take_over(predecessor)
        if self.running:
            successor.entrance.listen()
            successor.start()
        try:
            await predecessor.stop()
        finally:
            successor.predecessor_has_stopped()

    async def _stop(self) -> None:
        if self._replacing is not None and self._replacing.active():
            self._replacing.cancel()
        if self._successor is not None:
            await self._successor.stop()
        await self._current.stop()
        if self._simulator is not None and self._simulator.running:
            await maybeDeferred(self._simulator.stopService)
        await self._kept.close()
        self._audit.close()
        self._log_file.close()

    def _follow_options(self) -> None:
        self._kept.accounts.login_timeout = self._current.login_timeout
        options = self._current.log_options
        self._log_file.limits = LogLimits(options.rolled_files, options.rolled_size * MIB)
        self._log_file.largest = options.max_size * MIB
        level = LogLevel.debug if self._current.wants_debug else LogLevel.info
        self._log_level.setLogLevelForNamespace("", level)

    def _assemble(self, configuration: Configuration) -> Server:
        return assemble(
            self._reactor,
            configuration,
            self._lasting,
            self.restart,
            self._simulated_socket if self._simulate else None,
            has_debug_features=self._has_debug_features,
        )

    def _audit_file(self) -> LogFile:
        return LogFile(
            self.data_path / "audit" / "audit.log",
            lambda: "",
            partial(self.warn, "audit log"),
            limits=AUDIT_LIMITS,
            largest=MIB,
            mode=0o600,
            is_daily=False,
        )

    @property
    def _simulated_socket(self) -> Path:
        return self.data_path / "comms" / "simulator.sock"

    def _start_simulator(self) -> None:
        from txraker.simulator.service import SimulatorService  # noqa: PLC0415  # only this needs it

        gcodes = self.data_path / "gcodes"
        if not any(gcodes.glob("**/*.gcode")):
            sample = resources.files("txraker.simulator") / "sample.gcode"
            with resources.as_file(sample) as source:
                shutil.copyfile(source, gcodes / "txraker_sample.gcode")
        self._simulator = SimulatorService(self._reactor, self._simulated_socket, gcodes)
        self._simulator.startService()

    def _log_header(self) -> str:
        return (
            f"{'-' * 20} txraker {__version__} {'-' * 20}\n"
            f"Python {platform.python_version()} on {platform.platform()}\n"
            f"Klipper {self._current.klippy_version or 'has not been seen yet'}\n"
            f"Data path {self.data_path}, configuration {self._configuration.path or 'none'}\n"
            + "".join(f"    {line}\n" for line in self._configuration.masked_lines())
            + "".join(f"Warning: {text}\n" for text in self._current.warnings.texts())
        )


def _check_nobody_serves(data_path: Path) -> None:
    """Raise OSError when a server for a data path is there already."""
    path = data_path / "comms" / "moonraker.sock"
    try:
        listener = listener_at(path)
    except OSError:
        return
    mend = f": sudo systemctl stop {listener.unit}" if listener.unit else ""
    raise OSError(f"{data_path} is served already: {listener} listens at {path}. Stop it first{mend}")


def _make_folders(data_path: Path) -> None:
    _make_folder(data_path, 0o755)
    for name in FOLDERS:
        _make_folder(data_path / name, 0o755)
    _make_folder(data_path / "audit", 0o700)


def _make_folder(folder: Path, mode: int) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(mode)
