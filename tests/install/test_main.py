"""Where the command begins, also in a venv that lacks packages."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import txraker
from txraker.__main__ import remedy

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("module", "package"),
    [("attr", None), ("attrs", "attrs"), ("twisted.internet", "twisted"), ("zope", "zope")],
)
def test_remedy(module: str, package: str | None) -> None:
    """A module is installed by the requirement that has its name; for another all are."""
    command = remedy(module)
    assert command.startswith(f"{PYTHON} -m pip install ")
    assert len(command.split()) == 5 if package else len(command.split()) > 10
    assert package is None or command.split()[4].strip("'").startswith(package)


def test_remedy_of_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we aren't installed at all, it is this source that is; there is no txraker on PyPI."""

    def requires(name: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", requires)
    assert remedy("attrs") == shlex.join([PYTHON, "-m", "pip", "install", str(Path(__file__).parents[2])])


def test_missing_package(tmp_path: Path) -> None:
    """Where a package is missing the command says which, and how to install it, without a traceback."""
    (tmp_path / "msgspec").mkdir()
    (tmp_path / "msgspec" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No msgspec', name='msgspec')"
    )
    path = f"{tmp_path}:{Path(txraker.__file__).parents[1]}"
    run = subprocess.run(
        [PYTHON, "-m", "txraker", "doctor"],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[0] == "txraker: No msgspec; this installs what is missing:"
    assert "pip install 'msgspec>=" in run.stderr
    assert "Traceback" not in run.stderr


def test_broken_pipe() -> None:
    """Whoever stops reading sees no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [PYTHON, "-m", "txraker", "unit", "--user", "daemon"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (1, b"")


def test_odd_bytes() -> None:
    """A path that is no UTF-8 is shown as well as it can be, whatever the locale."""
    run = subprocess.run(
        [PYTHON, "-m", "txraker", "unit", "--user", "daemon", "-d", b"/d/\xff\xc3\xbc"],
        env={"LC_ALL": "POSIX"},
        capture_output=True,
        check=False,
    )
    assert run.stderr == b""
    assert run.returncode == 0
    assert '--data-path "/d/\\xffü"' in run.stdout.decode()
