"""All checks of one installation, in the order in which a person should read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from attrs import field, frozen

from txraker.config.options import ServerOptions
from txraker.install.commands import Commands, ICommands
from txraker.install.configured import Configured, configured
from txraker.install.doctor.bus import BusFacts, bus_findings, read_bus
from txraker.install.doctor.clock import ClockFacts, clock_findings, read_clock
from txraker.install.doctor.configuration import configuration_findings
from txraker.install.doctor.data_path import DataPathFacts, data_path_findings, read_data_path
from txraker.install.doctor.finding import Finding
from txraker.install.doctor.interpreter import InterpreterFacts, interpreter_findings, read_interpreter
from txraker.install.doctor.packages import (
    Installed,
    Lack,
    installed_package,
    package_findings,
    read_packages,
)
from txraker.install.doctor.ports import PortFacts, port_findings, read_port, wanted_ports
from txraker.install.doctor.processes import Processes
from txraker.install.doctor.services import (
    InstalledFile,
    UnitFacts,
    file_findings,
    moonraker_findings,
    read_file,
    read_moonrakers,
    read_unit,
    unit_findings,
)
from txraker.install.doctor.sockets import (
    Dial,
    SocketFacts,
    dial,
    klippy_findings,
    own_socket_findings,
    read_socket,
)
from txraker.install.doctor.space import SpaceFacts, read_space, space_findings
from txraker.install.installation import Installation
from txraker.install.system_files import files_of
from txraker.klippy.socket import socket_finder


@frozen
class PrinterFacts:
    """What is known of one data path."""

    path: Path
    folder: DataPathFacts
    space: SpaceFacts | None
    configured: Configured
    klippy: SocketFacts
    own_socket: SocketFacts
    ports: tuple[PortFacts, ...]
    bus: BusFacts


@frozen
class Facts:
    """What is known of an installation and its machine."""

    interpreter: InterpreterFacts
    lacks: tuple[Lack, ...]
    clock: ClockFacts
    printers: tuple[PrinterFacts, ...]
    unit_file: InstalledFile
    rule_file: InstalledFile
    unit: UnitFacts
    moonrakers: tuple[UnitFacts, ...] | None


@frozen(eq=False)
class Checkup:
    """Gathers the facts of an installation; what it asks is given to it."""

    _installation: Installation
    _commands: ICommands = field(factory=Commands)
    _root: Path = Path("/")
    _dial: Dial = dial
    _installed: Installed = installed_package
    _environment: Mapping[str, str] = field(factory=lambda: os.environ)
    _now: Callable[[], datetime] = datetime.now

    def facts(self) -> Facts:
        """Return what is known now. Raises nothing: what can't be seen is told as such."""
        unit_file, rule_file = (read_file(file, self._root) for file in files_of(self._installation))
        return Facts(
            read_interpreter(),
            read_packages(self._installed),
            read_clock(self._now(), self._commands),
            tuple(self._printer(path) for path in self._installation.data_paths),
            unit_file,
            rule_file,
            read_unit(self._installation.unit, self._commands),
            read_moonrakers(self._commands),
        )

    def _printer(self, path: Path) -> PrinterFacts:
        options, processes = configured(path), Processes(self._root)
        ports = wanted_ports(options.server, path)
        return PrinterFacts(
            path,
            read_data_path(path),
            read_space(path),
            options,
            read_socket(_klippy_socket(options.server, path), self._dial, processes),
            read_socket(path / "comms" / "moonraker.sock", self._dial, processes),
            tuple(read_port(port, options.server.host, processes) for port in ports),
            read_bus(options.machine, self._environment, self._commands),
        )


def _klippy_socket(options: ServerOptions, data_path: Path) -> Path:
    """Return the socket that the server would try now."""
    address = options.klippy_uds_address
    try:
        return socket_finder(Path(os.path.expanduser(address)) if address else None, data_path)()
    except OSError:  # we may not even look
        return data_path / "comms" / "klippy.sock"


def findings(facts: Facts, installation: Installation) -> Iterator[Finding]:
    """Judge everything."""
    yield from interpreter_findings(facts.interpreter, installation)
    yield from package_findings(facts.lacks, installation.twistd.with_name("python"))
    yield from clock_findings(facts.clock)
    for printer in facts.printers:
        yield from _printer_findings(printer, installation)
    yield from dict.fromkeys(
        finding for printer in facts.printers for finding in bus_findings(printer.bus, installation)
    )
    yield from file_findings("unit", facts.unit_file, installation)
    if any(printer.bus.provider == "systemd_dbus" for printer in facts.printers):
        yield from file_findings("PolicyKit rule", facts.rule_file, installation)
    yield from unit_findings(facts.unit, installation)
    yield from moonraker_findings(facts.moonrakers, installation)


def _printer_findings(facts: PrinterFacts, installation: Installation) -> Iterator[Finding]:
    yield from data_path_findings(facts.folder, installation)
    yield from space_findings(facts.path, facts.space)
    yield from configuration_findings(facts.configured, facts.path)
    yield from klippy_findings(facts.klippy, installation)
    yield from own_socket_findings(facts.own_socket, facts.path, installation)
    for port in facts.ports:
        yield from port_findings(port, installation)
