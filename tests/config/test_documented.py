"""The catalogue of documented names."""

from __future__ import annotations

import pytest

from txraker.config.documented import MOVED, is_documented_option, is_documented_section
from txraker.config.options import AuthorizationOptions, DataStoreOptions, ServerOptions


@pytest.mark.parametrize(
    "section", ["server", "mqtt", "update_manager", "update_manager klipper", "power my printer", "sensor a"]
)
def test_documented_sections(section: str) -> None:
    """Sections of the documentation are known, with and without a name as documented."""
    assert is_documented_section(section)


@pytest.mark.parametrize("section", ["fake_section", "server two", "power", "webcam", "Server", "DEFAULT"])
def test_undocumented_sections(section: str) -> None:
    """Other sections are not, nor those that lack the name they need or have one they can't have."""
    assert not is_documented_section(section)


@pytest.mark.parametrize(
    ("section", "option"),
    [
        ("server", "ssl_certificate_path"),
        ("mqtt", "password_file"),
        ("power plug", "off_when_shutdown"),
        ("update_manager", "refresh_window"),
        ("update_manager app", "managed_services"),
        ("sensor a", "parameter_energy"),
        ("sensor a", "history_field_total"),
    ],
)
def test_documented_options(section: str, option: str) -> None:
    """Options of the documentation are known, deprecated ones and those with a name of one's own too."""
    assert is_documented_option(section, option)


@pytest.mark.parametrize(
    ("section", "option"),
    [
        ("authorization", "api_key_path"),
        ("update_manager app", "refresh_window"),
        ("fake_section", "port"),
        ("sensor a", "history"),
    ],
)
def test_undocumented_options(section: str, option: str) -> None:
    """Other options are not."""
    assert not is_documented_option(section, option)


OURS = {
    *("client_queue_size", "client_queue_seconds", "enable_http", "frontend_path", "trusted_proxies"),
    "unix_socket_mode",
}
"""Options of shared sections that only txraker knows."""


def test_supported_options_are_documented() -> None:
    """Every option txraker reads from a shared section is known to the documentation or ours."""
    schemas = {
        "server": ServerOptions,
        "authorization": AuthorizationOptions,
        "data_store": DataStoreOptions,
    }
    for section, schema in schemas.items():
        for option in schema.__struct_fields__:
            assert is_documented_option(section, option) is (option not in OURS), (section, option)


def test_moved_options() -> None:
    """An option that moved is documented where it is now, and no longer where it was."""
    for (section, option), now in MOVED.items():
        assert is_documented_option(now, option)
        assert not is_documented_option(section, option)
