"""``txraker unit``: what it shows, what it asks, and what it writes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from attrs import define, evolve, field

from tests.install.fakes import INSTALLATION, FakeCommands
from txraker.install.commands import Outcome
from txraker.install.errors import InstallError
from txraker.install.installation import Installation
from txraker.install.system_files import SystemFiles, files_of
from txraker.install.unit_command import UnitCommand, ask_person, own_words

GOOD = {"sudo": Outcome(0)}
UNIT, RULE = "etc/systemd/system/txraker.service", "etc/polkit-1/rules.d/60-txraker.rules"


@define
class Setting:
    """A machine whose file system is a folder, and a person with answers."""

    root: Path
    answers: list[bool] = field(factory=list)
    commands: FakeCommands = field(factory=lambda: FakeCommands(dict(GOOD)))
    installation: Installation = INSTALLATION
    said: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)

    def command(self) -> UnitCommand:
        """Return the command."""
        return UnitCommand(
            self.installation, SystemFiles(self.commands, self.root), self.said.append, self.ask
        )

    def ask(self, question: str) -> bool:
        """Be asked."""
        self.asked.append(question)
        return self.answers.pop(0)

    def put(self, name: str, text: str) -> None:
        """Put a file in its place."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Make an empty machine."""
    return Setting(tmp_path, installation=evolve(INSTALLATION, data_paths=(tmp_path / "my data",)))


def installed(setting: Setting) -> None:
    """Let both files be there."""
    for file in files_of(setting.installation):
        setting.put(str(file.path)[1:], file.text)


def test_show(setting: Setting) -> None:
    """Both files are shown under their paths, with commands for a shell, and nothing is run or asked."""
    setting.command().show()
    text = "\n".join(setting.said)
    for file in files_of(setting.installation):
        assert f"{file.path}:\n\n    " + file.text.splitlines()[0] in text
        assert all(line.strip() in text for line in file.text.splitlines())
    write = next(line for line in setting.said if line.endswith("--write"))
    assert shlex.split(write) == [
        "/home/pi/env/bin/txraker", "unit", "-d", str(setting.root / "my data"),
        "--user", "pi", "--write",
    ]  # fmt: skip
    named = evolve(setting.installation, name="printer2")
    assert " --name printer2 " in own_words(named, "--write")
    assert "    sudo systemctl daemon-reload" in setting.said
    assert setting.said[-1] == "    sudo systemctl enable --now txraker"
    assert (setting.commands.ran, setting.asked) == ([], [])


@pytest.mark.parametrize(("which", "number"), [("unit", 0), ("rule", 1)])
def test_print(setting: Setting, which: str, number: int) -> None:
    """One file is printed as it is, so that it can be piped."""
    setting.command().print_one(which)
    assert [f"{line}\n" for line in setting.said] == [files_of(setting.installation)[number].text]


def test_write(setting: Setting) -> None:
    """After one question both files are put in place as root's, whole and written, and systemd reads them."""
    setting.answers = [True]
    assert setting.command().write(yes=False) == 0
    assert setting.asked == [f"Write /{UNIT} and /{RULE} as root?"]
    words = [shlex.split(command) for command in setting.commands.ran]
    for number, target in enumerate((UNIT, RULE)):
        install, sync, move = words[3 * number : 3 * number + 3]
        assert install[:-2] == ["sudo", "--", "install", "-D", "-m", "644", "-o", "root", "-g", "root", "--"]
        assert not Path(install[-2]).exists()
        assert install[-1] == f"/{target}.new"
        assert sync == ["sudo", "--", "sync", "--", f"/{target}.new"]
        assert move == ["sudo", "--", "mv", "-fT", "--", f"/{target}.new", f"/{target}"]
    assert words[6:] == [["sudo", "--", "systemctl", "daemon-reload"]]
    assert setting.said[-1] == "    sudo systemctl enable --now txraker"


def test_no(setting: Setting) -> None:
    """Nothing is written when the answer is no."""
    setting.answers = [False]
    assert setting.command().write(yes=False) == 1
    assert setting.commands.ran == []
    assert setting.said[-1] == "Nothing was written."


def test_yes(setting: Setting) -> None:
    """With ``--yes`` nobody is asked; only what differs is written, and the difference is shown."""
    installed(setting)
    setting.put(UNIT, (setting.root / UNIT).read_text().replace("RestartSec=2", "RestartSec=7"))
    assert setting.command().write(yes=True) == 0
    assert setting.asked == []
    assert {"-RestartSec=7", "+RestartSec=2"} <= set(setting.said)
    assert [RULE in command for command in setting.commands.ran] == [False, False, False, False]


@pytest.mark.parametrize("answer", [True, False])
def test_foreign_file(setting: Setting, answer: bool) -> None:
    """A file that isn't ours is shown as it differs and asked about, even with ``--yes``."""
    setting.put(UNIT, "[Service]\nExecStart=/mine\n")
    setting.answers = [answer]
    assert setting.command().write(yes=True) == (0 if answer else 1)
    assert setting.asked == [f"/{UNIT} is there already and wasn't made by txraker. Replace it?"]
    assert "-ExecStart=/mine" in setting.said
    assert bool(setting.commands.ran) is answer


def test_already_there(setting: Setting) -> None:
    """What is there already isn't written again."""
    installed(setting)
    assert setting.command().write(yes=False) == 0
    assert "Both are installed already." in setting.said
    assert setting.commands.ran == []


def closed(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the folder of rules be closed, as PolicyKit's is."""
    read = Path.read_text

    def refusing(self: Path, *arguments: str | None, **named: str | None) -> str:
        if "polkit-1" in str(self):
            raise PermissionError(13, "Permission denied")
        return read(self, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refusing)


def test_closed_folder(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that we may not read is read as root."""
    installed(setting)
    rule = (setting.root / RULE).read_text()
    closed(setting, monkeypatch)
    setting.commands.answers["sudo -- cat"] = Outcome(0, rule)
    assert setting.command().write(yes=False) == 0
    assert setting.commands.ran == [f"sudo -- cat -- /{RULE}"]
    setting.commands.answers["sudo -- cat"] = Outcome(1, errors=f"cat: /{RULE}: No such file or directory")
    assert setting.command().write(yes=True) == 0
    assert len(setting.commands.ran) == 6


def test_sudo_refuses(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not become root is told, with the command that failed."""
    setting.commands.answers = {"sudo": Outcome(1, errors="pi is not in the sudoers file.\n")}
    with pytest.raises(InstallError, match=r"`sudo -- install .*` failed: pi is not in the sudoers file"):
        setting.command().write(yes=True)
    closed(setting, monkeypatch)
    with pytest.raises(InstallError, match="can't be read as root: pi is not in the sudoers file"):
        setting.command().write(yes=True)


def test_in_the_way(setting: Setting) -> None:
    """What is no file isn't replaced."""
    (setting.root / UNIT).mkdir(parents=True)
    with pytest.raises(InstallError, match="can't be read: Is a directory"):
        setting.command().write(yes=True)


@pytest.mark.parametrize(
    ("typed", "answer"), [("y", True), (" YES ", True), ("", False), ("n", False), ("yy", False)]
)
def test_asking(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool) -> None:
    """Only a yes is a yes."""
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert ask_person("Really?") is answer


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the answer is no."""

    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert not ask_person("Really?")
