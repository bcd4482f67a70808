"""The text of the PolicyKit rule; what a real PolicyKit makes of it is in test_on_systemd.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.install.fakes import INSTALLATION
from txraker.install.polkit import rule_path, rule_text, script_text
from txraker.install.unit import is_ours

STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
ODD = st.text(st.sampled_from("a\"'\\\n\r/*<>;\u2028\u2029ü\udc80\0") | st.characters(), max_size=12)


@given(ODD, ODD)
def test_nothing_breaks_out(user: str, service: str) -> None:
    """Whatever users and services are called, only the contents of strings differ."""
    odd = rule_text(evolve(INSTALLATION, user=user), [service])
    plain = rule_text(INSTALLATION, ["crowsnest"])
    if service.removesuffix(".service") != "txraker":
        assert STRING.sub("S", odd) == STRING.sub("S", plain)
    strings = [json.loads(string) for string in STRING.findall(odd)]
    assert user in strings
    assert service.removesuffix(".service") + ".service" in strings
    assert odd.isascii()


@given(ODD)
def test_script_text(text: str) -> None:
    """A text is one string of JavaScript on one line, without anything that ends a script."""
    assert STRING.fullmatch(script_text(text))
    assert json.loads(script_text(text)) == text


def test_services() -> None:
    """Our own unit and the services that are allowed are listed, each once; Moonraker isn't one of them."""
    text = rule_text(evolve(INSTALLATION, name="printer1"), ["crowsnest", "webcamd.service", "crowsnest"])
    assert [found for found in STRING.findall(text) if found.endswith('.service"')] == [
        '"printer1.service"',
        '"crowsnest.service"',
        '"webcamd.service"',
    ]
    assert "moonraker" not in text


def test_path() -> None:
    """The rule is named after the unit, and known as ours."""
    assert rule_path(INSTALLATION) == Path("/etc/polkit-1/rules.d/60-txraker.rules")
    assert is_ours(rule_text(INSTALLATION, []))
