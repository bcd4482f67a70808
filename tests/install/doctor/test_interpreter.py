"""Python, its venv and its packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import INSTALLATION
from txraker.install.doctor.finding import Finding, bad, good, warning
from txraker.install.doctor.interpreter import (
    InterpreterFacts,
    interpreter_findings,
    read_interpreter,
    user_name,
)
from txraker.install.doctor.packages import (
    Lack,
    Package,
    installed_package,
    is_within,
    package_findings,
    read_packages,
)

FACTS = InterpreterFacts((3, 11, 2), Path("/home/pi/env"), is_venv=True, owner="pi")


def judged(facts: InterpreterFacts) -> list[Finding]:
    """Return what is found."""
    return list(interpreter_findings(facts, INSTALLATION))


def test_good() -> None:
    """A new Python in a venv of the user's own is as it should be."""
    assert judged(FACTS) == [good("Python 3.11.2"), good("The venv /home/pi/env belongs to pi")]


def test_old() -> None:
    """A Python that is too old is bad."""
    (finding, _) = judged(evolve(FACTS, version=(3, 9, 2)))
    assert finding == bad(
        "Python 3.9.2 is too old: txraker needs 3.11 or newer", "python3.11 -m venv ~/txraker-env"
    )


def test_no_venv() -> None:
    """The system's own Python is warned about."""
    (_, finding) = judged(evolve(FACTS, prefix=Path("/usr"), is_venv=False))
    assert finding.level == "warning"
    assert "/usr" in finding.says


def test_venv_of_somebody_else() -> None:
    """A venv that the user can't update is given to the user."""
    (_, finding) = judged(evolve(FACTS, owner="root", prefix=Path("/opt/my env")))
    assert finding == warning(
        "The venv /opt/my env belongs to root: pi can't update it", "sudo chown -R pi:pi '/opt/my env'"
    )


def test_this_interpreter() -> None:
    """The Python that runs this is seen as it is."""
    facts = read_interpreter()
    assert facts.version == sys.version_info[:3]
    assert facts.prefix == Path(sys.prefix)


def test_user_without_a_name() -> None:
    """A user without a name is told by number."""
    assert user_name(0) == "root"
    assert user_name(3_999_999) == "3999999"


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("26.10.2", "==26.10.2", True),
        ("26.10.1", "==26.10.2", False),
        ("3.0", "==3", True),
        ("1.4.7", "==1.4.*", True),
        ("1.5", "==1.4.*", False),
        ("1.5", "!=1.5", False),
        ("1.10", ">=1.9", True),
        ("1.9", ">=1.10", False),
        ("2.0rc1", ">=2", True),
        ("2", ">=1.2,<2", False),
        ("1.9.9", ">=1.2, <2", True),
        ("2", "<=2.0", True),
        ("2", ">2", False),
        ("1.7", "~=1.4", True),
        ("1.5", "~=1.0", True),
        ("2.1", "~=1.0", False),
        ("1.5", "==1.0.*", False),
        ("1", "==1.0.*", True),
        ("2.0", "~=1.4", False),
        ("1.0", "", True),
        ("nonsense", ">=1", False),
    ],
)
def test_versions(version: str, bounds: str, expected: bool) -> None:
    """Versions are compared as numbers."""
    assert is_within(version, bounds) is expected


def test_packages() -> None:
    """What is missing or too old is found, also if it is needed indirectly or for an extra."""
    packages = {
        "txraker": Package("0.1", ("a>=1", "b[x, y]>=2", 'c>=1; extra == "dev"', "??")),
        "a": Package("0.9", ("d (>=1)", 'e; python_version < "3.8"')),
        "b": Package("2.1", ("f<3; extra == 'y'", "g; extra == 'z'", "a>=1")),
        "f": Package("3.0", ("b",)),
    }
    lacks = read_packages(packages.get)
    assert set(lacks) == {Lack("a>=1", "0.9"), Lack("d (>=1)", None), Lack("f<3", "3.0")}


def test_real_packages() -> None:
    """The packages of this very Python are complete, and one that isn't there isn't found."""
    assert read_packages(installed_package) == ()
    assert installed_package("no-such-package") is None


def test_package_findings() -> None:
    """Each package that is missing is named with the command that installs it."""
    python = Path("/home/pi/env/bin/python")
    assert list(package_findings([], python)) == [good("All Python packages are installed")]
    assert list(package_findings([Lack("a>=1", "0.9"), Lack("d", None)], python)) == [
        bad("The package a>=1 is needed, and is 0.9", f"{python} -m pip install 'a>=1'"),
        bad("The package d is needed, and isn't installed", f"{python} -m pip install d"),
    ]
