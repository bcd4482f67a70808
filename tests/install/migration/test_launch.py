"""Which data path and configuration a Moonraker is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from txraker.install.migration.launch import (
    Launch,
    command_of,
    environment_files,
    expanded,
    launch_of,
    variables_in,
)

HOME = Path("/home/pi")
PYTHON = "/home/pi/moonraker-env/bin/python"


@pytest.mark.parametrize(
    ("words", "variables", "data_path", "config_path"),
    [
        ("-m moonraker", {}, "/home/pi/printer_data", None),
        ("-m moonraker -d /srv/one", {}, "/srv/one", None),
        ("-m moonraker -d/srv/one", {}, "/srv/one", None),
        ("-m moonraker --datapath /srv/one", {}, "/srv/one", None),
        ("-m moonraker --datapath=/srv/one", {}, "/srv/one", None),
        ("-m moonraker -d /srv/one -d /srv/two", {}, "/srv/two", None),
        ("-m moonraker -d one", {}, "/opt/one", None),
        ("-m moonraker -d ~/one", {}, "/home/pi/one", None),
        ("-m moonraker", {"MOONRAKER_DATA_PATH": "/srv/one"}, "/srv/one", None),
        ("-m moonraker -d /srv/two", {"MOONRAKER_DATA_PATH": "/srv/one"}, "/srv/two", None),
        ("x.py -d /srv/one -c /etc/m.conf -l /x", {}, "/srv/one", "/etc/m.conf"),
        ("x.py", {"MOONRAKER_CONFIG_PATH": "/etc/m.conf"}, "/home/pi/printer_data", "/etc/m.conf"),
        ("", {}, "/home/pi/printer_data", None),
        ("x.py --debug -v -d", {}, "/home/pi/printer_data", None),
    ],
)
def test_launch(words: str, variables: dict[str, str], data_path: str, config_path: str | None) -> None:
    """Options come before variables, and these before the data folder in the user's home."""
    launch = launch_of([PYTHON, *words.split()], variables, Path("/opt"), HOME)
    assert launch == Launch(Path(data_path), Path(config_path) if config_path else None)


def test_command() -> None:
    """The words of a unit's command are found in what systemctl shows of it."""
    shown = (
        f"{{ path={PYTHON} ; argv[]={PYTHON} $MOONRAKER_ARGS -d '/srv/my printer' ; ignore_errors=no ; "
        "start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )
    assert command_of(shown) == [PYTHON, "$MOONRAKER_ARGS", "-d", "/srv/my printer"]


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("", []),
        ("nonsense", []),
        ("argv[]=a 'b ; ignore_errors=no", ["a", "'b"]),
    ],
)
def test_odd_command(shown: str, words: list[str]) -> None:
    """A command that can't be understood is taken as it is, or as none."""
    assert command_of(shown) == words


def test_expanded() -> None:
    """A variable alone may be several words, also quoted ones, or none; one in braces is part of its word."""
    variables = {"ARGS": "-m moonraker -d '/srv/my printer'", "NAME": "a b"}
    assert expanded(["x", "$ARGS", "$NONE", "-d${NAME}", "${NONE}", "a$ARGS"], variables) == [
        "x", "-m", "moonraker", "-d", "/srv/my printer", "-da b", "", "a$ARGS",
    ]  # fmt: skip


def test_environment_file() -> None:
    """An environment file has quotes, comments, continued lines and odd ones."""
    text = (
        '# comment\n; another\n\nMOONRAKER_DATA_PATH="/home/pi/printer data"\n'
        "MOONRAKER_ARGS='-m moonraker'\nPLAIN=a b\nLONG=one\\\n two\nnonsense\nODD='x\nEMPTY=\n"
    )
    assert variables_in(text) == {
        "MOONRAKER_DATA_PATH": "/home/pi/printer data",
        "MOONRAKER_ARGS": "-m moonraker",
        "PLAIN": "a b",
        "LONG": "one two",
        "ODD": "'x",
        "EMPTY": "",
    }


def test_environment_files() -> None:
    """The files that a unit names are found in what systemctl shows."""
    shown = "/a b.env (ignore_errors=no)\n/c.env (ignore_errors=yes)\n\n"
    assert list(environment_files(shown)) == ["/a b.env", "/c.env"]
