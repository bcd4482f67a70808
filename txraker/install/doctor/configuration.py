"""What a printer's configuration says that can't be, or has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from txraker.install.configured import Configured
from txraker.install.doctor.finding import Finding, bad, good, warning


def configuration_findings(facts: Configured, data_path: Path) -> Iterator[Finding]:
    """Judge a configuration."""
    where = facts.path or f"{data_path / 'config'}"
    if facts.fatal is not None:
        yield bad(f"The configuration can't be used: {facts.fatal}")
    elif facts.path is None:
        says = f"There is no txraker.conf or moonraker.conf in {where}"
        yield warning(f"{says}: only programs on this machine may use the printer")
    else:
        yield good(f"The configuration {where} can be used")
    for text in facts.warnings:
        yield warning(text)
