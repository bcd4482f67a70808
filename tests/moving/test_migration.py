"""Moving in from a real Moonraker on a real systemd, and back, by the commands of the documentation."""

from __future__ import annotations

import hashlib
import re
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.moving.moonraker import PASSWORDS, SETTINGS, Moonraker

DOCUMENT = Path(__file__).parents[2] / "docs" / "migration.md"
TXRAKER = "~/txraker-env/bin/txraker"
LEFT_BEHIND = {"./audit/audit.log", "./database/txraker.db", "./database/txraker.db.lock"}
"""What txraker leaves in a data path beside Moonraker's files."""


def documented() -> list[str]:
    """Return the commands that the documentation gives: to look, to go, and to come back."""
    commands = re.findall(r"^    (\S.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(commands) == 3
    return commands


def everything(moonraker: Moonraker) -> dict[str, tuple[int, int, str]]:
    """Return mode, owner and hash of every file on the machine but those of programs that run."""
    folders = (moonraker.data, moonraker.machine.units, moonraker.machine.rules)
    files = [file for folder in folders for file in folder.rglob("*") if "logs" not in file.parts]
    return {str(file): fingerprint(file) for file in files if not stat.S_ISSOCK(file.lstat().st_mode)}


def fingerprint(file: Path) -> tuple[int, int, str]:
    """Return mode, owner and hash of a file, or where a link leads."""
    status = file.lstat()
    if file.is_symlink():
        content = str(file.readlink()).encode()
    else:
        content = file.read_bytes() if file.is_file() else b""
    return status.st_mode, status.st_uid, hashlib.sha256(content).hexdigest()


def moonraker_serves(moonraker: Moonraker) -> None:
    """See that Moonraker runs, will after the machine's next start, and that txraker does neither."""
    moonraker.wait()
    assert "Tornado" in moonraker.ask("/server/info").headers["server"]
    machine = moonraker.machine
    assert machine.is_enabled("moonraker")
    assert not machine.is_enabled("txraker")
    assert machine.testbed.state("moonraker.service") == "active"
    assert machine.attempt("systemctl is-active txraker").stdout.strip() == "inactive"


def is_untouched(moonraker: Moonraker) -> None:
    """See that Moonraker found all files, when it started, as it left them when it stopped."""
    then, now = (
        {path: digest for path, digest in moonraker.listing(moment).items() if path not in LEFT_BEHIND}
        for moment in ("stop", "start")
    )
    assert now == then
    assert {"./database/moonraker-sql.db", "./moonraker.asvc", "./.moonraker.uuid"} <= set(then)


def answers(moonraker: Moonraker) -> dict[str, Any]:
    """Return what is to be the same before and after, as the API tells it."""
    paths = ["/access/api_key", "/access/users/list", "/server/webcams/list"]
    paths += [f"/server/database/item?namespace={namespace}" for namespace in SETTINGS]
    return {path: moonraker.result(path) for path in paths}


def kept(file: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Return rows of a database that is in use."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()


@pytest.fixture(autouse=True)
def as_before(moonraker: Moonraker) -> Iterator[None]:
    """Leave a Moonraker that serves to the next test, whatever became of this one."""
    yield
    if not moonraker.machine.is_enabled("moonraker"):
        moonraker.machine.attempt(documented()[2])
        moonraker.wait()


def test_dry_run(moonraker: Moonraker) -> None:
    """``--dry-run`` shows every step with its command, and changes nothing at all."""
    before, process = everything(moonraker), moonraker.machine.testbed.main_process("moonraker.service")
    look, _, _ = documented()
    shown = moonraker.machine.type(look)
    for expected in (
        "sudo systemctl stop moonraker.service",
        "sudo systemctl disable moonraker.service",
        f"import-database -d {moonraker.data}",
        "--write --yes",
        "sudo systemctl enable --now txraker.service",
        f"curl http://127.0.0.1:{moonraker.port}/server/info",
        "user anna",
        "the API key",
        "2 jobs",
        "section [octoprint_compat]",
        "Nothing was changed.",
    ):
        assert expected in shown
    assert moonraker.api_key not in shown
    assert everything(moonraker) == before
    assert moonraker.machine.testbed.main_process("moonraker.service") == process
    moonraker_serves(moonraker)


def test_no_is_no(moonraker: Moonraker) -> None:
    """Whoever doesn't say yes has changed nothing."""
    before = everything(moonraker)
    for answer in ("n\n", ""):
        done = moonraker.machine.attempt(f"{TXRAKER} migrate", answer)
        assert done.returncode == 1
        assert "Nothing was changed." in done.stdout
    assert everything(moonraker) == before
    moonraker_serves(moonraker)


@pytest.fixture
def taken_port(moonraker: Moonraker) -> Iterator[int]:
    """Configure txraker, and only that, to listen where somebody else does."""
    file = moonraker.data / "config" / "txraker.conf"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        moonraker.machine.write(file, f"[server]\nhost: 127.0.0.1\nport: {port}\n")
        yield port
    file.unlink()


def test_failing_start(moonraker: Moonraker, taken_port: int) -> None:
    """Where txraker can't start, Moonraker runs and is enabled as before, and nothing else is left."""
    before = everything(moonraker)
    done = moonraker.machine.attempt(f"{TXRAKER} migrate --yes")
    assert done.returncode == 1
    assert "`sudo systemctl enable --now txraker.service` failed" in done.stdout
    assert "Everything is as it was: moonraker.service runs and is enabled." in done.stdout
    moonraker_serves(moonraker)
    after = everything(moonraker)
    more = {str(Path(path).relative_to(moonraker.data)) for path in set(after) - set(before)}
    assert more <= {"audit", "audit/audit.log", "backup", "database/txraker.db.lock"}
    its_own = str(moonraker.data / "database" / "moonraker-sql.db")
    assert {path for path in before if after[path] != before[path]} <= {its_own}  # it runs again
    is_untouched(moonraker)


def test_there_and_back(moonraker: Moonraker) -> None:
    """All is there after moving in; Moonraker's data is, byte for byte, what it was when it stopped."""
    machine, before = moonraker.machine, answers(moonraker)
    _, go, back = documented()
    history, pictures = moonraker.result("/server/history/list?order=asc"), moonraker.thumbnails()
    said = machine.type(go, "y\n")
    assert back in said.splitlines()[-1]
    assert moonraker.api_key not in said

    info = moonraker.wait()
    assert "Tornado" not in moonraker.ask("/server/info").headers.get("server", "")
    assert not info["failed_components"]
    assert any("[octoprint_compat]" in warning and warning in said for warning in info["warnings"])
    assert answers(moonraker) == before
    assert moonraker.ask("/server/info", **{"X-Api-Key": "0" * 32}).status == 401
    assert moonraker.ask("/server/info", Accept="*/*").status == 401
    for username, password in PASSWORDS.items():
        login = {"username": username, "password": password}
        assert moonraker.ask("/access/login", "POST", login, Accept="*/*").status == 200
        login["password"] = "wrong"
        assert moonraker.ask("/access/login", "POST", login, Accept="*/*").status == 400
    for theirs, ours in (("job_history", "imported_jobs"), ("job_totals", "imported_totals")):
        columns = "job_id, filename, status, start_time, metadata"
        columns = columns if theirs == "job_history" else "provider, field, maximum, total"
        database = moonraker.data / "database"
        rows = kept(database / "moonraker-sql.db", theirs, columns)
        assert rows
        assert kept(database / "txraker.db", ours, columns) == rows
    assert machine.is_enabled("txraker")
    assert not machine.is_enabled("moonraker")
    moonraker.until(lambda: bool(moonraker.thumbnails()))
    assert {picture["relative_path"] for picture in moonraker.thumbnails()} <= {
        picture["relative_path"] for picture in pictures
    }

    machine.type(back)
    moonraker_serves(moonraker)
    is_untouched(moonraker)
    assert answers(moonraker) == before
    assert moonraker.result("/server/history/list?order=asc") == history


def test_again(moonraker: Moonraker) -> None:
    """Who went back may migrate again: the database of the first time is kept, also when that fails."""
    machine, folder = moonraker.machine, moonraker.data / "database"
    _, _, back = documented()
    machine.type(f"{TXRAKER} migrate --yes")
    moonraker.result("/server/database/item", "POST", {"namespace": "since", "key": "a", "value": 1})
    machine.type(back)
    moonraker_serves(moonraker)
    first = fingerprint(folder / "txraker.db")
    earlier = set(folder.glob("txraker.db.before-*"))

    machine.write(moonraker.data / "config" / "txraker.conf", "[server]\nport: 1\n")
    done = machine.attempt(f"{TXRAKER} migrate --yes")
    assert done.returncode == 1
    assert fingerprint(folder / "txraker.db") == first
    assert set(folder.glob("txraker.db.before-*")) == earlier
    moonraker_serves(moonraker)

    (moonraker.data / "config" / "txraker.conf").unlink()
    assert "database of an earlier txraker" in machine.type(f"{TXRAKER} migrate --yes")
    (kept_one,) = set(folder.glob("txraker.db.before-*")) - earlier
    assert fingerprint(kept_one) == first
    assert "since" not in moonraker.result("/server/database/list")["namespaces"]
    machine.type(back)
    moonraker_serves(moonraker)


def test_live_moonraker(moonraker: Moonraker) -> None:
    """txraker's server doesn't start beside a Moonraker, and names the process."""
    process = moonraker.machine.type("systemctl show --value --property=MainPID moonraker").strip()
    command = f"~/txraker-env/bin/twistd --nodaemon --pidfile= txraker --data-path {moonraker.data}"
    done = moonraker.machine.attempt(command)
    assert done.returncode == 1
    assert f"process {process} (moonraker.service) listens" in done.stdout
    assert "Stop it first: sudo systemctl stop moonraker.service" in done.stdout
    assert "Traceback" not in done.stdout
    moonraker_serves(moonraker)


def test_another_moonraker(moonraker: Moonraker) -> None:
    """A Moonraker that isn't the named service's is in the way."""
    machine = moonraker.machine
    unit = (machine.units / "moonraker.service").read_text()
    machine.testbed.write_unit("other.service", unit.replace("printer_data", "other_data"))
    before = everything(moonraker)
    done = machine.attempt(f"{TXRAKER} migrate --yes --service other --data-path {moonraker.data}")
    assert done.returncode == 1
    assert "(moonraker.service). Stop it first" in done.stdout
    assert everything(moonraker) == before
    (machine.units / "other.service").unlink()


def test_printing(moonraker: Moonraker) -> None:
    """While a print is in progress nothing is done."""
    before, process = everything(moonraker), moonraker.machine.testbed.main_process("moonraker.service")
    with moonraker.printing("long.gcode"):
        done = moonraker.machine.attempt(f"{TXRAKER} migrate --yes")
    assert done.returncode == 1
    assert "The printer is printing: wait until the print has ended" in done.stdout
    assert "Nothing was changed." in done.stdout
    assert set(everything(moonraker)) - set(before) <= {str(moonraker.data / "gcodes" / "long.gcode")}
    assert moonraker.machine.testbed.main_process("moonraker.service") == process


def test_klipper_is_off(moonraker: Moonraker) -> None:
    """A printer that is off doesn't print, and may be moved."""
    look, _, _ = documented()
    moonraker.machine.type("sudo systemctl stop klipper")
    moonraker.wait("disconnected")
    said = moonraker.machine.attempt(look).stdout
    moonraker.machine.type("sudo systemctl start klipper")
    moonraker.wait()
    assert "What will be done" in said


def test_interrupted(moonraker: Moonraker) -> None:
    """Ctrl-C in the middle counts as a failure, and Moonraker serves again."""
    machine = moonraker.machine
    slow = machine.units / "moonraker.service.d" / "slow.conf"
    slow.write_text("[Service]\nExecStopPost=/bin/sleep 3\n")
    machine.testbed.manage("Reload")
    done = machine.attempt(
        f"{TXRAKER} migrate --yes > said 2>&1 & "
        "for tick in $(seq 300); do grep -q ^1/ said && break; sleep 0.1; done; "
        "kill -INT $!; wait $!; code=$?; cat said; exit $code"
    )
    assert done.returncode == 1
    assert "txraker: it was interrupted" in done.stdout
    assert "Everything is as it was" in done.stdout
    slow.unlink()
    machine.testbed.manage("Reload")
    moonraker_serves(moonraker)


def test_killed(moonraker: Moonraker) -> None:
    """Who loses power in the middle has a Moonraker at the next start, and may go back at once."""
    machine = moonraker.machine
    machine.attempt("sudo rm -f /etc/systemd/system/txraker.service && sudo systemctl daemon-reload")
    machine.attempt(
        f"{TXRAKER} migrate --yes > said 2>&1 & "
        "for tick in $(seq 300); do grep -q ^2/ said && break; sleep 0.1; done; kill -KILL $!"
    )
    assert machine.testbed.state("moonraker.service") == "inactive"
    assert machine.is_enabled("moonraker")
    _, _, back = documented()
    machine.type(back)
    moonraker_serves(moonraker)


def test_terminal_is_gone(moonraker: Moonraker) -> None:
    """Who loses the connection in the middle has moved in, too."""
    done = moonraker.machine.attempt(
        f"{TXRAKER} migrate --yes > said 2>&1 & "
        "for tick in $(seq 300); do grep -q ^1/ said && break; sleep 0.1; done; kill -HUP $!; wait $!"
    )
    assert done.returncode == 0
    assert moonraker.machine.is_enabled("txraker")
    assert "Tornado" not in moonraker.ask("/server/info").headers.get("server", "")
