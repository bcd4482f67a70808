"""The options of the sections that every txraker reads."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from txraker.config.schema import Option

DEFAULT_KLIPPY_ADDRESS: Final = "/tmp/klippy_uds"

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")


def _host(text: str) -> str:
    host = text.strip()
    if not host or any(character.isspace() for character in host):
        raise ValueError('must be one address or host name, or "all"')
    return host


def _file(text: str) -> str:
    if "\0" in text:
        raise ValueError("must be the path of a file")
    return text.strip()


def _mode(text: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("must be a file mode of three octal digits, such as 0660")
    return text


def _route_prefix(text: str) -> str:
    prefix = text.strip().strip("/")
    if prefix and not all(_SEGMENT.fullmatch(segment) for segment in prefix.split("/")):
        raise ValueError(
            "must be a path of letters, digits, '-', '_', '.' and '~', such as moonraker/printer1"
        )
    return prefix


Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
"""A TCP port."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`: where to listen, where Klippy is, and what the HTTP server allows.

    `host` is an address, a host name, or "all" for every IPv4 and IPv6 address. Without `enable_http` there
    is only HTTPS, on `ssl_port`; relative paths are meant in the data path. `max_upload_size` is in MiB.
    `client_queue_size` (KiB) may wait for a client, and nothing for longer than `client_queue_seconds`.
    `klippy_uds_address` is None when it isn't configured. `route_prefix` has no slash at either end.
    `frontend_path` is the folder of a front-end that is served at `/`; without, that is a welcome page.
    """

    host: Annotated[str, Option(clean=_host)] = "0.0.0.0"
    port: Port = 7125
    enable_http: bool = True
    ssl_port: Port = 7130
    ssl_certificate_path: Annotated[str | None, Option(template=True, clean=_file)] = None
    ssl_key_path: Annotated[str | None, Option(template=True, clean=_file)] = None
    klippy_uds_address: Annotated[
        str | None, Option(template=True, clean=str.strip, reported_default=DEFAULT_KLIPPY_ADDRESS)
    ] = None
    route_prefix: Annotated[str, Option(clean=_route_prefix)] = ""
    max_upload_size: Annotated[int, msgspec.Meta(ge=1, le=1024 * 1024)] = 1024
    max_websocket_connections: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 50
    enable_debug_logging: bool = False
    client_queue_size: Annotated[int, msgspec.Meta(ge=64, le=65536)] = 1024
    client_queue_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 30.0
    unix_socket_mode: Annotated[str, Option(clean=_mode)] = "0660"
    frontend_path: Annotated[str | None, Option(template=True, clean=_file)] = None


class AuthorizationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[authorization]`: who may use the API; list entries are as written. `login_timeout` is in days.

    `trusted_proxies` are believed when they say for whom they ask.
    """

    enable_api_key: bool = True
    login_timeout: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 90
    max_login_attempts: Annotated[int, msgspec.Meta(ge=1)] | None = None
    trusted_clients: list[str] = []
    trusted_proxies: list[str] = []
    cors_domains: list[str] = []
    force_logins: bool = False
    default_source: Annotated[Literal["moonraker", "ldap"], Option(unsupported_yet=True)] = "moonraker"


class MachineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[machine]`: how services are managed.

    `dbus_address` is the system bus, None for the one the environment names.
    """

    provider: Literal["systemd_dbus", "systemd_cli", "supervisord_cli", "none"] = "systemd_dbus"
    shutdown_action: Literal["poweroff", "halt"] = "poweroff"
    sudo_password: Annotated[str | None, Option(template=True, secret=True)] = None
    dbus_address: Annotated[str | None, Option(template=True, clean=str.strip)] = None
    validate_service: Annotated[bool, Option(unsupported_yet=True)] = False
    validate_config: Annotated[bool, Option(unsupported_yet=True)] = False
    force_validation: Annotated[bool, Option(unsupported_yet=True)] = False
    supervisord_config_path: Annotated[str | None, Option(unsupported_yet=True)] = None


class FileManagerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[file_manager]`: what may be done with files."""

    enable_config_write_access: bool = True
    enable_object_processing: bool = False
    file_system_observer: Literal["inotify", "none"] = "inotify"
    enable_observer_warnings: bool = True


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[logs]`: what is kept of each log; sizes are in MiB.

    Of the files put aside so many are kept, with so much in all. `max_size` is that of our own log.
    """

    rolled_files: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    rolled_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    max_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20


class DataStoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`[data_store]`: how many values are kept; a day of temperatures, one a second, is the most."""

    temperature_store_size: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 1200
    gcode_store_size: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
