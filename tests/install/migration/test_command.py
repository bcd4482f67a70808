"""``txraker migrate``: what it shows, what it does, and what it undoes."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tests.install.migration.bench import Machine
from tests.storage.moonraker import API_KEY
from txraker.install.errors import InstallError
from txraker.install.migration.plan import way_back
from txraker.install.system_files import files_of
from txraker.system.listener import Listener

STOP = "sudo systemctl stop moonraker.service"
RESUME = "sudo systemctl start moonraker.service"
DISABLE = "sudo systemctl disable moonraker.service"
ENABLE = "sudo systemctl enable moonraker.service"
IMPORT = "bin/txraker import-database -d home/printer_data"
REMOVE = " ".join(
    ["rm -f --", *(f"home/printer_data/database/txraker.db{ending}" for ending in ("", "-wal", "-shm"))]
)
WRITE = "bin/txraker unit -d home/printer_data --name txraker --write --yes"
UNWRITE = "sudo rm -f -- /etc/systemd/system/txraker.service /etc/polkit-1/rules.d/60-txraker.rules"
RELOAD = "sudo systemctl daemon-reload"
START = "sudo systemctl enable --now txraker.service"
END = "sudo systemctl disable --now txraker.service"
UNDONE = "Everything is as it was: moonraker.service runs and is enabled."


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Make a machine with a Moonraker."""
    return Machine(tmp_path)


def test_migration(machine: Machine) -> None:
    """After a yes all is done in order and looked at, and the way back is told at the end."""
    assert machine.migrate() == 0
    assert machine.done == [STOP, IMPORT, WRITE, DISABLE, START]
    assert machine.asked == ["Do all this now?"]
    assert {path for _, path, _ in machine.requests} == {
        "/server/info", "/server/database/list", "/access/users/list",
    }  # fmt: skip
    assert {headers["X-Api-Key"] for _, _, headers in machine.requests} == {API_KEY}
    assert machine.said[-1].strip() == (
        "sudo systemctl disable --now txraker; sudo systemctl enable --now moonraker"
    )
    assert API_KEY not in machine.text


def test_dry_run(machine: Machine) -> None:
    """A dry run shows all that would be done, in the words that one would type, and does nothing."""
    before = {path: path.stat() for path in machine.root.rglob("*")}
    assert machine.migrate(dry_run=True) == 0
    assert (machine.done, machine.asked) == ([], [])
    for command in (STOP, IMPORT, WRITE, DISABLE, START):
        assert f"     {command}" in machine.text.replace(f"{machine.root}/", "")
    assert "curl http://127.0.0.1:7125/server/info" in machine.text
    assert "used: [server]" in machine.text
    assert "section [history]" in machine.text
    assert "user alice" in machine.text
    assert "left out: user carol: logs in by ldap" in machine.text
    assert machine.said[-1] == "Nothing was changed."
    assert {path: path.stat() for path in machine.root.rglob("*")} == before


def test_no(machine: Machine) -> None:
    """Without a yes nothing is done; with ``--yes`` nobody is asked."""
    machine.answer = False
    assert machine.migrate() == 1
    assert machine.done == []
    assert machine.said[-1] == "Nothing was changed."
    assert machine.migrate(yes=True) == 0
    assert len(machine.asked) == 1


def test_root_can_not_be_asked(machine: Machine) -> None:
    """Where sudo refuses, nothing is begun."""
    machine.fail("sudo -- true")
    with pytest.raises(
        InstallError, match=r"Root is needed and can't be asked: it won't\. Nothing was changed"
    ):
        machine.migrate()
    assert machine.done == []


def test_print_begins_meanwhile(machine: Machine) -> None:
    """A print that was begun while somebody was asked, for a yes or a password, is in the way."""
    machine.commands.effects["sudo -- true"] = lambda: setattr(machine, "print_state", "printing")
    with pytest.raises(InstallError, match=r"The printer is printing: wait .* Nothing was changed"):
        machine.migrate()
    assert machine.done == []


def test_changed_meanwhile(machine: Machine) -> None:
    """Nothing is done but what was shown."""
    machine.commands.effects["sudo -- true"] = machine.own_database.touch
    with pytest.raises(InstallError, match=r"isn't as it was shown: call this again\. Nothing was changed"):
        machine.migrate()
    assert machine.done == []


def test_two_at_once(machine: Machine) -> None:
    """Who calls it again while it runs, as after losing the terminal, doesn't get in its way."""

    def again() -> None:
        machine.commands.effects = {}
        with pytest.raises(InstallError, match=r"is being migrated already\. Nothing was changed"):
            machine.migrate()
        machine.take_over()

    machine.commands.effects["import-database"] = again
    assert machine.migrate() == 0
    assert machine.done == [STOP, IMPORT, WRITE, DISABLE, START]


@pytest.mark.parametrize(
    ("fails", "done"),
    [
        ("sudo -- systemctl stop moonraker", [STOP, RESUME]),
        ("{bin}/txraker import-database", [STOP, IMPORT, REMOVE, RESUME]),
        ("{bin}/txraker unit", [STOP, IMPORT, WRITE, UNWRITE, RELOAD, REMOVE, RESUME]),
        (
            "sudo -- systemctl disable moonraker",
            [STOP, IMPORT, WRITE, DISABLE, ENABLE, UNWRITE, RELOAD, REMOVE, RESUME],
        ),
        (
            "sudo -- systemctl enable --now txraker",
            [STOP, IMPORT, WRITE, DISABLE, START, END, ENABLE, UNWRITE, RELOAD, REMOVE, RESUME],
        ),
    ],
)
def test_step_that_fails(machine: Machine, fails: str, done: list[str]) -> None:
    """When a step fails, it and those before it are undone, the last first, and that is said."""
    machine.fail(fails.format(bin=machine.scripts))
    with pytest.raises(InstallError, match="failed: it won't") as raised:
        machine.migrate()
    assert machine.done == done
    assert str(raised.value).endswith(UNDONE)
    assert all(f"Undo: {command}" in machine.text.replace(f"{machine.root}/", "") for command in done[-1:])


def test_trial_that_fails(machine: Machine) -> None:
    """A server that runs and lacks something is undone like a step that fails."""
    machine.results["/access/users/list"] = {"users": []}
    with pytest.raises(InstallError, match="txraker runs, but it lacks the users alice"):
        machine.migrate()
    assert machine.done[5:] == [END, ENABLE, UNWRITE, RELOAD, REMOVE, RESUME]


def test_interrupted(machine: Machine) -> None:
    """Who interrupts a command lets it end; then all is undone."""
    machine.commands.effects["import-database"] = lambda: setattr(machine.interruption, "came", True)
    with pytest.raises(InstallError, match="it was interrupted") as raised:
        machine.migrate()
    assert machine.done == [STOP, IMPORT, REMOVE, RESUME]
    assert str(raised.value).endswith(UNDONE)


def test_terminal_is_gone(machine: Machine) -> None:
    """That nobody hears any more doesn't keep anything from being done, or undone."""

    def hang_up() -> None:
        machine.said = _Gone()

    machine.commands.effects["stop moonraker"] = hang_up
    machine.fail(f"{machine.scripts}/txraker unit")
    with pytest.raises(InstallError):
        machine.migrate()
    assert machine.done[-1] == RESUME


class _Gone(list[str]):
    def append(self, line: str) -> None:
        raise OSError


def test_fault(machine: Machine) -> None:
    """Even a defect of ours leaves nothing half done."""

    def break_down() -> None:
        raise ZeroDivisionError("oops")

    machine.commands.effects["--write"] = break_down
    with pytest.raises(InstallError, match="oops"):
        machine.migrate()
    assert machine.done[-1] == RESUME


def test_undoing_that_fails(machine: Machine) -> None:
    """What can't be undone doesn't keep the rest from that, and is told as commands to be typed."""
    machine.fail(f"{machine.scripts}/txraker import-database")
    machine.fail("rm")
    with pytest.raises(InstallError) as raised:
        machine.migrate()
    assert machine.done[-2:] == [REMOVE, RESUME]
    assert "must be done by hand: rm -f" in str(raised.value)
    assert "as it was" not in str(raised.value)


@pytest.mark.parametrize(
    ("active", "enabled", "done"),
    [
        ("active", "disabled", [STOP, IMPORT, WRITE, START, END, UNWRITE, RELOAD, REMOVE, RESUME]),
        (
            "inactive",
            "enabled",
            [IMPORT, WRITE, DISABLE, START, END, ENABLE, UNWRITE, RELOAD, REMOVE],
        ),
        ("inactive", "disabled", [IMPORT, WRITE, START, END, UNWRITE, RELOAD, REMOVE]),
    ],
)
def test_moonraker_as_it_was(machine: Machine, active: str, enabled: str, done: list[str]) -> None:
    """A Moonraker that doesn't run or isn't enabled isn't started or enabled by undoing either."""
    machine.tell("moonraker", ActiveState=active, UnitFileState=enabled)
    machine.fail("sudo -- systemctl enable --now txraker")
    with pytest.raises(InstallError, match="Everything is as it was"):
        machine.migrate()
    assert machine.done == done


def test_earlier_database(machine: Machine) -> None:
    """A database of an earlier time is put aside under another name, and comes back when a step fails."""
    log = machine.own_database.with_name("txraker.db-wal")
    for file in (machine.own_database, log):
        file.write_text("earlier")
    machine.fail(f"{machine.scripts}/txraker import-database")
    machine.commands.effects.clear()
    with pytest.raises(InstallError):
        machine.migrate()
    folder = "home/printer_data/database"
    pairs = [(f"{folder}/txraker.db{end}", f"{folder}/txraker.db.before-NOW{end}") for end in ("", "-wal")]
    assert machine.done[1:3] == [f"mv -T -- {now} {then}" for now, then in pairs]
    assert machine.done[-3:-1] == [f"mv -T -- {then} {now}" for now, then in reversed(pairs)]
    assert "It is put aside and kept" in machine.text


def test_earlier_database_that_stays(machine: Machine) -> None:
    """A database that can't be put aside is where it was, and isn't removed."""
    machine.own_database.write_text("earlier")
    machine.fail("mv")
    with pytest.raises(InstallError, match="as it was"):
        machine.migrate()
    assert [command.split()[0] for command in machine.done] == ["sudo", "mv", "sudo"]


def test_files_that_are_there(machine: Machine) -> None:
    """Files of ours that are current aren't written, and those that were there aren't removed by undoing."""
    installation = machine.look().installation
    unit, rule = files_of(installation)
    for file, text in ((unit, unit.text), (rule, f"{rule.text}\n")):
        path = machine.root / file.path.relative_to("/")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    machine.fail("sudo -- systemctl enable --now txraker")
    with pytest.raises(InstallError):
        machine.migrate()
    assert machine.done == [STOP, IMPORT, WRITE, DISABLE, START, END, ENABLE, REMOVE, RESUME]
    (machine.root / rule.path.relative_to("/")).write_text(rule.text)
    machine.commands.ran.clear()
    with pytest.raises(InstallError):
        machine.migrate()
    assert WRITE not in machine.done


def test_refusal(machine: Machine) -> None:
    """What is in the way is told, even in a dry run, and then nothing is shown that won't be done."""
    machine.listener = Listener(4711, "moonraker-2.service")
    machine.print_state = "printing"
    for dry_run in (False, True):
        machine.said.clear()
        assert machine.migrate(dry_run=dry_run) == 1
        assert [line for line in machine.said if line.startswith("This must be mended first: ")] == [
            f"This must be mended first: A server for {machine.data} runs that isn't moonraker.service: "
            "process 4711 (moonraker-2.service). Stop it first: sudo systemctl stop moonraker-2.service",
            "This must be mended first: The printer is printing: wait until the print has ended",
        ]
        assert "What will be done" not in machine.text
    assert machine.done == []


def test_way_back_of_odd_names(machine: Machine) -> None:
    """The command that goes back is one for a shell, whatever a service is called."""
    found = machine.look()
    own, moonraker = evolve(found.own, unit="x-2.service"), evolve(found.moonraker, unit="a b.service")
    assert way_back(own, moonraker) == ("sudo systemctl disable --now x-2; sudo systemctl enable --now 'a b'")
