"""A printer's configuration as a server would read it, without the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from attrs import field, frozen

from txraker.access import configured_access
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
from txraker.config.schema import NoOptions, SchemaT

SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "server": ServerOptions,
    "authorization": AuthorizationOptions,
    "logs": LogOptions,
    "klippy_apis": NoOptions,
    "data_store": DataStoreOptions,
    "extensions": NoOptions,
    "proc_stats": NoOptions,
    "machine": MachineOptions,
    "file_manager": FileManagerOptions,
    "announcements": AnnouncementOptions,
}
"""What a server reads, beside one section for each camera."""

INDISPENSABLE: Final = ("server", "authorization", "logs")
"""Sections without which there is no server; without another one just its component is missing."""


@frozen
class Configured:
    """What is to be said of a configuration; ``path`` is its file, None without one.

    ``fatal`` keeps the server from starting, None when nothing does; ``warnings`` have less effect. ``used``
    are the names of the sections that have an effect. In the place of sections that can't be used, their
    defaults are here.
    """

    path: Path | None
    fatal: str | None
    warnings: tuple[str, ...]
    server: ServerOptions
    machine: MachineOptions
    authorization: AuthorizationOptions = field(factory=AuthorizationOptions)
    used: tuple[str, ...] = ()


def configured(data_path: Path) -> Configured:
    """Read the configuration of a data path."""
    try:
        configuration = load(data_path, None)
    except ConfigError as problem:
        path = Path(problem.file) if problem.file else None
        return Configured(path, str(problem), (), ServerOptions(), MachineOptions())
    fatal: list[str] = []
    lesser: list[str] = []
    for section, schema in _sections(configuration):
        try:
            configuration.read(section, schema)
        except ConfigError as problem:
            (fatal if section in INDISPENSABLE else lesser).append(str(problem))
    access = _read(configuration, "authorization", AuthorizationOptions)
    entries = configured_access(access.trusted_clients, access.cors_domains, (), access.trusted_proxies)
    return Configured(
        configuration.path,
        "; ".join(fatal) or None,
        (*lesser, *entries.warnings, *configuration.warnings()),
        _read(configuration, "server", ServerOptions),
        _read(configuration, "machine", MachineOptions),
        access,
        _used(configuration),
    )


def _sections(configuration: Configuration) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    yield from SECTIONS.items()
    for section in configuration.named("webcam"):
        yield section, WebcamOptions


def _used(configuration: Configuration) -> tuple[str, ...]:
    report = configuration.report()
    return tuple(section for section in report.orig if section in report.config)


def _read(configuration: Configuration, section: str, schema: type[SchemaT]) -> SchemaT:
    try:
        return configuration.read(section, schema)
    except ConfigError:
        return schema()
