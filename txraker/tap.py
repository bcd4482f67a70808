"""``twistd txraker``: options to services. The one module that imports the reactor."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import cast

import msgspec
from attrs import define, field
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage

from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.printer import PrinterServer
from txraker.reactor import Reactor
from txraker.system.notify import ServiceManager

DEFAULT_DATA_PATH = "~/printer_data"


class PrinterPaths(msgspec.Struct):
    """One printer as the command line names it."""

    data_path: Path
    config_path: Path | None = None


class Options(usage.Options):
    """The command line of ``twistd txraker``."""

    synopsis = "[options]"
    longdesc = (
        "Serve the API of Klipper printers. Each --data-path is one printer with a configuration, port and "
        "state of its own; a --config belongs to the --data-path before it."
    )
    optFlags = [  # noqa: RUF012  # twisted.python.usage wants a list on the class
        ["simulate", "s", "Start a virtual printer in this process and serve that."],
        ["debug-features", None, "Answer debug.* as well: for developers, not for a printer in use."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.printers: list[PrinterPaths] = []
        self._early_configs: list[Path] = []

    def opt_data_path(self, path: str) -> None:
        """A printer's data folder, made where missing. [default: ~/printer_data]. May be repeated."""
        self.printers.append(PrinterPaths(_absolute(path)))

    opt_d = opt_data_path

    def opt_config(self, path: str) -> None:
        """Its configuration file. [default: txraker.conf or moonraker.conf in its config folder]"""
        if not self.printers:
            self._early_configs.append(_absolute(path))
        elif self.printers[-1].config_path is not None:
            raise usage.UsageError("two --config for one --data-path")
        else:
            self.printers[-1].config_path = _absolute(path)

    opt_c = opt_config

    def postOptions(self) -> None:
        """Check what was said as a whole."""
        if not self.printers:
            self.printers.append(PrinterPaths(_absolute(DEFAULT_DATA_PATH)))
        for early in self._early_configs:
            if len(self.printers) > 1 or self.printers[0].config_path is not None:
                raise usage.UsageError("a --config belongs to the --data-path before it")
            self.printers[0].config_path = early
        folders = [printer.data_path.resolve() for printer in self.printers]
        if len(set(folders)) < len(folders):
            raise usage.UsageError("the same --data-path is given twice")


@define(eq=False, repr=False)
class Host(Service):
    """The printers of this process. One that can't be served is disabled; the others don't notice.

    ``disabled`` maps data paths to reasons.
    """

    _manager: ServiceManager
    _printers: list[PrinterServer]
    _disabled: dict[str, str]
    _log: Logger = field(factory=Logger)

    def privilegedStartService(self) -> None:
        """Listen where only root may, before twistd becomes somebody else."""
        super().privilegedStartService()
        self._try_each(PrinterServer.privilegedStartService)

    def startService(self) -> None:
        """Start every printer that can be. Raises CannotServe when none can."""
        super().startService()
        self._try_each(PrinterServer.startService)
        if not self._printers:
            raise CannotServe("; ".join(self._reasons()))
        for reason in self._reasons():
            self._log.warn("{reason}", reason=reason)
            for printer in self._printers:
                printer.warn(reason, reason)
        self._manager.ready(f"Serving {len(self._printers)} of {len(self._printers) + len(self._disabled)}")

    def _try_each(self, start: Callable[[PrinterServer], None]) -> None:
        for printer in list(self._printers):
            try:
                start(printer)
            except (CannotListenError, OSError) as problem:
                self._printers.remove(printer)
                self._disabled[str(printer.data_path)] = str(problem)
                printer.stopService()

    def stopService(self) -> Deferred[list[None]]:
        """Stop every printer."""
        super().stopService()
        self._manager.stopping()
        return gatherResults([printer.stopService() for printer in self._printers])

    def _reasons(self) -> list[str]:
        return [f"Disabled: {reason} (printer {path})" for path, reason in self._disabled.items()]


def makeService(options: Options) -> IService:
    """Return the service of the printers on a command line."""
    sys.excepthook = _say_briefly
    from twisted.internet import reactor as global_reactor  # noqa: PLC0415  # after twistd chose it

    reactor = cast("Reactor", global_reactor)
    printers: list[PrinterServer] = []
    disabled: dict[str, str] = {}
    for paths in options.printers:
        try:
            configuration = load(paths.data_path, paths.config_path)
            printer = PrinterServer(
                reactor,
                paths.data_path,
                paths.config_path,
                configuration,
                bool(options["simulate"]),
                bool(options["debug-features"]),
                [other.data_path for other in options.printers if other is not paths],
            )
        except ConfigError as error:
            disabled[str(paths.data_path)] = str(error)
        else:
            printers.append(printer)
    if not printers:
        raise CannotServe("; ".join(disabled.values()))
    return Host(ServiceManager.of(reactor, os.environ), printers, disabled)


class CannotServe(Exception):
    """There is nothing to serve. twistd reports it; its words are all a person needs."""


def _say_briefly(kind: type[BaseException], problem: BaseException, traceback: TracebackType | None) -> None:
    """Show what twistd lets through, without a traceback where the words say it all."""
    if issubclass(kind, CannotServe):
        print(f"txraker: {problem}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, traceback)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
