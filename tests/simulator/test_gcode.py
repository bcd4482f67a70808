"""Parsing lines of gcode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.simulator.errors import CommandError
from txraker.simulator.gcode import parse_line


@pytest.mark.parametrize(
    ("line", "name", "params"),
    [
        ("G1 X10 Y-2.5 F3000", "G1", {"X": "10", "Y": "-2.5", "F": "3000"}),
        ("g1x10y20", "G1", {"X": "10", "Y": "20"}),
        ("N12 G28 X", "G28", {"X": ""}),
        ("G1 X1 ; a comment with Y2", "G1", {"X": "1"}),
        ("SET_PIN PIN=caselight VALUE=0.5", "SET_PIN", {"PIN": "caselight", "VALUE": "0.5"}),
        ('RESPOND MSG="a b" type=error', "RESPOND", {"MSG": "a b", "TYPE": "error"}),
        ("STATUS", "STATUS", {}),
        ("M117 it's 5 o'clock", "M117", {}),
    ],
)
def test_lines(line: str, name: str, params: dict[str, str]) -> None:
    """A line yields its upper-case name and its parameters."""
    command = parse_line(line)
    assert command is not None
    assert (command.name, dict(command.params)) == (name, params)


@pytest.mark.parametrize("line", ["", "   ", "; comment", "# comment"])
def test_nothing(line: str) -> None:
    """A line of comments and white space is no command."""
    assert parse_line(line) is None


def test_malformed() -> None:
    """An extended command with a word that is no KEY=VALUE is marked, not refused."""
    command = parse_line("SET_PIN caselight")
    assert command is not None
    assert command.malformed


def test_bounds() -> None:
    """A parameter that is missing, no number or out of bounds is refused in Klippy's words."""
    command = parse_line("SET_PIN VALUE=2 NAME=x")
    assert command is not None
    with pytest.raises(CommandError, match="missing PIN"):
        command.get("PIN")
    with pytest.raises(CommandError, match=r"VALUE must have maximum of 1\.0"):
        command.number("VALUE", maximum=1.0)
    with pytest.raises(CommandError, match="unable to parse x"):
        command.number("NAME")


@given(st.text())
def test_any_text(line: str) -> None:
    """No text makes the parser fail."""
    parse_line(line)
