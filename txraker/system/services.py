"""The names of services: as the API has them, as systemd has them, and which of them may be managed.

Contract: "Allowed Services" of Moonraker's configuration documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

DEFAULT_ALLOWED: Final = (
    "klipper_mcu",
    "webcamd",
    "MoonCord",
    "KlipperScreen",
    "moonraker-telegram-bot",
    "moonraker-obico",
    "sonar",
    "crowsnest",
    "octoeverywhere",
    "ratos-configurator",
)
"""What a new ``moonraker.asvc`` allows."""

PATTERNS: Final = ("klipper*.service", "moonraker*.service", "txraker*.service")
"""Shell patterns of the units that may be allowed without being listed."""

_ALWAYS: Final = ("klipper", "moonraker", "txraker")
_NAME: Final = re.compile(r"(?!.*@$)[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]{0,239}")
_SUFFIX: Final = ".service"


PowerAction = Literal["poweroff", "halt", "reboot"]
"""What can be done to the machine as a whole."""


class UnitState(msgspec.Struct, frozen=True):
    """How a service is doing, in systemd's words, such as ``active`` and ``running``."""

    active_state: str
    sub_state: str


def unit_name(service: str) -> str:
    """Return the systemd unit of a service, which may be named with or without ``.service``."""
    return service if service.endswith(_SUFFIX) else service + _SUFFIX


def service_name(unit: str) -> str:
    """Return the name of a unit as the API has it."""
    return unit.removesuffix(_SUFFIX)


def is_service(unit: str) -> bool:
    """Say whether a unit is a service of its own: no session, and not the manager of a user's units."""
    return unit.endswith(_SUFFIX) and not unit.startswith("user@")


def is_always_allowed(service: str) -> bool:
    """Say whether a service is Klipper's or ours by the beginning of its name, whichever instance."""
    return service.startswith(_ALWAYS) and _NAME.fullmatch(service) is not None


def parse_allowed(text: str) -> tuple[str, ...]:
    """Return the services that a ``moonraker.asvc`` names, one a line; what is no name is skipped."""
    names = (service_name(line.partition("#")[0].strip()) for line in text.splitlines())
    return tuple(dict.fromkeys(name for name in names if _NAME.fullmatch(name)))


def allowed_text(services: Iterable[str]) -> str:
    """Return the text of a ``moonraker.asvc``."""
    return "".join(f"{service}\n" for service in services)
