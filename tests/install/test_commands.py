"""How programs are run, by real ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from txraker.install.commands import NOT_INSTALLED, NOT_RUNNABLE, TIMED_OUT, Commands, Outcome


def test_output_and_code() -> None:
    """What a program wrote and how it ended is told, in English and with odd bytes replaced."""
    script = 'printf "a\\377b"; echo "$LC_ALL" >&2; exit 3'
    outcome = Commands().run(["sh", "-c", script])
    assert outcome == Outcome(3, "a\ufffdb", "C\n")
    assert not outcome.is_good
    assert outcome.words == "C"


def test_input() -> None:
    """A program gets what it is given, and then the end of its input."""
    assert Commands().run(["cat"], given="ü\n") == Outcome(0, "ü\n")


def test_no_shell() -> None:
    """Words reach the program as they are."""
    assert Commands().run(["printf", "%s|", "a b", "$HOME;", "*"]).output == "a b|$HOME;|*|"


def test_missing_program() -> None:
    """A program that isn't there is an outcome that names it."""
    outcome = Commands().run(["no-such-program"])
    assert outcome.code == NOT_INSTALLED
    assert outcome.words == "no-such-program is not installed"


@pytest.mark.parametrize("word", ["a\0b", "/"])
def test_not_runnable(word: str) -> None:
    """What can't be run is an outcome, too."""
    outcome = Commands().run([word])
    assert outcome.code == NOT_RUNNABLE
    assert "can't be run" in outcome.words


def test_time_limit() -> None:
    """A program that takes too long is ended, and so is the waiting for its children."""
    outcome = Commands().run(["sh", "-c", "sleep 60 & echo $!; sleep 60"], 0.05)
    assert outcome.code == TIMED_OUT
    assert outcome.words == "sh didn't end within 0.05 seconds"


def test_silent_failure() -> None:
    """A failure without words is told by its code."""
    assert Commands().run(["false"]).words == "it ended with code 1"


def test_root() -> None:
    """Root needs no sudo; others have it before the words."""
    assert Commands(user_id=0).root_words(["true"]) == ["true"]
    assert Commands(user_id=1000).root_words(["true"]) == ["sudo", "--", "true"]
    assert Commands(user_id=0).as_root(["true"]).is_good


def test_sudo_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user a command is given to sudo."""
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\necho "sudo $@"\n')
    sudo.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Commands(user_id=1000).as_root(["id", "-u"]).output == "sudo -- id -u\n"
