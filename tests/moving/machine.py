"""A machine of its own: a systemd with units, users and an ``/etc`` that nobody else has."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define

from tests.testbed.systemd import Testbed, systemd

USER = "printer"
"""Who uses the printer: somebody without rights, who may ``sudo`` as on an image for a Raspberry Pi."""

_ID = 20714
_TARGETS = ("network.target", "network-online.target", "multi-user.target")
_PATIENCE = 180.0


@define(eq=False)
class Machine:
    """A machine that runs, with the user's home. Its ports are those of this one."""

    testbed: Testbed

    @property
    def home(self) -> Path:
        """The user's home, the same inside and outside."""
        return _home(self.testbed.folder)

    @property
    def units(self) -> Path:
        """What is ``/etc/systemd/system`` inside."""
        return self.testbed.folder / "units"

    @property
    def rules(self) -> Path:
        """What is ``/etc/polkit-1/rules.d`` inside."""
        return self.testbed.folder / "rules"

    def attempt(self, command: str, answers: str = "") -> subprocess.CompletedProcess[str]:
        """Type a command as the user, who gives answers when asked; both outputs come in one."""
        return subprocess.run(
            self.testbed.inside("runuser", "--login", USER, "--command", command),
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def type(self, command: str, answers: str = "") -> str:
        """Type a command as the user, which must succeed, and return what it says."""
        done = self.attempt(command, answers)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Write a file of the user's, with the folders that it needs."""
        self.type(f"mkdir -p {shlex.quote(str(path.parent))}")
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, _ID, _ID)

    def is_enabled(self, unit: str) -> bool:
        """Say whether a unit is started when the machine starts."""
        return self.attempt(f"systemctl is-enabled {unit}").stdout.strip() == "enabled"


@contextmanager
def machine() -> Iterator[Machine]:
    """Run a machine as long as the context lasts; skip, or fail, where there can be none."""
    reason = _missing()
    if reason and os.environ.get("TXRAKER_TESTS_NEED_SYSTEMD"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with systemd("system", _furnish) as testbed:
        for path in (Path(sys.executable).resolve(), Path(sys.prefix), Path(__file__)):
            testbed.let_reach(path)
        for target in _TARGETS:
            testbed.write_unit(target, "[Unit]\nDefaultDependencies=no\n")
        yield Machine(testbed)


def _missing() -> str:
    return "" if shutil.which("sudo") else "the Debian package sudo is not installed"


def _furnish(folder: Path) -> None:
    """Make what is ``/etc`` inside, with a user."""
    etc = folder / "etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    _add(etc / "passwd", f"{USER}:x:{_ID}:{_ID}::{_home(folder)}:/bin/bash")
    _add(etc / "group", f"{USER}:x:{_ID}:")
    _add(etc / "shadow", f"{USER}:*:19000:0:99999:7:::")
    rights = etc / "sudoers.d" / USER
    rights.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    rights.chmod(0o440)
    home = _home(folder)
    home.mkdir()
    os.chown(home, _ID, _ID)


def _add(file: Path, line: str) -> None:
    with file.open("a") as lines:
        lines.write(line + "\n")


def _home(folder: Path) -> Path:
    return folder / "home"
