"""A Moonraker that was really used, on a machine of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.integration.process import free_port
from tests.moving.environments import moonraker_environment
from tests.moving.machine import machine
from tests.moving.moonraker import Moonraker

STRANGERS = "192.0.2.0/24"
"""Addresses that nobody has, so that everybody must show a key or log in."""


@pytest.fixture(scope="module")
def moonraker() -> Iterator[Moonraker]:
    """Use a Moonraker, and let it trust nobody from then on; txraker is in ``~/txraker-env``."""
    with moonraker_environment() as environment, machine() as it:
        moonraker = Moonraker(it, free_port(), environment / "bin" / "python")
        moonraker.install()
        moonraker.use()
        moonraker.trust(STRANGERS)
        it.type(f"sudo systemctl restart moonraker && ln -s {sys.prefix} ~/txraker-env")
        moonraker.wait()
        yield moonraker
