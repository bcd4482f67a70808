"""Cameras of libcamera: the script that asks, and when it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.system.peripherals.boards import grow
from tests.system.peripherals.cameras import SEEN, SENSOR, WEBCAM, Programs, install
from tests.tools import result_of, start
from txraker.reactor import Reactor
from txraker.system.peripherals.libcamera import PATIENCE, SCRIPT, SYSTEM_PYTHON, Libcamera
from txraker.system.process import Finished, run
from txraker.testing.threads import at_once


def asked(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with the module of a folder."""
    command = [sys.executable, "-c", SCRIPT]
    environment = {"PYTHONPATH": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_script(tmp_path: Path) -> None:
    """The script tells the cameras of the documentation, whatever libcamera prints or does at its end."""
    finished = asked(install(tmp_path, SENSOR, WEBCAM))
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[-1]) == SEEN


@pytest.mark.parametrize("raw", [None, "error", {}])
@pytest.mark.parametrize("video", [None, "error", {}])
def test_camera_without_modes(tmp_path: Path, raw: object, video: object) -> None:
    """A camera that says nothing of its modes or its model is there without modes, called by its id."""
    finished = asked(install(tmp_path, ("cam0", {}, {"Raw": raw, "VideoRecording": video})))
    assert json.loads(finished.stdout.splitlines()[-1]) == [
        {"libcamera_id": "cam0", "model": "cam0", "modes": []}
    ]


def test_no_cameras(tmp_path: Path) -> None:
    """Without cameras there are none."""
    assert asked(install(tmp_path)).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "place",
    [
        "usr/lib/python3/dist-packages",
        "usr/lib/python3.11/dist-packages",
        "usr/lib64/python3.13/site-packages",
        "usr/local/lib/python3.11/dist-packages",
    ],
)
def test_installed(tmp_path: Path, place: str) -> None:
    """Where the module is installed, the distribution's Python is asked, for a limited time."""
    install(tmp_path / place)
    programs = Programs()
    found = result_of(Libcamera(tmp_path, at_once, programs.run).devices())
    assert msgspec.to_builtins(found) == SEEN
    assert programs.commands == [([*SYSTEM_PYTHON, "-c", SCRIPT], PATIENCE)]


@pytest.mark.parametrize("place", ["", "usr/lib/python3/dist-packages", "home/pi/.local/lib/python3.11"])
def test_not_installed(tmp_path: Path, place: str) -> None:
    """Where it isn't, nothing is run, whatever is called alike."""
    grow(tmp_path, {f"{place or 'opt'}/libcamera-apps/__init__.py": "", "usr/lib/libcamera/ipa.so": ""})
    programs = Programs()
    assert result_of(Libcamera(tmp_path, at_once, programs.run).devices()) == []
    assert programs.commands == []


@pytest.mark.parametrize(
    "finished",
    [
        Finished(1, json.dumps(SEEN) + "\n", "Traceback"),
        Finished(None, json.dumps(SEEN) + "\n", ""),
        Finished(127, "", "/usr/bin/python3 is not installed"),
        Finished(0, "", ""),
        Finished(0, "no JSON\n", ""),
        Finished(0, '[{"libcamera_id": 1, "model": "x", "modes": []}]\n', ""),
        Finished(0, json.dumps(SEEN)[:-1] + "\n", ""),
    ],
)
def test_failure(tmp_path: Path, finished: Finished) -> None:
    """A program that fails, is killed or says something else has no cameras to tell."""
    install(tmp_path / "usr/lib/python3/dist-packages")
    assert result_of(Libcamera(tmp_path, at_once, Programs(finished).run).devices()) == []


def test_one_at_a_time(tmp_path: Path) -> None:
    """Those who ask at the same time wait for each other, and one that goes away holds nobody up."""
    install(tmp_path / "usr/lib/python3/dist-packages")
    programs = Programs()
    libcamera = Libcamera(tmp_path, at_once, programs.begin)
    first, second, third = (start(libcamera.devices()) for _ in range(3))
    assert len(programs.running) == 1
    second.deferred.cancel()
    programs.running[0].callback(programs.finished)
    assert len(first.result()) == 2
    assert (second.error is not None, third.done, len(programs.running)) == (True, False, 2)
    programs.running[1].callback(programs.finished)
    assert len(third.result()) == 2


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_real_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process of another Python tells its cameras to the reactor."""
    packages = install(tmp_path / "usr/lib/python3/dist-packages", SENSOR, WEBCAM)
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(packages))
    programs = partial(run, cast("Reactor", reactor))
    found = await Libcamera(tmp_path, at_once, programs, (sys.executable,)).devices()
    assert msgspec.to_builtins(found) == SEEN
