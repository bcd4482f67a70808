"""The servers as users install them: each in an environment of its own, with what it needs and no more.

What developers of txraker have installed besides would be imported by Twisted, and weigh.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

_BENCHMARKS: Final = Path(__file__).parent.parent


@frozen
class Environment:
    """A virtual environment in ``folder``, for what pip knows as ``requirement``."""

    folder: Path
    requirement: str

    def program(self, name: str) -> str:
        """Return the path of a program in it."""
        return str(self.folder / "bin" / name)

    def install(self) -> None:
        """Make it if it isn't there."""
        if not (self.folder / "installed").exists():
            print(f"Installing {self.requirement} into {self.folder}", file=sys.stderr, flush=True)
            venv.create(self.folder, with_pip=True, clear=True)
            self._pip("install", "--quiet", self.requirement)
            (self.folder / "installed").touch()

    def renew(self) -> None:
        """Install the newest state of what comes from a folder, and leave all else."""
        self.install()
        self._pip("install", "--quiet", "--no-deps", "--force-reinstall", self.requirement)
        # Twisted notes which plugins there are at the first start, which is no start like others.
        subprocess.run([self.program("twistd"), "txraker", "--help"], check=True, stdout=subprocess.DEVNULL)

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        """Return the versions of packages in it, of those that are there; names are in lower case."""
        listed = self._pip("list", "--format=freeze").lower().splitlines()
        found = dict(line.split("==", 1) for line in listed if "==" in line)
        return {name: found[name] for name in names if name in found}

    def _pip(self, *arguments: str) -> str:
        command = [self.program("python"), "-m", "pip", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


MOONRAKER: Final = Environment(_BENCHMARKS / ".venv-moonraker", "moonraker[speedups]==0.11.0")
TXRAKER: Final = Environment(_BENCHMARKS / ".venv-txraker", str(_BENCHMARKS.parent))
