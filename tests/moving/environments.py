"""The environment that Moonraker is in."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

REQUIREMENT = "moonraker==0.11.0"


@contextmanager
def moonraker_environment() -> Iterator[Path]:
    """Yield an environment that Moonraker is in; ``TXRAKER_MOONRAKER_VENV`` may name one.

    It is made where it isn't there. Where it can't be had the test is skipped; with
    ``TXRAKER_TESTS_NEED_MOONRAKER`` in the environment, it fails.
    """
    named = os.environ.get("TXRAKER_MOONRAKER_VENV")
    with TemporaryDirectory(prefix="txr-env-", dir="/tmp") as temporary:
        Path(temporary).chmod(0o755)
        environment = Path(named) if named else Path(temporary) / "moonraker-env"
        if not (environment / "bin" / "moonraker").exists():
            _make(environment)
        yield environment


def _make(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", REQUIREMENT]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == 0:
        return
    reason = f"{' '.join(command)} on Python {sys.version}:\n{done.stdout}"
    if os.environ.get("TXRAKER_TESTS_NEED_MOONRAKER"):
        pytest.fail(reason)
    pytest.skip(reason)
