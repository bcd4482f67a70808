"""Which service manager a configuration asks for."""

from __future__ import annotations

import os

from twisted.logger import Logger

from txraker.config.options import MachineOptions
from txraker.faults import FaultReport
from txraker.interfaces import ISystem
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system.nothing import NoSystem
from txraker.system.sudo import Sudo
from txraker.system.systemctl import SystemdCli


def configured_system(
    options: MachineOptions,
    reactor: Reactor,
    sudo: Sudo,
    warnings: ServerWarnings,
    report_fault: FaultReport,
    log: Logger,
) -> ISystem:
    """Return the service manager that ``[machine]`` asks for. Contract: its option ``provider``."""
    if options.provider == "supervisord_cli":
        text = "[machine] provider: supervisord_cli is not supported; services can't be managed"
        warnings.put(text, text)
        return NoSystem()
    if options.provider == "none":
        return NoSystem()
    cli = SystemdCli(reactor, sudo, warnings, report_fault, log)
    if options.provider == "systemd_cli":
        return cli
    from txraker.system.systemd.bus import bus_address  # noqa: PLC0415  # only this provider needs txdbus
    from txraker.system.systemd.provider import SystemdOverBus  # noqa: PLC0415  # the same

    address = bus_address(options.dbus_address, os.environ)
    return SystemdOverBus(reactor, address, sudo.user, warnings, report_fault, log, cli.power)
