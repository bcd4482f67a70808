"""Whether services can be managed: the system bus, systemd and PolicyKit on it, or sudo."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen

from txraker.config.options import MachineOptions
from txraker.install.commands import NOT_INSTALLED, ICommands, Outcome
from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.install.installation import Installation

DEFAULT_ADDRESS: Final = "unix:path=/run/dbus/system_bus_socket"
SYSTEMD, POLICY_KIT, LOGIND = (
    "org.freedesktop.systemd1",
    "org.freedesktop.PolicyKit1",
    "org.freedesktop.login1",
)
_BUS: Final = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


@frozen
class BusFacts:
    """What a configuration's way of managing services needs.

    ``names`` are those on the bus, or that it can start; None when it can't be asked, for ``problem``.
    ``sudo`` is why sudo doesn't work, empty when it does; None when it isn't needed.
    """

    provider: str
    address: str
    names: frozenset[str] | None = None
    problem: str = ""
    has_program: bool = True
    sudo: str | None = None


def read_bus(options: MachineOptions, environment: Mapping[str, str], commands: ICommands) -> BusFacts:
    """Return what can be found out about the way services are managed."""
    address = options.dbus_address or environment.get("DBUS_SYSTEM_BUS_ADDRESS") or DEFAULT_ADDRESS
    if options.provider == "systemd_cli":
        has_password = options.sudo_password is not None
        outcome = None if has_password else commands.run(["sudo", "-n", "--", "systemctl", "--version"])
        return BusFacts(
            options.provider, address, sudo="" if outcome is None or outcome.is_good else outcome.words
        )
    if options.provider != "systemd_dbus":
        return BusFacts(options.provider, address)
    busctl = ["busctl", f"--address={address}", "--timeout=5", "call", *_BUS]
    outcomes = [commands.run([*busctl, method]) for method in ("ListNames", "ListActivatableNames")]
    failed = next((outcome for outcome in outcomes if not outcome.is_good), None)
    if failed is not None:
        has_program = failed.code != NOT_INSTALLED
        return BusFacts(options.provider, address, problem=failed.words, has_program=has_program)
    return BusFacts(options.provider, address, frozenset(_names(outcomes)))


def bus_findings(facts: BusFacts, installation: Installation) -> Iterator[Finding]:
    """Judge the way services are managed."""
    if facts.sudo is not None:
        yield _sudo(facts.sudo, installation)
    elif facts.provider != "systemd_dbus":
        yield good(f"Services aren't managed: [machine] provider is {facts.provider}")
    elif facts.names is None and not facts.has_program:
        yield unknown(f"The system bus can't be looked at: {facts.problem}", "sudo apt install systemd")
    elif facts.names is None:
        says = f"The system bus can't be reached, so services and power can't be managed: {facts.problem}"
        yield warning(says, "sudo apt install dbus && sudo systemctl start dbus.socket")
    else:
        yield from _on_the_bus(facts.names, installation)


def _on_the_bus(names: frozenset[str], installation: Installation) -> Iterator[Finding]:
    if SYSTEMD not in names:
        yield warning("systemd isn't on the system bus, so services can't be managed")
    if LOGIND not in names:
        says = "logind isn't on the system bus, so the machine can't be switched off"
        yield warning(says, "sudo systemctl start systemd-logind")
    if POLICY_KIT not in names and installation.user != "root":
        says = "PolicyKit isn't installed, so services and power can't be managed"
        yield warning(says, "sudo apt install polkitd")
    elif SYSTEMD in names:
        yield good("The system bus is there, with systemd and PolicyKit on it")


def _sudo(problem: str, installation: Installation) -> Finding:
    if not problem:
        return good("Services are managed by sudo, which works or has a password")
    rule = f"{installation.user} ALL=(root) NOPASSWD: /usr/bin/systemctl"
    file = f"/etc/sudoers.d/{installation.name.replace('.', '-')}"  # sudo skips those with dots
    mend = f"echo {shlex.quote(rule)} | sudo tee {file}"
    return bad(f"Services are to be managed by sudo, which doesn't work: {problem}", mend)


def _names(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the names of busctl's answers, which are like ``as 2 "one" "two"``."""
    for outcome in outcomes:
        yield from (word.strip('"') for word in outcome.output.split()[2:])
