"""Klipper's log file. Klipper must stop while it is renamed, and what stops it isn't known yet."""

from __future__ import annotations

from pathlib import Path

from zope.interface import implementer

from txraker.errors import Unavailable
from txraker.interfaces import ILogFile


@implementer(ILogFile)
class KlipperLog:
    """Refuses every rollover with the documented reason: no systemd unit of Klipper's is known."""

    def rollover(self) -> Path:
        raise Unavailable("Unable to detect Klipper Service, cannot perform manual rollover")
