"""Moonraker, installed from PyPI into an environment of its own; txraker never depends on it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

REQUIREMENT: Final = "moonraker[speedups]==0.11.0"
_VENV: Final = Path(__file__).parent.parent / ".venv-moonraker"
_PYTHON: Final = _VENV / "bin" / "python"


def command() -> list[str]:
    """Return the command that runs Moonraker, installing it when it isn't there."""
    if not (_VENV / "bin" / "moonraker").exists():
        print(f"Installing {REQUIREMENT} into {_VENV}", file=sys.stderr, flush=True)
        venv.create(_VENV, with_pip=True, clear=True)
        subprocess.run(_pip("install", "--quiet", REQUIREMENT), check=True)
    return [str(_PYTHON), "-m", "moonraker"]


def versions() -> dict[str, str]:
    """Return the versions of what Moonraker's speed depends on."""
    done = subprocess.run(_pip("list", "--format=freeze"), check=True, capture_output=True, text=True)
    found = dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)
    return {name: found[name] for name in ("moonraker", "tornado", "msgspec", "uvloop") if name in found}


def _pip(*arguments: str) -> list[str]:
    return [str(_PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
