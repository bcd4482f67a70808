"""Whether Python is new enough, and runs in a venv of the user's own."""

from __future__ import annotations

import pwd
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.doctor.finding import Finding, bad, good, warning
from txraker.install.installation import Installation

MINIMUM: Final = (3, 11)


@frozen
class InterpreterFacts:
    """The Python that runs this; ``owner`` is the user to whom its folder belongs."""

    version: tuple[int, int, int]
    prefix: Path
    is_venv: bool
    owner: str


def read_interpreter() -> InterpreterFacts:
    """Return what the Python is that runs this."""
    major, minor, micro, *_ = sys.version_info
    prefix = Path(sys.prefix)
    return InterpreterFacts(
        (major, minor, micro), prefix, sys.prefix != sys.base_prefix, user_name(prefix.stat().st_uid)
    )


def user_name(number: int) -> str:
    """Return the name of a user, or the number of one who has no name here."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def interpreter_findings(facts: InterpreterFacts, installation: Installation) -> Iterator[Finding]:
    """Judge the Python."""
    version = ".".join(map(str, facts.version))
    if facts.version < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        yield bad(
            f"Python {version} is too old: txraker needs {needed} or newer",
            f"python{needed} -m venv ~/txraker-env",
        )
    else:
        yield good(f"Python {version}")
    if not facts.is_venv:
        says = f"txraker runs by the system's Python ({facts.prefix}), whose packages may change under it"
        yield warning(f"{says}: install it into a venv", "python3 -m venv ~/txraker-env")
    elif facts.owner != installation.user:
        says = f"The venv {facts.prefix} belongs to {facts.owner}: {installation.user} can't update it"
        yield warning(says, own(installation, facts.prefix))
    else:
        yield good(f"The venv {facts.prefix} belongs to {facts.owner}")


def own(installation: Installation, path: Path) -> str:
    """Return the command that gives a folder, and all that is in it, to the installation's user."""
    owner = f"{installation.user}:{installation.group}"
    return shlex.join(["sudo", "chown", "-R", owner, str(path)])
