"""Our unit and rule as they are installed, how the unit is doing, and Moonrakers that are still there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.commands import ICommands
from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.install.doctor.processes import is_moonraker, migration_words
from txraker.install.installation import Installation
from txraker.install.system_files import Standing, SystemFile, standing
from txraker.install.unit_command import own_words
from txraker.system.host.files import pairs

_PROPERTIES: Final = "Id,LoadState,UnitFileState,ActiveState,SubState,NeedDaemonReload"
_LIST: Final = ("systemctl", "--no-legend", "--plain", "--no-pager", "--full")


@frozen
class InstalledFile:
    """A file of ours: as it should be, and what is in its place; None if we may not look."""

    file: SystemFile
    standing: Standing | None


@frozen
class UnitFacts:
    """A service in systemd's words; ``problem`` is why systemd couldn't be asked."""

    name: str
    is_there: bool = False
    is_enabled: bool = False
    active_state: str = ""
    needs_reload: bool = False
    problem: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it runs, or is about to."""
        return self.active_state in ("active", "activating", "reloading")


def read_file(file: SystemFile, root: Path) -> InstalledFile:
    """Look at what is in a file's place, without asking to be root."""
    try:
        present = (root / file.path.relative_to("/")).read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return InstalledFile(file, Standing.ABSENT)
    except OSError:
        return InstalledFile(file, None)
    return InstalledFile(file, standing(file, present))


def read_unit(unit: str, commands: ICommands) -> UnitFacts:
    """Ask systemd how a service is doing."""
    outcome = commands.run(["systemctl", "show", "--no-pager", f"--property={_PROPERTIES}", "--", unit])
    if not outcome.is_good:
        return UnitFacts(unit, problem=outcome.words)
    said = dict(pairs(outcome.output, "="))
    return UnitFacts(
        unit,
        said.get("LoadState") not in ("not-found", None),
        said.get("UnitFileState", "").startswith("enabled"),
        said.get("ActiveState", ""),
        said.get("NeedDaemonReload") == "yes",
    )


def read_moonrakers(commands: ICommands) -> tuple[UnitFacts, ...] | None:
    """Return the Moonrakers that are services here, without what is only named like them; None if unknown."""
    listed = commands.run([*_LIST, "--type=service", "list-unit-files", "--", "moonraker*.service"])
    if listed.errors and not listed.is_good:
        return None
    names = [line.split()[0] for line in listed.output.splitlines() if line.strip()]
    return tuple(read_unit(name, commands) for name in names if is_moonraker(name))


def file_findings(what: str, facts: InstalledFile, installation: Installation) -> Iterator[Finding]:
    """Judge a file of ours; ``what`` says what it is."""
    mend = own_words(installation, "--write")
    path = facts.file.path
    if facts.standing is None:
        yield unknown(
            f"Whether the {what} {path} is as it should be can't be seen without root's rights", mend
        )
    elif facts.standing is Standing.SAME:
        yield good(f"The {what} {path} is as it should be")
    elif facts.standing is Standing.ABSENT:
        yield warning(f"The {what} {path} isn't installed", mend)
    elif facts.standing is Standing.OURS:
        yield warning(f"The {what} {path} isn't what it would be for this user, venv and data path", mend)
    else:
        yield warning(f"The {what} {path} wasn't made by txraker", mend)


def unit_findings(facts: UnitFacts, installation: Installation) -> Iterator[Finding]:
    """Judge how our service is doing."""
    name = installation.name
    if facts.problem:
        yield unknown(f"systemd can't be asked: {facts.problem}")
        return
    if not facts.is_there:
        return
    if facts.needs_reload:
        yield warning(f"systemd hasn't read {facts.name} as it is now", "sudo systemctl daemon-reload")
    if not facts.is_enabled:
        yield warning(f"{facts.name} won't start with the machine", f"sudo systemctl enable {name}")
    if facts.active_state == "failed":
        yield bad(
            f"{facts.name} has failed; the command shows why", f"sudo journalctl -u {name} -n 50 --no-pager"
        )
    elif facts.is_active:
        yield good(f"{facts.name} runs")
    else:
        yield warning(f"{facts.name} doesn't run", f"sudo systemctl start {name}")


def moonraker_findings(facts: Sequence[UnitFacts] | None, installation: Installation) -> Iterator[Finding]:
    """Judge Moonrakers that are still there."""
    if facts is None or any(unit.problem for unit in facts):
        yield unknown("Whether a Moonraker is enabled or running can't be seen")
        return
    for unit in facts:
        states = [
            word for word, holds in (("enabled", unit.is_enabled), ("running", unit.is_active)) if holds
        ]
        if states:
            says = (
                f"{unit.name} is {' and '.join(states)}: on the same data path or port it is in txraker's way"
            )
            moving = migration_words(installation, unit.name)
            yield warning(says, moving if unit.is_active else f"sudo systemctl disable {unit.name}")
    if not any(unit.is_enabled or unit.is_active for unit in facts):
        yield good("No Moonraker is enabled or running")
