"""Files that belong to root: what is in them now, and how ours get there."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from attrs import field, frozen

from txraker.install.commands import ICommands
from txraker.install.errors import InstallError
from txraker.install.installation import Installation, allowed_services
from txraker.install.polkit import rule_path, rule_text
from txraker.install.unit import is_ours, unit_path, unit_text

_INSTALL: Final = ("install", "-D", "-m", "644", "-o", "root", "-g", "root")


@frozen
class SystemFile:
    """A file as it should be."""

    path: Path
    text: str


class Standing(Enum):
    """What is in a file's place: nothing, just that, an older or changed one of ours, or somebody else's."""

    ABSENT = "absent"
    SAME = "same"
    OURS = "ours"
    FOREIGN = "foreign"


def files_of(installation: Installation) -> tuple[SystemFile, SystemFile]:
    """Return the unit and the PolicyKit rule of an installation. Reads which services may be managed."""
    rule = rule_text(installation, allowed_services(installation.data_paths))
    return (
        SystemFile(unit_path(installation), unit_text(installation)),
        SystemFile(rule_path(installation), rule),
    )


def standing(file: SystemFile, present: str | None) -> Standing:
    """Judge what is in a file's place; ``present`` is its text, None when there is nothing."""
    if present is None:
        return Standing.ABSENT
    if present == file.text:
        return Standing.SAME
    return Standing.OURS if is_ours(present) else Standing.FOREIGN


def difference(file: SystemFile, present: str) -> Iterator[str]:
    """Yield how a file will change, a line each, as ``diff -u`` has it."""
    now, then = present.splitlines(), file.text.splitlines()
    return difflib.unified_diff(now, then, f"{file.path} (as it is)", f"{file.path} (new)", lineterm="")


@frozen(eq=False)
class SystemFiles:
    """Reads and writes files of root's. ``root`` is where the file system begins that is read."""

    _commands: ICommands
    _root: Path = field(default=Path("/"))

    def present(self, path: Path) -> str | None:
        """Return the text of a file, None when there is none; as root when we may not read it.

        Raises InstallError when root may not be asked either.
        """
        try:
            return self._here(path).read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return self._present_as_root(path)
        except OSError as problem:
            raise InstallError(f"{path} can't be read: {problem.strerror}") from None

    def write_commands(self, source: Path, target: Path) -> tuple[tuple[str, ...], ...]:
        """Return the commands that put a copy of a file in another's place, whole or not at all.

        It is on the disk before it has its name: a loss of power would leave an empty unit, which is enabled.
        """
        aside = f"{target}.new"
        install = (*_INSTALL, "--", str(source), aside)
        return install, ("sync", "--", aside), ("mv", "-fT", "--", aside, str(target))

    def write(self, file: SystemFile) -> None:
        """Put a file in its place, whole or not at all. Raises InstallError."""
        with tempfile.NamedTemporaryFile("w", prefix="txraker", encoding="utf-8") as source:
            source.write(file.text)
            source.flush()
            for words in self.write_commands(Path(source.name), file.path):
                self._do(words)

    def reload(self) -> None:
        """Let systemd read its units again. Raises InstallError."""
        self._do(("systemctl", "daemon-reload"))

    def _do(self, words: Sequence[str]) -> None:
        outcome = self._commands.as_root(words)
        if not outcome.is_good:
            raise InstallError(f"`{' '.join(self._commands.root_words(words))}` failed: {outcome.words}")

    def _present_as_root(self, path: Path) -> str | None:
        outcome = self._commands.as_root(["cat", "--", str(path)])
        if outcome.is_good:
            return outcome.output
        if "No such file" in outcome.errors:
            return None
        raise InstallError(f"{path} can't be read as root: {outcome.words}")

    def _here(self, path: Path) -> Path:
        return self._root / path.relative_to("/")


def write_all(files: Sequence[SystemFile], system: SystemFiles, say: Callable[[str], object]) -> None:
    """Write files, say so, and let systemd read its units again. Raises InstallError."""
    for file in files:
        system.write(file)
        say(f"Written: {file.path}")
    system.reload()
    say("systemd has read its units again.")
