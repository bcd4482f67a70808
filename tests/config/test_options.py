"""The options of the sections every txraker reads."""

from __future__ import annotations

import pytest

from txraker.config.errors import ConfigError
from txraker.config.options import AuthorizationOptions, DataStoreOptions, ServerOptions
from txraker.config.parse import ParsedOption
from txraker.config.schema import SchemaT, read


def options(schema: type[SchemaT], **given: str) -> SchemaT:
    """Read options as a configuration would."""
    parsed = {name: ParsedOption(name, text, "moonraker.conf", 1) for name, text in given.items()}
    return read(
        schema, parsed, section="section", file=None, expand=lambda option, section: option.value
    ).options


def test_server_defaults() -> None:
    """The documented defaults of `[server]` hold; where Klippy is stays open."""
    server = ServerOptions()
    assert (server.host, server.port, server.ssl_port) == ("0.0.0.0", 7125, 7130)
    assert (server.max_upload_size, server.max_websocket_connections) == (1024, 50)
    assert (server.klippy_uds_address, server.route_prefix) == (None, "")


def test_authorization_defaults() -> None:
    """The documented defaults of `[authorization]` hold: nobody is trusted."""
    authorization = AuthorizationOptions()
    assert (authorization.enable_api_key, authorization.login_timeout) == (True, 90)
    assert (authorization.trusted_clients, authorization.cors_domains) == ([], [])
    assert authorization.trusted_proxies == []
    assert (authorization.force_logins, authorization.default_source) == (False, "moonraker")
    assert authorization.max_login_attempts is None


def test_trusted_proxies() -> None:
    """Proxies are listed one a line, like clients, and are as written."""
    authorization = options(AuthorizationOptions, trusted_proxies="\n10.0.0.2\n  2001:db8::/64\n")
    assert authorization.trusted_proxies == ["10.0.0.2", "2001:db8::/64"]


def test_data_store_defaults() -> None:
    """The documented defaults of `[data_store]` hold."""
    assert DataStoreOptions() == DataStoreOptions(temperature_store_size=1200, gcode_store_size=1000)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("/", ""),
        ("moonraker/printer1", "moonraker/printer1"),
        ("/printer1/", "printer1"),
        (" a.b_c~d-e ", "a.b_c~d-e"),
    ],
)
def test_route_prefix(written: str, meant: str) -> None:
    """A route prefix has no slash at either end, however it is written."""
    assert options(ServerOptions, route_prefix=written).route_prefix == meant


@pytest.mark.parametrize("written", ["a//b", "../a", "a/./b", "a b", "a?b", "a#b", "ä", "%2e", "http://a"])
def test_bad_route_prefix(written: str) -> None:
    """A route prefix that is no plain path is refused."""
    with pytest.raises(ConfigError, match="must be a path of letters"):
        options(ServerOptions, route_prefix=written)


@pytest.mark.parametrize("host", ["all", "::", "127.0.0.1", "printer.local"])
def test_host(host: str) -> None:
    """A host is one address or name, or the word for all of them."""
    assert options(ServerOptions, host=f" {host} ").host == host


@pytest.mark.parametrize("host", ["", "a b", "\na\nb"])
def test_bad_host(host: str) -> None:
    """No host and several hosts are refused."""
    with pytest.raises(ConfigError, match="one address"):
        options(ServerOptions, host=host)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_bad_port(port: str) -> None:
    """A port outside 1 to 65535 is refused."""
    with pytest.raises(ConfigError, match=r"must be an integer of at least 1 and at most 65535$"):
        options(ServerOptions, port=port)


@pytest.mark.parametrize(("name", "text"), [("temperature_store_size", "0"), ("gcode_store_size", "1000000")])
def test_store_sizes(name: str, text: str) -> None:
    """Stores that keep nothing, or more than memory should hold, are refused."""
    with pytest.raises(ConfigError, match="must be an integer of at least 1 and at most"):
        options(DataStoreOptions, **{name: text})
