"""Commands that are only noted, users that need not exist, and an installation of theirs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from attrs import define, field

from txraker.install.commands import NOT_INSTALLED, RUN_WITHIN, Outcome
from txraker.install.errors import InstallError
from txraker.install.installation import Account, Installation

PI = Account("pi", 1000, "pi", ("pi", "dialout", "sudo", "video"), Path("/home/pi"))
ROOT = Account("root", 0, "root", ("root",), Path("/root"))
INSTALLATION = Installation(
    "txraker",
    "pi",
    "pi",
    ("dialout", "video"),
    Path("/home/pi/env/bin/twistd"),
    (Path("/home/pi/printer_data"),),
)


@define
class FakeAccounts:
    """Provides IAccounts: those that are given, the first of whom runs this."""

    accounts: Sequence[Account] = (PI, ROOT)

    def named(self, user: str) -> Account:
        for account in self.accounts:
            if account.user == user:
                return account
        raise InstallError(f"There is no user {user!r} on this machine")

    def own(self) -> Account:
        return self.accounts[0]


@define
class FakeCommands:
    """Provides ICommands: answers by the beginning of a command; what has none isn't installed."""

    answers: dict[str, Outcome] = field(factory=dict)
    ran: list[str] = field(factory=list)

    def root_words(self, words: Sequence[str]) -> list[str]:
        return ["sudo", "--", *words]

    def run(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        command = shlex.join(words)
        self.ran.append(command)
        fitting = [start for start in self.answers if command.startswith(start)]
        if not fitting:
            return Outcome(NOT_INSTALLED, errors=f"{words[0]} is not installed")
        return self.answers[max(fitting, key=len)]

    def as_root(self, words: Sequence[str], seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        return self.run(self.root_words(words), seconds, given)
