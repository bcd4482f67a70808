"""The generated unit and rule on a real systemd with a real PolicyKit, as an unprivileged user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.integration.process import ask, configure, free_port, post
from tests.testbed.systemd import Testbed, systemd
from txraker.install.installation import Accounts, Installation, find_installation
from txraker.install.system_files import files_of

USER = "daemon"
"""Somebody without rights, with a home, whom every Debian has."""

SLEEPER = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/sleep 1000\n"
SERVICES = ("klipper-2.service", "crowsnest.service", "moonraker-2.service", "slow.service")
PATIENCE = 20.0


@frozen
class Rig:
    """Our server as a service of a systemd; ``port`` is where it answers."""

    testbed: Testbed
    installation: Installation
    port: int

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespaces of that systemd."""
        environment = (f"DBUS_SYSTEM_BUS_ADDRESS={self.testbed.address}", "HOME=/nonexistent")
        words = self.testbed.inside("env", *environment, *command)
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def as_user(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there as the user whom our server runs as."""
        account = Accounts().named(USER)
        ids = [f"--reuid={account.user_id}", f"--regid={account.user_id}", "--clear-groups"]
        return self.inside("setpriv", *ids, *command)

    def main_process(self) -> int:
        """Return the number of our process."""
        return self.testbed.main_process(self.installation.unit)

    def status(self, name: str) -> str:
        """Return what the kernel says of our process."""
        text = self.inside("cat", f"/proc/{self.main_process()}/status").stdout
        return next(
            line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")
        )

    def wait_for_next(self, before: int) -> int:
        """Wait until another process of ours is ready than the one before; return its number."""
        until(lambda: self.main_process() not in (0, before) and self.is_active())
        return self.main_process()

    def is_active(self) -> bool:
        """Say whether systemd takes our server for ready."""
        return self.testbed.state(self.installation.unit) == "active"


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never holds")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Start the generated unit of a printer with an odd data path, and put the rule in its place."""
    with systemd("system") as testbed:
        for path in (Path(sys.executable).resolve(), Path(sys.prefix), Path(__file__)):
            testbed.let_reach(path)
        subprocess.run(testbed.inside("mount", "--make-rshared", "/"), check=True, timeout=20)
        over = testbed.inside("mount", "--bind", testbed.folder / "units", "/etc/systemd/system")
        subprocess.run(over, check=True, timeout=20)
        port = free_port()
        installation = find_installation([printer_data(testbed.folder, port)], USER)
        for service in SERVICES:
            testbed.write_unit(service, SLEEPER)
        for_test = testbed.folder / "units" / f"{installation.unit}.d" / "test.conf"
        for_test.parent.mkdir()
        for_test.write_text(
            f"[Service]\nEnvironment=DBUS_SYSTEM_BUS_ADDRESS={testbed.address}\nWatchdogSec=3\n"
            f"StandardOutput=append:{testbed.folder}/log\nStandardError=append:{testbed.folder}/log\n"
        )
        rig = Rig(testbed, installation, port)
        written = rig.inside(
            str(installation.twistd.with_name("txraker")),
            *("unit", "--write", "--yes", "--user", USER, "-d", str(installation.data_paths[0])),
        )
        assert written.returncode == 0, written.stderr
        started = rig.inside("systemctl", "start", installation.name)
        assert started.returncode == 0, started.stderr + log(testbed)
        yield rig


def printer_data(folder: Path, port: int) -> Path:
    """Make a data path of the user's."""
    data_path = folder / 'my "data" $HOME 100%h ü'
    configure(
        data_path, f"[server]\nhost: 127.0.0.1\nport: {port}\n[authorization]\ntrusted_clients: 127.0.0.1\n"
    )
    (data_path / "moonraker.asvc").write_text("crowsnest\n")
    for path in (data_path, *data_path.rglob("*")):
        shutil.chown(path, USER, USER)
    return data_path


def log(testbed: Testbed) -> str:
    """Return what the server said."""
    path = testbed.folder / "log"
    return path.read_text(errors="replace") if path.exists() else ""


def test_written(rig: Rig) -> None:
    """``txraker unit --write`` puts both files in place, readable by all, and leaves nothing beside them."""
    for folder, file in zip(("units", "rules"), files_of(rig.installation), strict=True):
        path = rig.testbed.folder / folder / file.path.name
        assert path.read_text() == file.text
        assert (path.stat().st_mode & 0o777, path.owner(), path.group()) == (0o644, "root", "root")
        assert not list(path.parent.glob("*.new"))


def test_ready(rig: Rig) -> None:
    """systemd takes the server for ready when it answers, as the user, without complaints."""
    assert rig.is_active()
    info = ask(rig.port, "/server/info").json["result"]
    assert (info["failed_components"], info["warnings"]) == ([], [])
    user_id = Accounts().named(USER).user_id
    assert rig.status("Uid").split() == [str(user_id)] * 4
    assert rig.status("NoNewPrivs") == "1"
    (data_path,) = rig.installation.data_paths
    assert (data_path / "logs" / "moonraker.log").is_file()


def test_machine_is_seen(rig: Rig) -> None:
    """What the unit keeps from the server keeps nothing from its clients."""
    facts = ask(rig.port, "/machine/system_info").json["result"]["system_info"]
    assert facts["provider"] == "systemd_dbus"
    assert facts["network"]
    assert {"klipper-2", "crowsnest", "txraker"} <= set(facts["available_services"])
    for path in ("proc_stats", "peripherals/usb", "peripherals/serial", "peripherals/video"):
        assert ask(rig.port, f"/machine/{path}").status == 200


@pytest.mark.parametrize("service", ["klipper-2", "crowsnest"])
def test_what_is_permitted(rig: Rig, service: str) -> None:
    """Services that the rule names are started, restarted and stopped."""
    for action in ("start", "restart", "stop"):
        reply = post(rig.port, f"/machine/services/{action}", {"service": service})
        assert reply.json == {"result": "ok"}
        expected = "inactive" if action == "stop" else "active"
        assert rig.testbed.state(f"{service}.service") == expected


def test_what_is_not_permitted(rig: Rig) -> None:
    """A service that the rule doesn't name is refused, though the API lets clients ask for it."""
    reply = post(rig.port, "/machine/services/start", {"service": "moonraker-2"})
    assert reply.status == 403
    assert "may not start moonraker-2.service" in reply.json["error"]["message"]
    assert rig.testbed.state("moonraker-2.service") == "inactive"


@pytest.mark.parametrize(
    "command",
    [
        "start slow.service",
        "start moonraker-2.service",
        "kill klipper-2.service",
        "set-property --runtime klipper-2.service CPUWeight=1",
        "enable crowsnest.service",
        "daemon-reload",
    ],
)
def test_nothing_more(rig: Rig, command: str) -> None:
    """The user may do nothing else by that rule: neither with other services, nor other things with ours."""
    assert rig.as_user("systemctl", "--no-ask-password", "start", "klipper-2.service").returncode == 0
    refused = rig.as_user("systemctl", "--no-ask-password", *command.split())
    assert refused.returncode != 0
    assert "auth" in refused.stderr.lower() or "access denied" in refused.stderr.lower(), refused.stderr


def doctor(rig: Rig) -> tuple[int, dict[str, list[str]]]:
    """Call the doctor as the user; return the exit code and what is said, by level, with commands below."""
    program = str(rig.installation.twistd.with_name("txraker"))
    run = rig.as_user(program, "doctor", "-d", str(rig.installation.data_paths[0]))
    assert run.stderr == ""
    said: dict[str, list[str]] = {}
    level = ""
    for line in run.stdout.splitlines()[:-2]:
        level = line[:8].strip() or level
        said.setdefault(level, []).append(line[8:].strip())
    return run.returncode, said


def test_doctor(rig: Rig) -> None:
    """The doctor sees systemd, bus, PolicyKit, rule, unit and server as they are, without any rights."""
    until(rig.is_active)
    code, said = doctor(rig)
    assert (code, said.get("bad")) == (0, None)
    process = rig.main_process()
    for expected in (
        f"txraker answers at port {rig.port} (process {process})",
        "The system bus is there, with systemd and PolicyKit on it",
        "The unit /etc/systemd/system/txraker.service is as it should be",
        "The PolicyKit rule /etc/polkit-1/rules.d/60-txraker.rules is as it should be",
        "txraker.service runs",
        "No Moonraker is enabled or running",
    ):
        assert expected in said["good"]
    assert any(line.startswith("txraker serves") for line in said["good"])
    assert any(line.startswith("txraker.service won't start with the machine") for line in said["warning"])
    assert any(line.startswith("There is no /tmp/klippy_uds") for line in said["warning"])


def test_doctor_mends(rig: Rig) -> None:
    """The commands that the doctor gives mend what it says."""
    rig.testbed.unit("StopUnit", rig.installation.unit)
    until(lambda: rig.testbed.state(rig.installation.unit) == "inactive")
    mend(rig, "txraker.service doesn't run")
    until(rig.is_active)
    os.utime(rig.testbed.folder / "units" / rig.installation.unit)
    mend(rig, "systemd hasn't read txraker.service")


def mend(rig: Rig, says: str) -> None:
    """Do as root what the doctor gives below what it says; then it doesn't say that any more."""
    lines = doctor(rig)[1]["warning"]
    number = next(number for number, line in enumerate(lines) if line.startswith(says))
    sudo, *command = lines[number + 1].split()
    assert sudo == "sudo"
    assert rig.inside(*command).returncode == 0
    assert not any(line.startswith(says) for line in doctor(rig)[1]["warning"])


def test_doctor_in_trouble(rig: Rig) -> None:
    """The doctor names what is in the way: a Moonraker, a closed folder, an old unit, a foreign database."""
    (data_path,) = rig.installation.data_paths
    unit = rig.testbed.folder / "units" / rig.installation.unit
    right = unit.read_text()
    port_taken = f"{SLEEPER.partition('ExecStart')[0]}ExecStart={sys.executable} -m http.server {rig.port}\n"
    rig.testbed.unit("StopUnit", rig.installation.unit)
    rig.testbed.write_unit("moonraker.service", port_taken)
    rig.testbed.unit("StartUnit", "moonraker.service")
    unit.write_text(right.replace("RestartSec=2", "RestartSec=20"))
    (rig.testbed.folder / "rules").chmod(0o700)
    database = data_path / "database" / "txraker.db"
    database.chmod(0o600)
    os.chown(database, 0, 0)
    try:
        until(lambda: any("taken by" in line for line in doctor(rig)[1].get("bad", ())))
        code, said = doctor(rig)
    finally:
        rig.testbed.unit("StopUnit", "moonraker.service")
        shutil.chown(database, USER, USER)
        (rig.testbed.folder / "rules").chmod(0o755)
        rig.testbed.write_unit(unit.name, right)
        rig.testbed.unit("StartUnit", rig.installation.unit)
        until(rig.is_active)
    assert code == 1
    text = {level: "\n".join(lines) for level, lines in said.items()}
    assert f"Port {rig.port} is taken by a program of root's" in text["bad"]
    assert f"{USER} may not read and write {database}, which root owns" in text["bad"]
    assert "moonraker.service is running" in text["warning"]
    assert "The unit /etc/systemd/system/txraker.service isn't what it would be" in text["warning"]
    assert "PolicyKit rule /etc/polkit-1/rules.d/60-txraker.rules is as it should be can't" in text["unknown"]


def test_mounts_are_seen(rig: Rig) -> None:
    """A USB stick that is mounted while the server runs is seen by it, and may be written to."""
    (data_path,) = rig.installation.data_paths
    stick = data_path / "gcodes" / "usb"
    script = 'mkdir "$0" && mount -t tmpfs -o "uid=$1" tmpfs "$0" && echo G28 > "$0/a.gcode"'
    user_id = str(Accounts().named(USER).user_id)
    assert rig.inside("sh", "-c", script, str(stick), user_id).returncode == 0
    listed = ask(rig.port, "/server/files/directory?path=gcodes/usb").json["result"]["files"]
    assert [file["filename"] for file in listed] == ["a.gcode"]
    assert ask(rig.port, "/server/files/gcodes/usb/a.gcode", "DELETE").status == 200


def test_restarts_itself(rig: Rig) -> None:
    """A client may restart the server, which is a unit's restart."""
    before = rig.main_process()
    assert post(rig.port, "/machine/services/restart", {"service": "moonraker"}).json == {"result": "ok"}
    rig.wait_for_next(before)
    assert ask(rig.port, "/server/info").status == 200


def test_watchdog(rig: Rig) -> None:
    """A server that hangs is killed and started again."""
    before = rig.main_process()
    assert rig.inside("kill", "-STOP", str(before)).returncode == 0
    rig.wait_for_next(before)
    assert ask(rig.port, "/server/info").status == 200
