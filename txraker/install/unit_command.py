"""``txraker unit``: shows the systemd unit and the PolicyKit rule, and installs them when asked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from attrs import frozen

from txraker.install.installation import DEFAULT_NAME, Installation
from txraker.install.system_files import (
    Standing,
    SystemFile,
    SystemFiles,
    difference,
    files_of,
    standing,
    write_all,
)

Say = Callable[[str], object]
Ask = Callable[[str], bool]
"""Asks a question; says whether the answer is yes."""


def ask_person(question: str) -> bool:
    """Ask on the terminal; anything but a yes is no, and so is nobody who answers."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


@frozen(eq=False)
class UnitCommand:
    """Shows and installs the files of one installation."""

    _installation: Installation
    _system: SystemFiles
    _say: Say
    _ask: Ask

    def show(self) -> None:
        """Show the files, and the commands that install them."""
        files = files_of(self._installation)
        self._show_files(files)
        self._say("Nothing was written. To install both, after a question:")
        self._say("")
        self._say(f"    {own_words(self._installation, '--write')}")
        self._say("")
        self._say("or, the same by hand:")
        self._say("")
        for which, file in zip(("unit", "rule"), files, strict=True):
            printing = own_words(self._installation, "--print", which)
            target = shlex.quote(str(file.path))
            self._say(f"    {printing} | sudo install -D -m 644 -o root -g root /dev/stdin {target}")
        self._say("    sudo systemctl daemon-reload")
        self._say_next()

    def print_one(self, which: str) -> None:
        """Print the ``unit`` or the ``rule``, and nothing else."""
        unit, rule = files_of(self._installation)
        self._say((unit if which == "unit" else rule).text.removesuffix("\n"))

    def write(self, *, yes: bool) -> int:
        """Install what isn't there yet, after questions; ``yes`` answers all but those about foreign files.

        Returns 0 when all is as it should be, 1 when somebody said no. Raises InstallError.
        """
        files = files_of(self._installation)
        self._show_files(files)
        found = {file: self._system.present(file.path) for file in files}
        wanted = {file: text for file, text in found.items() if standing(file, text) is not Standing.SAME}
        if not wanted:
            self._say("Both are installed already.")
        elif self._may_write(wanted, yes=yes):
            write_all(list(wanted), self._system, self._say)
        else:
            self._say("Nothing was written.")
            return 1
        self._say_next()
        return 0

    def _show_files(self, files: Sequence[SystemFile]) -> None:
        for file in files:
            self._say(f"{file.path}:")
            self._say("")
            for line in file.text.splitlines():
                self._say(f"    {line}".rstrip())
            self._say("")

    def _may_write(self, found: dict[SystemFile, str | None], *, yes: bool) -> bool:
        """Ask about each file of somebody else's, and once about them all."""
        for file, text in found.items():
            if text is not None and not self._may_replace(file, text):
                return False
        return yes or self._ask(f"Write {' and '.join(str(file.path) for file in found)} as root?")

    def _may_replace(self, file: SystemFile, text: str) -> bool:
        for line in difference(file, text):
            self._say(line)
        self._say("")
        question = f"{file.path} is there already and wasn't made by txraker. Replace it?"
        return standing(file, text) is Standing.OURS or self._ask(question)

    def _say_next(self) -> None:
        self._say("")
        self._say("Then, to start it now and whenever the machine starts:")
        self._say("")
        self._say(f"    sudo systemctl enable --now {self._installation.name}")


def own_words(installation: Installation, *words: str, user: str | None = None) -> str:
    """Return the command, for a shell, that calls ``txraker unit`` for an installation or another user."""
    paths = [word for path in installation.data_paths for word in ("-d", str(path))]
    name = [] if installation.name == DEFAULT_NAME else ["--name", installation.name]
    told = ["--user", user or installation.user, *name]
    return shlex.join([str(installation.twistd.with_name("txraker")), "unit", *paths, *told, *words])
