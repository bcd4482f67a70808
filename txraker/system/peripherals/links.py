"""What udev's and sysfs's links lead to."""

from __future__ import annotations

import os
from pathlib import Path

from txraker.system.host.files import children


def target(link: Path) -> str | None:
    """Return the name of what a link leads to, or None if it isn't a link."""
    try:
        return Path(os.readlink(link)).name
    except OSError:
        return None


def links(root: Path, folder: str) -> dict[str, str]:
    """Return which devices the links in a folder of udev's lead to: names of nodes to paths of links.

    ``folder`` is below ``root``, the paths are absolute. Of several links to a device the first is taken.
    """
    found: dict[str, str] = {}
    for link in sorted(children(root / folder)):
        leads_to = target(link)
        if leads_to is not None and link.name.isprintable():
            found.setdefault(leads_to, f"/{folder}/{link.name}")
    return found
