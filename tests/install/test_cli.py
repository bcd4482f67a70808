"""The command line ``txraker``: it parses, picks, and says what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from txraker import cli

UNIT = ["unit", "--user", "daemon", "--name", "printer2", "-d", "/a", "-d", "/b"]


def test_unit(capsys: pytest.CaptureFixture[str]) -> None:
    """The unit is that of the user, name and data paths that are given."""
    assert cli.main([*UNIT, "--print", "unit"]) == 0
    printed = capsys.readouterr().out
    assert "\nUser=daemon\n" in printed
    assert " txraker --data-path /a --data-path /b\n" in printed
    assert cli.main([*UNIT, "--print", "rule"]) == 0
    assert '"printer2.service"' in capsys.readouterr().out


def test_unit_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Without options both files are shown."""
    assert cli.main(UNIT) == 0
    printed = capsys.readouterr().out
    assert "/etc/systemd/system/printer2.service:\n" in printed
    assert "/etc/polkit-1/rules.d/60-printer2.rules:\n" in printed


@pytest.mark.parametrize("command", ["unit", "doctor"])
def test_root(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Root is told to be somebody else."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cli.main([command]) == 1
    assert capsys.readouterr().err.startswith("txraker: txraker shouldn't run as root")


def test_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The doctor looks at the data path that is given."""
    monkeypatch.setattr("os.geteuid", lambda: 1)
    assert cli.main(["doctor", "-d", str(tmp_path), "--name", "no-such-txraker"]) in (0, 1)
    printed = capsys.readouterr()
    assert str(tmp_path) in printed.out
    assert "no-such-txraker.service isn't installed" in printed.out
    assert printed.err == ""


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who interrupts a command sees no traceback."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    assert cli.main([*UNIT, "--print", "unit"], interrupt) == 130
    assert capsys.readouterr().err == "txraker: interrupted\n"
