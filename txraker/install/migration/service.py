"""A service as systemd knows it, and how the Moonraker in it is started."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.commands import ICommands
from txraker.install.errors import InstallError
from txraker.install.migration.launch import (
    Launch,
    command_of,
    environment_files,
    expanded,
    launch_of,
    variables_in,
)

_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "User",
    "MainPID",
    "WorkingDirectory",
    "Environment",
    "EnvironmentFiles",
    "ExecStart",
)

_Properties = Mapping[str, Sequence[str]]


@frozen
class Service:
    """A service: whether it is known, runs, and starts with the machine; its user and main process, or 0.

    ``properties`` are those systemd tells, by name, each a line or several.
    """

    unit: str
    is_known: bool
    is_active: bool
    is_enabled: bool
    user: str
    process_id: int
    properties: _Properties

    @property
    def is_masked(self) -> bool:
        """Whether nobody can start it, and systemd says nothing else of it."""
        return "masked" in self.properties.get("LoadState", ())

    @property
    def name(self) -> str:
        """The name as people use it."""
        return self.unit.removesuffix(".service")


def find_service(commands: ICommands, name: str) -> Service:
    """Return a service, known or not. Raises InstallError when systemd can't be asked."""
    unit = name if name.endswith(".service") else f"{name}.service"
    outcome = commands.run(["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", unit])
    if not outcome.is_good:
        raise InstallError(f"systemd can't be asked for {unit}: {outcome.words}")
    found: dict[str, list[str]] = defaultdict(list)
    for line in outcome.output.splitlines():
        key, _, value = line.partition("=")
        found[key].append(value)
    return _service(unit, {key: [*values] for key, values in found.items()})


def _service(unit: str, properties: _Properties) -> Service:
    def first(key: str) -> str:
        return next(iter(properties.get(key, ())), "")

    number = first("MainPID")
    return Service(
        unit,
        is_known=first("LoadState") in ("loaded", "masked"),
        is_active=first("ActiveState") in ("active", "activating", "reloading"),
        is_enabled=first("UnitFileState").startswith("enabled"),
        user=first("User") or "root",
        process_id=int(number) if number.isdecimal() else 0,
        properties=properties,
    )


def find_launch(service: Service, home: Path, root: Path = Path("/")) -> Launch:
    """Return how a service starts Moonraker: what its process was started with, or else what its unit says.

    ``root`` is where the file system begins.
    """
    folder = _folder(service, home)
    process = root / "proc" / str(service.process_id)
    words, environment = _words(process / "cmdline"), _words(process / "environ")
    if words and environment is not None:
        return launch_of(words, _pairs(environment), folder, home)
    variables = _pairs(_quoted(" ".join(service.properties.get("Environment", ()))))
    for path in environment_files("\n".join(service.properties.get("EnvironmentFiles", ()))):
        variables.update(_file(root / path.lstrip("/")))
    words = expanded(command_of("\n".join(service.properties.get("ExecStart", ()))), variables)
    return launch_of(words, variables, folder, home)


def _folder(service: Service, home: Path) -> Path:
    said = next(iter(service.properties.get("WorkingDirectory", ())), "").lstrip("!-")
    return home if said == "~" else Path(said or "/")


def _words(file: Path) -> list[str] | None:
    """Return what the kernel tells of a process, None when there is none, or none that we may see."""
    try:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return None
    return text.rstrip("\0").split("\0") if text else None


def _file(path: Path) -> dict[str, str]:
    try:
        return variables_in(path.read_text(errors="replace"))
    except OSError:
        return {}


def _quoted(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _pairs(words: Sequence[str]) -> dict[str, str]:
    return {name: value for name, is_set, value in (word.partition("=") for word in words) if is_set}
