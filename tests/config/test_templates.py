"""Template references and the secrets they refer to."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txraker.config.errors import ConfigError
from txraker.config.parse import ParsedOption
from txraker.config.templates import SecretsError, TemplateContext, expand, parse_secrets

CONTEXT = TemplateContext(
    "/home/pi/printer_data",
    {
        "mqtt": {
            "username": "me",
            "password": "hunter2",
            "port": 1883,
            "tls": True,
            "nested": {"deep": "down"},
        }
    },
)


def expanded(text: str) -> str:
    """Expand `text` as the value of an option."""
    return expand(ParsedOption("password", text, "moonraker.conf", 3), "mqtt", CONTEXT)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{data_path}/comms/klippy.sock", "/home/pi/printer_data/comms/klippy.sock"),
        ("{ data_path }", "/home/pi/printer_data"),
        ("{secrets.mqtt.password}", "hunter2"),
        ("{ secrets.mqtt.username\t}:{secrets.mqtt.password}", "me:hunter2"),
        ("{secrets.mqtt.nested.deep}", "down"),
        ("{secrets.mqtt.port}", "1883"),
        ("{secrets.mqtt.tls}", "True"),
        ("{secrets.MQTT.Username}", "me"),
    ],
)
def test_references(text: str, meant: str) -> None:
    """References to the data folder and to secrets are replaced, with or without spaces in the braces."""
    assert expanded(text) == meant


@pytest.mark.parametrize(
    "text", ["{event_name}", "{% if a %}", "{secrets}", "{data_path|upper}", "{}", "{ secrets.mqtt.", "plain"]
)
def test_other_braces(text: str) -> None:
    """Anything else in braces is left as it is."""
    assert expanded(text) == text


def test_replaced_once() -> None:
    """A secret that looks like a reference is not expanded again."""
    context = TemplateContext("/data", {"a": {"b": "{data_path}"}})
    assert expand(ParsedOption("x", "{secrets.a.b}", "f", 1), "s", context) == "{data_path}"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{secrets.mqtt.missing}", "secrets.mqtt.missing"),
        ("hunter2{secrets.nobody.password}", "secrets.nobody.password"),
        ("{secrets.mqtt.password.more}", "secrets.mqtt.password.more"),
        ("{secrets.mqtt.nested}", "not a single value"),
    ],
)
def test_unknown_secrets(text: str, named: str) -> None:
    """A reference to nothing is an error that names section, option and secret, without any value."""
    with pytest.raises(ConfigError) as caught:
        expanded(text)
    message = str(caught.value)
    assert "moonraker.conf, line 3: option 'password' in section [mqtt]" in message
    assert named in message
    assert "hunter2" not in message
    assert "down" not in message


def test_context_hides_secrets() -> None:
    """Secrets don't show when a context is printed."""
    assert "hunter2" not in repr(CONTEXT)


def test_ini_secrets() -> None:
    """The secrets file may be sections and options."""
    text = "# mine\n[mqtt]\nUsername: me\npassword = hunter2\n"
    assert parse_secrets(text) == {"mqtt": {"username": "me", "password": "hunter2"}}


def test_json_secrets() -> None:
    """The secrets file may be a JSON object with values of any type."""
    assert parse_secrets('\ufeff\n {"mqtt": {"port": 1883, "on": true}}') == {
        "mqtt": {"port": 1883, "on": True}
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"password": "hunter2"',
        "hunter2",
        "[a]\nhunter2",
        "[a]\nx: hunter2\nx: hunter2",
        "[include hunter2]",
        '{"a":' * 100_000 + '"hunter2"',
        '{"hunter2": ' + "9" * 10_000 + "}",
    ],
)
def test_broken_secrets(text: str) -> None:
    """A secrets file that can't be understood is an error that tells nothing of its contents."""
    with pytest.raises(SecretsError) as caught:
        parse_secrets(text)
    assert "hunter2" not in str(caught.value)


@settings(deadline=None)
@given(st.text())
def test_any_secrets(text: str) -> None:
    """Any text is either read or refused with a SecretsError."""
    with contextlib.suppress(SecretsError):
        assert isinstance(parse_secrets(text), dict)
