"""Starts and stops a real systemd; see the script beside this module."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define

_SCRIPT = Path(__file__).parent / "systemd-testbed"
_SYSTEMD = (Path("/lib/systemd/systemd"), Path("/usr/lib/systemd/systemd"))
_POLKIT = Path("/usr/lib/polkit-1/polkitd")


@define
class Testbed:
    """A systemd that runs. ``folder`` holds its units, rules and bus."""

    __test__ = False

    folder: Path

    @property
    def address(self) -> str:
        """The address of its bus."""
        return f"unix:path={self.folder / 'bus'}"

    def write_unit(self, name: str, text: str) -> None:
        """Write a unit file and let systemd read it."""
        (self.folder / "units" / name).write_text(text)
        self.busctl(
            "call",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "Reload",
        )

    def busctl(self, *arguments: str) -> str:
        """Do something on its bus, as somebody else than the server."""
        command = ["busctl", f"--address={self.address}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    def manage(self, method: str, *arguments: str) -> None:
        """Call a method of its manager, as somebody else than the server."""
        self.busctl(
            "call",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            method,
            *arguments,
        )

    def is_running(self) -> bool:
        """Say whether its manager is there."""
        number = (self.folder / "manager.pid").read_text().strip()
        try:
            stat = Path(f"/proc/{number}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def unit(self, method: str, unit: str) -> None:
        """Start, stop or restart a unit, as somebody else than the server."""
        self.busctl(
            "call",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            method,
            "ss",
            unit,
            "replace",
        )

    def main_process(self, unit: str) -> int:
        """Return the main process id of a service, 0 when it doesn't run."""
        return int(self._property(unit, "Service", "MainPID"))

    def state(self, unit: str) -> str:
        """Return the active state of a unit."""
        return self._property(unit, "Unit", "ActiveState").strip('"')

    def _property(self, unit: str, interface: str, name: str) -> str:
        path = "/org/freedesktop/systemd1/unit/" + unit.replace("-", "_2d").replace(".", "_2e")
        systemd1 = "org.freedesktop.systemd1"
        return self.busctl("get-property", systemd1, path, f"{systemd1}.{interface}", name).split()[1]

    def bus_process(self) -> int:
        """Return the process id of the bus."""
        found = subprocess.run(
            ["pgrep", "-f", f"config-file={self.folder}/units/bus.conf"],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return int(found.stdout.split()[0])

    def signal_bus(self, number: signal.Signals) -> None:
        """Send the bus a signal."""
        os.kill(self.bus_process(), number)

    def command_folder(self, folder: Path) -> Path:
        """Return a folder with a ``systemctl`` that speaks to this systemd; it needs ``user`` mode."""
        command = folder / "systemctl"
        command.write_text(
            f"#!/bin/sh\nXDG_RUNTIME_DIR={self.folder}/run DBUS_SESSION_BUS_ADDRESS={self.address} "
            f"SYSTEMD_UNIT_PATH={self.folder}/units "
            'exec /usr/bin/systemctl --user "$@"\n'
        )
        command.chmod(0o755)
        return folder

    def let_reach(self, path: Path) -> None:
        """Let every user of its namespaces reach what is in folders that are closed to them outside."""
        closed = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001]
        for number, folder in enumerate(closed):
            inner = folder / path.relative_to(folder).parts[0]
            script = (
                'set -e; mkdir "$1"; mount --bind "$3" "$1"; mount -t tmpfs -o mode=755 tmpfs "$2"; '
                'mkdir "$3"; mount --bind "$1" "$3"; umount "$1"'
            )
            words = self.inside("sh", "-c", script, "sh", f"{self.folder}/aside{number}", folder, inner)
            subprocess.run(words, check=True, timeout=20)

    def inside(self, *command: str | Path) -> list[str]:
        """Return the command that runs another inside its namespaces."""
        return [str(_SCRIPT), "enter", str(self.folder), *map(str, command)]


@contextmanager
def systemd(mode: str = "user", prepare: Callable[[Path], object] | None = None) -> Iterator[Testbed]:
    """Run a systemd in a mode of the script's as long as the context lasts; skip where there can be none.

    ``prepare`` is given the folder before the start. With ``TXRAKER_TESTS_NEED_SYSTEMD`` in the environment,
    the test fails where there can be no systemd.
    """
    reason = _missing(mode)
    if reason and os.environ.get("TXRAKER_TESTS_NEED_SYSTEMD"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="txr", dir="/tmp"))
    try:
        if prepare is not None:
            prepare(folder)
        started = subprocess.run(
            [_SCRIPT, mode, folder], capture_output=True, text=True, timeout=60, check=False
        )
        assert started.returncode == 0, started.stderr
        yield Testbed(folder)
    finally:
        subprocess.run([_SCRIPT, "stop", folder], timeout=60, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _missing(mode: str) -> str:
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    if not any(path.exists() for path in _SYSTEMD):
        return "the Debian package systemd is not installed"
    programs = {"dbus-daemon": "dbus", "busctl": "systemd", "unshare": "util-linux", "pgrep": "procps"}
    for program, package in programs.items():
        if shutil.which(program) is None:
            return f"the Debian package {package} is not installed"
    if mode == "system" and not _POLKIT.exists():
        return "the Debian package polkitd is not installed"
    return ""
