"""Moonraker, installed from PyPI into an environment of its own; txraker never depends on it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

REQUIREMENT: Final = "moonraker[speedups]==0.11.0"
_VENV: Final = Path(__file__).parent.parent / ".venv-moonraker"


def program() -> Path:
    """Return the path of Moonraker's program, installing it when it isn't there."""
    path = _VENV / "bin" / "moonraker"
    if not path.exists():
        print(f"Installing {REQUIREMENT} into {_VENV}", file=sys.stderr, flush=True)
        venv.create(_VENV, with_pip=True, clear=True)
        install = [
            str(_VENV / "bin" / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            REQUIREMENT,
        ]
        subprocess.run(install, check=True)
    return path


def versions() -> dict[str, str]:
    """Return the versions of what Moonraker's speed depends on."""
    done = subprocess.run(
        [str(_VENV / "bin" / "pip"), "list", "--format=freeze", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)
    return {name: found[name] for name in ("moonraker", "tornado", "msgspec", "uvloop") if name in found}
