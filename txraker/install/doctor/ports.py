"""Whether the ports of a printer's configuration are free, or by whom they are taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.config.options import ServerOptions
from txraker.install.doctor.finding import Finding, bad, good
from txraker.install.doctor.processes import Listener, Processes
from txraker.install.installation import Installation

_EVERY: Final = ("0.0.0.0", "::", "all", "*")
"""Addresses that stand for all of them."""


@frozen
class PortFacts:
    """A port that a printer wants, and who listens there on an address that would be in its way."""

    number: int
    listeners: tuple[Listener, ...]


def wanted_ports(options: ServerOptions, data_path: Path) -> tuple[int, ...]:
    """Return the ports that a server of this configuration will listen on."""
    certificate = options.ssl_certificate_path or data_path / "certs" / "moonraker.cert"
    has_tls = not options.enable_http or os.path.lexists(data_path / os.path.expanduser(certificate))
    return (*([options.port] if options.enable_http else []), *([options.ssl_port] if has_tls else []))


def read_port(number: int, host: str, processes: Processes) -> PortFacts:
    """Return who is in the way on a port."""
    listeners = processes.listeners(number)
    return PortFacts(number, tuple(each for each in listeners if _collides(host, each.address)))


def port_findings(facts: PortFacts, installation: Installation) -> Iterator[Finding]:
    """Judge a port."""
    if not facts.listeners:
        yield good(f"Port {facts.number} is free")
        return
    listener = next((each for each in facts.listeners if each.process is not None), facts.listeners[0])
    process = listener.process
    if process is None:
        says = f"Port {facts.number} is taken by a program of {listener.user}'s"
        yield bad(says, f"sudo ss -ltnp sport = :{facts.number}")
    elif process.is_txraker or process.unit == installation.unit:
        yield good(f"txraker answers at port {facts.number} (process {process.number})")
    else:
        yield bad(f"Port {facts.number} is taken by {process}", process.end(installation))


def _collides(host: str, address: str) -> bool:
    """Say whether who listens at an address keeps others from a configured host."""
    if host in _EVERY or address in _EVERY:
        return True
    try:
        return ip_address(host) == ip_address(address)
    except ValueError:  # a name
        return True
