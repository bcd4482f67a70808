"""The text of the systemd unit, read by a parser of our own that follows systemd's manual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.install.fakes import INSTALLATION
from txraker.install.unit import HARDENING, is_ours, unit_path, unit_text

ODD = st.text(st.sampled_from("ab /%$\"'\\;#\n\r\t\x7f=ü\u2028\udc80\x01{}hH~"), max_size=20)


def settings(text: str) -> dict[str, list[str]]:
    """Return the settings of a unit, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def words(value: str, *, unescapes: bool) -> list[str]:
    """Split a value as systemd does: quotes, backslashes, ``%%``; odd bytes are as in paths."""
    return [b"".join(word).decode("utf-8", "surrogateescape") for word in _split(value, unescapes=unescapes)]


def _split(value: str, *, unescapes: bool) -> Iterator[list[bytes]]:
    rest, word, quote = list(value.replace("%%", "%")), list[bytes](), ""
    is_word = False
    while rest:
        character = rest.pop(0)
        if character == "\\":
            is_word = True
            if rest[0] == "x" and unescapes:
                word.append(bytes.fromhex("".join(rest[1:3])))
                del rest[:3]
            else:
                assert not unescapes or rest[0] in "\"'\\"
                word.append(rest.pop(0).encode())
        elif character == quote:
            quote = ""
        elif not quote and not is_word and character in "\"'":
            quote, is_word = character, True
        elif not quote and character == " ":
            if is_word:
                yield word
            word, is_word = [], False
        else:
            is_word = True
            word.append(character.encode("utf-8", "surrogateescape"))
    assert not quote
    if is_word:
        yield word


@given(st.lists(ODD, max_size=3))
def test_odd_paths(names: list[str]) -> None:
    """Whatever data paths are called, the server gets just them, and no other setting changes."""
    paths = tuple(Path("/") / name.strip("/") for name in names)
    found = settings(unit_text(evolve(INSTALLATION, data_paths=paths)))
    (command,) = found["ExecStart"]
    given_words = words(command, unescapes=True)
    assert given_words[:4] == ["/home/pi/env/bin/twistd", "--nodaemon", "--pidfile=", "txraker"]
    assert all("$" not in word.replace("$$", "") for word in given_words)
    assert [word.replace("$$", "$") for word in given_words[4:]] == [
        word for path in paths for word in ("--data-path", str(path))
    ]
    mounts = words(found.get("RequiresMountsFor", [""])[0], unescapes=False)
    assert mounts == [str(path) for path in paths if str(path).isprintable()]
    plain = settings(unit_text(INSTALLATION))
    changed = ("ExecStart", "RequiresMountsFor")
    assert {k: v for k, v in found.items() if k not in changed} == {
        k: v for k, v in plain.items() if k not in changed
    }


def test_what_it_says() -> None:
    """The unit runs the venv's server as the user, learns when it is up, and restarts it."""
    found = settings(unit_text(INSTALLATION))
    assert unit_path(INSTALLATION) == Path("/etc/systemd/system/txraker.service")
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "User": "pi",
        "Group": "pi",
        "SupplementaryGroups": "dialout video",
        "WorkingDirectory": "-~",
        "Restart": "always",
        "RestartSec": "2",
        "WatchdogSec": "30",
        "TimeoutStopSec": "90",
        "After": "network.target",
        "WantedBy": "multi-user.target",
        "ExecStart": "/home/pi/env/bin/twistd --nodaemon --pidfile= txraker "
        "--data-path /home/pi/printer_data",
    }
    assert {name: found[name] for name in expected} == {name: [value] for name, value in expected.items()}


def test_no_groups() -> None:
    """Without helpful groups none are named."""
    assert "SupplementaryGroups" not in settings(unit_text(evolve(INSTALLATION, groups=())))


def test_venv_in_an_odd_place() -> None:
    """A program's path is quoted, with its specifiers escaped; variables aren't expanded in it."""
    (command,) = settings(unit_text(evolve(INSTALLATION, twistd=Path("/my $env/100%/twistd"))))["ExecStart"]
    assert command.startswith('"/my $env/100%%/twistd" --nodaemon ')


@pytest.mark.parametrize(
    "directive",
    ["PrivateTmp", "ProtectHome", "PrivateDevices", "ProtectProc", "ProtectClock", "ProtectHostname"],
)
def test_what_would_break_it(directive: str) -> None:
    """Nothing hides Klippy's socket, homes, devices or other processes."""
    assert directive not in settings(unit_text(INSTALLATION))


def test_sudo() -> None:
    """A server that is to use sudo may become root: nothing is in its unit that would keep sudo from it."""
    text = unit_text(evolve(INSTALLATION, uses_sudo=True))
    assert "NoNewPrivileges=yes" in HARDENING
    assert not set(HARDENING) & set(text.splitlines())
    assert set(HARDENING) <= set(unit_text(INSTALLATION).splitlines())


def test_marker() -> None:
    """Our unit is known as ours, also when somebody changed it; others aren't."""
    assert is_ours(unit_text(INSTALLATION) + "Nice=5\n")
    assert not is_ours("[Unit]\n" + unit_text(INSTALLATION))
    assert not is_ours("")


def test_network() -> None:
    """The network is waited for where an address is to be listened on that comes with it."""
    assert settings(unit_text(INSTALLATION))["After"] == ["network.target"]
    found = settings(unit_text(evolve(INSTALLATION, needs_network=True)))
    assert (found["Wants"], found["After"]) == (["network-online.target"], ["network-online.target"])
