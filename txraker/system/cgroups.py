"""Which service a process belongs to, by its control groups. Pure."""

from __future__ import annotations

from txraker.system.services import is_service


def unit_of_cgroups(text: str) -> str | None:
    """Return the service that a process's ``/proc/PID/cgroup`` names, None when it belongs to none.

    systemd's own hierarchy is the one numbered 0, or the one named ``systemd``. Contract: cgroups(7).
    """
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if units and (controllers == "name=systemd" or number == "0"):
            return units[0] if is_service(units[0]) else None
    return None
