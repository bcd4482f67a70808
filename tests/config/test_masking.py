"""Which values are shown, and which are `****`."""

from __future__ import annotations

import pytest

from txraker.config.errors import ConfigError
from txraker.config.masking import masked


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("mqtt", "password", "hunter2"),
        ("mqtt", "password", "hunter2{secrets.mqtt.password}"),
        ("ldap", "bind_password", "hunter2"),
        ("machine", "sudo_password", "hunter2"),
        ("power plug", "password", "hunter2"),
        ("power homeassistant", "token", "hunter2"),
        ("power hue", "user", "hunter2"),
        ("notifier print_start", "url", "tgram://hunter2/1"),
        ("power plug", "on_url", "http://me:hunter2@plug.local/on"),
        ("power plug", "status_url", "http://plug.local/cm?user=me&password=hunter2"),
        ("power plug", "request_template", '\n{% do add_header("Authorization", "Basic hunter2") %}'),
        ("update_manager app", "origin", "https://hunter2@github.com/me/app.git"),
        ("weather", "api_key", "hunter2"),
        ("cloud", "secret", "hunter2"),
    ],
)
def test_secrets(section: str, option: str, value: str) -> None:
    """A credential is masked, known by its option, its name or its look; in errors as well."""
    assert masked(section, option, value) == "****"
    assert "hunter2" not in str(ConfigError("must", section=section, option=option, value=value))


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("mqtt", "password", "{secrets.mqtt.password}"),
        ("notifier a", "url", " { secrets.a.b }{secrets.a.c} "),
        ("mqtt", "password", ""),
        ("mqtt", "username", "me"),
        ("mqtt", "password_file", "~/.mqttpass"),
        ("secrets", "secrets_path", "~/moonraker_secrets.ini"),
        ("authorization", "enable_api_key", "True"),
        ("webcam a", "stream_url", "/webcam/?action=stream"),
        ("power plug", "on_url", "http://plug.local/cm?cmnd=Power%20On"),
        ("update_manager app", "origin", "https://github.com/me/app.git"),
    ],
)
def test_not_secrets(section: str, option: str, value: str) -> None:
    """Everything else is shown: references to secrets, places of secrets, switches, plain addresses."""
    assert masked(section, option, value) == value


def test_known_secret() -> None:
    """A value known to be secret is masked whatever its option's name, unless it is a reference."""
    assert masked("door", "pin", "1234", secret=True) == "****"
    assert masked("door", "pin", "{secrets.door.pin}", secret=True) == "{secrets.door.pin}"


def test_long_values() -> None:
    """An error shows the beginning of a long value."""
    message = str(ConfigError("must be short", section="a", option="b", value="x" * 1000))
    assert message == f"option 'b' in section [a] is '{'x' * 80}...': it must be short"
