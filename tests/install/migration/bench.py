"""A machine with a Moonraker that is only said to be: a folder, commands that are noted, a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from tests.install.fakes import PI, FakeAccounts, FakeCommands
from tests.storage.moonraker import moonraker_database
from txraker.install.commands import RUN_WITHIN, Outcome
from txraker.install.migration.command import MigrateCommand
from txraker.install.migration.journey import Interruption
from txraker.install.migration.situation import Lookout, Situation
from txraker.install.migration.trial import Address
from txraker.install.system_files import SystemFiles
from txraker.storage.importing import import_database
from txraker.system.listener import Listener

CONFIGURATION = "[server]\nport: 7125\n[history]\n"
MOONRAKER = Listener(812, "moonraker.service")
IMPORT = "import-database"
ANSWERS = {
    "/server/info": {},
    "/server/database/list": {"namespaces": ["announcements", "fluidd", "mainsail", "moonraker", "webcams"]},
    "/access/users/list": {"users": [{"username": "alice"}]},
}
"""What a server answers that has all that the tests' Moonraker has."""


@define(eq=False)
class Programs(FakeCommands):
    """Commands that may also do something: ``effects`` are called for commands that have a text in them."""

    effects: dict[str, Callable[[], object]] = field(factory=dict)

    def run(self, words: Any, seconds: float = RUN_WITHIN, given: str = "") -> Outcome:
        outcome = super().run(words, seconds, given)
        for text, effect in self.effects.items():
            if text in self.ran[-1]:
                effect()
        return outcome


@define(eq=False)
class Machine:
    """The machine. ``answer`` is what its person says, ``statuses`` what our server answers at a path."""

    root: Path
    answer: bool = True
    commands: Programs = field(factory=Programs)
    said: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(factory=list)
    statuses: dict[str, int] = field(factory=dict)
    results: dict[str, Any] = field(factory=lambda: dict(ANSWERS))
    listener: Listener | None = MOONRAKER
    print_state: str | None = "standby"
    free: int = 10**10
    interruption: Interruption = field(factory=Interruption)

    def __attrs_post_init__(self) -> None:
        self.data.joinpath("config").mkdir(parents=True)
        self.configuration.write_text(CONFIGURATION)
        moonraker_database(self.data)
        (self.scripts / "twistd").parent.mkdir()
        (self.scripts / "twistd").touch()
        for unit in ("moonraker", "txraker"):
            self.tell(unit, LoadState="not-found", ActiveState="inactive", UnitFileState="")
        self.tell("moonraker")
        for words in ("sudo", "mv", "rm", str(self.scripts)):
            self.commands.answers[words] = Outcome(0)
        self.commands.effects[IMPORT] = self.take_over

    @property
    def data(self) -> Path:
        """The printer's data path."""
        return self.root / "home" / "printer_data"

    @property
    def configuration(self) -> Path:
        """Moonraker's configuration."""
        return self.data / "config" / "moonraker.conf"

    @property
    def own_database(self) -> Path:
        """Our database, there or not."""
        return self.data / "database" / "txraker.db"

    @property
    def scripts(self) -> Path:
        """The programs of our venv."""
        return self.root / "bin"

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n".join(self.said)

    @property
    def done(self) -> list[str]:
        """The commands that changed something, or would have, without the folders that they are in."""
        asking = ("systemctl show", "sudo -- true", "sudo -- cat")
        return [
            command.replace(f"{self.root}/", "").replace("sudo -- ", "sudo ")
            for command in self.commands.ran
            if not command.startswith(asking)
        ]

    def tell(self, unit: str, **properties: str) -> None:
        """Let systemd tell something of a service."""
        known = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "MainPID": "812"}
        known |= {"User": "pi", "WorkingDirectory": "~", **properties}
        shown = "".join(f"{key}={value}\n" for key, value in known.items())
        words = f"systemctl show --property={','.join(PROPERTIES)} -- {unit}.service"
        self.commands.answers[words] = Outcome(0, shown)

    def fail(self, command: str) -> None:
        """Let commands fail that begin so."""
        self.commands.answers[command] = Outcome(1, errors="it won't")

    def take_over(self) -> None:
        """Do what the command does by which a database is taken over."""
        import_database(self.data, self.data / "database" / "moonraker-sql.db")

    def lookout(self) -> Lookout:
        """Return what looks at it."""
        return Lookout(
            self.commands,
            SystemFiles(self.commands, self.root),
            FakeAccounts([evolve(PI, home=self.root / "home")]),
            self.root,
            self.scripts,
            lambda path: self.free,
            self._listen,
            lambda path: self.print_state,
        )

    def look(self) -> Situation:
        """Return what is there."""
        return self.lookout().look(None, "moonraker", "txraker")

    def migrate(self, **options: bool) -> int:
        """Do what the command does."""
        command = MigrateCommand(
            self.lookout(),
            self.commands,
            self.said.append,
            self._ask,
            lambda: "NOW",
            self._get,
            self.interruption,
        )
        return command.run(None, "moonraker", "txraker", **options)

    def _ask(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer

    def _listen(self, path: Path) -> Listener:
        if self.listener is None:
            raise ConnectionRefusedError
        return self.listener

    def _get(self, address: Address, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        self.requests.append((str(address), path, headers))
        return self.statuses.get(path, 200), {"result": self.results[path]}


PROPERTIES = (
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
