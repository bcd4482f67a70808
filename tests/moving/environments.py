"""Environments that somebody without rights can use: made by the machine's own Python, not by the tests'."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

MOONRAKER = "moonraker==0.11.0"

_CHECKOUT = Path(__file__).parents[2]
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "txraker", "twisted")
_PROGRAMS = "/usr/local/bin:/usr/bin:/bin"


@contextmanager
def moonraker_environment() -> Iterator[Path]:
    """Yield an environment that Moonraker is in; ``TXRAKER_MOONRAKER_VENV`` may name one.

    It is made where it isn't there. Where it can't be had the test is skipped; with
    ``TXRAKER_TESTS_NEED_MOONRAKER`` in the environment, it fails.
    """
    named = os.environ.get("TXRAKER_MOONRAKER_VENV")
    with _folder() as temporary:
        environment = Path(named) if named else temporary / "moonraker-env"
        if not (environment / "bin" / "python").exists():
            _make(environment, MOONRAKER)
        yield environment


@contextmanager
def txraker_environment() -> Iterator[Path]:
    """Yield an environment that txraker is in, as it is in this checkout; skip where it can't be had."""
    with _folder() as temporary:
        sources = temporary / "txraker"
        sources.mkdir()
        for name in _SOURCES:
            source = _CHECKOUT / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, sources / name)
        _make(temporary / "txraker-env", str(sources))
        yield temporary / "txraker-env"


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="txr-env-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _make(folder: Path, requirement: str) -> None:
    python = shutil.which("python3", path=_PROGRAMS)
    if python is None:
        _give_up(f"there is no python3 in {_PROGRAMS}")
    _run(python, "-m", "venv", folder)
    _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", requirement)


def _run(*command: str | Path | None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        _give_up(f"{' '.join(map(str, command))}\n{done.stdout}")


def _give_up(reason: str) -> None:
    if os.environ.get("TXRAKER_TESTS_NEED_MOONRAKER"):
        pytest.fail(reason)
    pytest.skip(reason)
