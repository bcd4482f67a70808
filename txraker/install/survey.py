"""What a configuration says, read as the server reads it, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from attrs import frozen

from txraker.components.announcements.options import AnnouncementOptions
from txraker.components.webcams.options import WebcamOptions
from txraker.config.configuration import Configuration
from txraker.config.errors import ConfigError
from txraker.config.load import load
from txraker.config.options import (
    AuthorizationOptions,
    DataStoreOptions,
    FileManagerOptions,
    LogOptions,
    MachineOptions,
    ServerOptions,
)
from txraker.config.schema import NoOptions

_DISPENSABLE: Final[Mapping[str, type[msgspec.Struct]]] = {
    "machine": MachineOptions,
    "file_manager": FileManagerOptions,
    "data_store": DataStoreOptions,
    "announcements": AnnouncementOptions,
    "klippy_apis": NoOptions,
    "extensions": NoOptions,
    "proc_stats": NoOptions,
}
"""Sections that cost a feature, and not the server, when they can't be read."""


@frozen
class Survey:
    """A configuration: its file, if there is one, what it says of the server, and the names of its sections.

    ``used`` are the sections that have an effect; ``warnings`` say what has none.
    """

    path: Path | None
    server: ServerOptions
    authorization: AuthorizationOptions
    used: Sequence[str]
    warnings: Sequence[str]


def survey(data_path: Path) -> Survey:
    """Read the configuration of a data path. Raises ConfigError where the server would refuse to start."""
    configuration = load(data_path, None)
    server = configuration.read("server", ServerOptions)
    authorization = configuration.read("authorization", AuthorizationOptions)
    configuration.read("logs", LogOptions)
    problems = [*_read_others(configuration), *configuration.warnings()]
    report = configuration.report()
    used = [section for section in report.orig if section in report.config]
    return Survey(configuration.path, server, authorization, used, problems)


def _read_others(configuration: Configuration) -> list[str]:
    """Read all that a server could do without; return what can't be read."""
    schemas = dict(_DISPENSABLE)
    schemas.update((section, WebcamOptions) for section in configuration.named("webcam"))
    problems = []
    for section, schema in schemas.items():
        try:
            configuration.read(section, schema)
        except ConfigError as error:
            problems.append(str(error))
    return problems
