"""A real server beside a real systemd, whose klipper.service is a virtual printer."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.integration.conftest import Connect
from tests.integration.process import PATIENCE, Twistd, ask, configure, free_port, post, trusting, twistd
from tests.integration.websocket import WebSocket
from tests.testbed.systemd import Testbed, systemd

UNIT = """\
[Unit]
DefaultDependencies=no
[Service]
ExecStart={python} -m txraker.simulator --socket {data}/comms/klippy.sock --gcodes {data}/gcodes \\
    --startup-seconds 0.2
StandardError=append:{data}/logs/klippy.log
"""


@define
class Host:
    """A machine with a printer and a server that runs."""

    testbed: Testbed
    data: Path
    port: int
    process: Twistd

    @property
    def klippy_log(self) -> Path:
        """What Klipper writes its log to."""
        return self.data / "logs" / "klippy.log"

    @property
    def rolled(self) -> list[Path]:
        """Klipper's logs that were put aside."""
        return sorted(self.data.glob("logs/klippy.log.*"))

    def roll(self, **arguments: str) -> dict[str, Any]:
        """Roll over logs."""
        result: dict[str, Any] = post(self.port, "/server/logs/rollover", arguments).json["result"]
        return result


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    """Run a systemd."""
    with systemd() as testbed:
        yield testbed


@pytest.fixture
def host(testbed: Testbed, tmp_path: Path) -> Iterator[Host]:
    """Run a printer as a service, and a server."""
    port = free_port()
    data = tmp_path / "data"
    configure(data, trusting(port, provider="systemd_dbus"))
    for folder in ("comms", "gcodes", "logs"):
        (data / folder).mkdir()
    testbed.write_unit("klipper.service", UNIT.format(python=sys.executable, data=data))
    testbed.manage("StartUnit", "ss", "klipper.service", "replace")
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": testbed.address}
    with twistd(tmp_path, "-d", str(data), environment=environment) as process:
        process.wait_for(port, "ready")
        yield Host(testbed, data, port, process)
        assert process.terminate() < PATIENCE
        assert "Traceback" not in process.log.read_text()
    testbed.manage("StopUnit", "ss", "klipper.service", "replace")


def test_rollover(host: Host, connect: Connect) -> None:
    """Klipper's log is put aside whole, Klipper is another process then, and clients see it go and come."""
    client = connect(host.port)
    before = host.testbed.main_process("klipper.service")
    with host.klippy_log.open("a") as log:
        log.write("the last line\n")
    whole = host.klippy_log.read_text()
    assert host.roll() == {"rolled_over": ["moonraker", "klipper"], "failed": {}}
    (rolled,) = host.rolled
    assert re.fullmatch(r"klippy\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", rolled.name)
    assert rolled.read_text().startswith(whole)
    client.wait_for("notify_klippy_disconnected")
    client.wait_for("notify_klippy_ready")
    host.process.wait_for(host.port, "ready")
    after = host.testbed.main_process("klipper.service")
    assert after not in (0, before)
    assert "the last line" not in host.klippy_log.read_text()
    assert host.klippy_log.stat().st_size > 0


def test_our_own_header(host: Host) -> None:
    """Our own new log begins with what one needs to know to read it, without secrets."""
    assert host.roll(application="moonraker") == {"rolled_over": ["moonraker"], "failed": {}}
    text = (host.data / "logs" / "moonraker.log").read_text()
    assert text.startswith("-------------------- txraker ")
    assert "Python 3." in text
    assert re.search(r"^Klipper v\d", text, re.MULTILINE)
    assert f"    port: {host.port}\n" in text
    assert host.rolled == []


@pytest.mark.parametrize("paused", [False, True])
def test_while_printing(host: Host, connect: Connect, paused: bool) -> None:
    """A print is never disturbed, be it paused; our own log is rolled over all the same."""
    (host.data / "gcodes" / "long.gcode").write_text("G4 P500\n" * 100)
    assert post(host.port, "/printer/print/start", {"filename": "long.gcode"}).status == 200
    if paused:
        assert ask(host.port, "/printer/print/pause", "POST").status == 200
    before = host.testbed.main_process("klipper.service")
    words = "Cannot rollover log while printing"
    assert host.roll() == {"rolled_over": ["moonraker"], "failed": {"klipper": words}}
    assert host.testbed.main_process("klipper.service") == before
    assert host.rolled == []


def test_two_at_once(host: Host, connect: Connect) -> None:
    """Of two rollovers at once the second waits for the first, and neither leaves Klipper stopped."""
    clients = [connect(host.port), connect(host.port)]
    for client in clients:
        client.send(json.dumps({"jsonrpc": "2.0", "method": "server.logs.rollover", "id": 7}))
    second, first = sorted(
        (answer_of(client) for client in clients), key=lambda answer: len(answer["rolled_over"])
    )
    assert first == {"rolled_over": ["moonraker", "klipper"], "failed": {}}
    assert second in (first, {"rolled_over": ["moonraker"], "failed": {"klipper": NOT_YET}})
    host.process.wait_for(host.port, "ready")
    assert host.testbed.main_process("klipper.service") != 0


def answer_of(client: WebSocket) -> dict[str, Any]:
    """Return the result of the one request."""
    while "id" not in (message := client.receive()):
        pass
    result: dict[str, Any] = message["result"]
    return result


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let a folder be on a file system that can't be written, for us and not for services."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_rename_that_fails(host: Host) -> None:
    """When the log can't be put aside, Klipper runs again all the same, and the reason is told."""
    before = host.testbed.main_process("klipper.service")
    with read_only(host.klippy_log.parent):
        answer = host.roll()
    assert answer["rolled_over"] == []
    assert set(answer["failed"]) == {"moonraker", "klipper"}
    assert all("Read-only file system" in reason for reason in answer["failed"].values())
    host.process.wait_for(host.port, "ready")
    assert host.testbed.main_process("klipper.service") not in (0, before)
    assert host.rolled == []


NOT_YET = "Klippy doesn't say whether it is printing"
"""What a Klipper that was started just now is refused for: it may be printing for all we know."""

SLOW = "ExecStop=/usr/bin/sleep 2\n"


@pytest.mark.parametrize("ending", ["restart", "end"])
def test_server_that_ends(host: Host, ending: str) -> None:
    """A server that is told to end or to restart in the middle of a rollover leaves Klipper running."""
    unit = UNIT.format(python=sys.executable, data=host.data)
    host.testbed.write_unit("klipper.service", unit + SLOW)
    before = host.testbed.main_process("klipper.service")
    with ThreadPoolExecutor() as threads:
        rolling = threads.submit(host.roll, application="klipper")
        while host.testbed.state("klipper.service") != "deactivating":
            assert not rolling.done()
        if ending == "end":
            host.process.terminate()
        else:
            assert ask(host.port, "/server/restart", "POST").json == {"result": "ok"}
    deadline = time.monotonic() + PATIENCE
    while host.testbed.main_process("klipper.service") in (0, before):
        assert time.monotonic() < deadline, "Klipper doesn't run"
    assert len(host.rolled) == 1


def test_start_that_fails(host: Host) -> None:
    """When Klipper doesn't start again, that is told, with its log put aside."""
    host.testbed.write_unit("klipper.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n")
    answer = host.roll(application="klipper")
    assert "Can't start klipper.service: the job ended as failed" in answer["failed"]["klipper"]
    assert len(host.rolled) == 1


def test_bus_that_dies_amid_a_rollover(host: Host) -> None:
    """When the bus dies while Klipper stops, that is told, and the next bus starts Klipper again."""
    unit = UNIT.format(python=sys.executable, data=host.data)
    host.testbed.write_unit("klipper.service", unit + SLOW)
    before = host.testbed.main_process("klipper.service")
    with ThreadPoolExecutor() as threads:
        rolling = threads.submit(host.roll, application="klipper")
        while host.testbed.state("klipper.service") != "deactivating":
            assert not rolling.done()
        host.testbed.signal_bus(signal.SIGKILL)
        answer = rolling.result()
    assert answer["rolled_over"] == []
    assert "The connection to the bus has ended" in answer["failed"]["klipper"]
    host.process.wait_for(host.port, "ready")
    assert host.testbed.main_process("klipper.service") not in (0, before)


def test_bus_that_dies(host: Host) -> None:
    """A bus that dies costs nothing but an error while it is away."""
    host.testbed.signal_bus(signal.SIGKILL)
    answer = host.roll(application="klipper")
    if answer["failed"]:
        assert re.search("Unable to detect|bus", answer["failed"]["klipper"])
    else:
        assert answer["rolled_over"] == ["klipper"]
    host.process.wait_for(host.port, "ready")
    assert host.testbed.main_process("klipper.service") != 0


def test_services(host: Host, connect: Connect) -> None:
    """Clients see the service, what happens to it, and can restart it."""
    client = connect(host.port)
    info = client.call("machine.system_info")["result"]["system_info"]
    assert info["provider"] == "systemd_dbus"
    assert info["available_services"] == ["klipper"]
    assert info["service_state"]["klipper"] == {"active_state": "active", "sub_state": "running"}
    assert info["instance_ids"] == {"moonraker": "moonraker", "klipper": "klipper"}
    before = host.testbed.main_process("klipper.service")
    assert client.call("machine.services.restart", service="klipper")["result"] == "ok"
    assert host.testbed.main_process("klipper.service") not in (0, before)
    states = [client.wait_for("notify_service_state_changed")["params"][0]["klipper"]["active_state"]]
    while states[-1] != "active":
        states.append(client.wait_for("notify_service_state_changed")["params"][0]["klipper"]["active_state"])
    assert states[0] == "deactivating"
    assert client.call("machine.services.restart", service="ssh")["error"]["code"] == 400


def test_each_second(host: Host, connect: Connect) -> None:
    """Clients hear from the machine each second, and find the same when they ask."""
    client = connect(host.port)
    heard = client.wait_for("notify_proc_stat_update")["params"][0]
    assert set(heard) == {
        "moonraker_stats",
        "cpu_temp",
        "network",
        "system_cpu_usage",
        "system_memory",
        "websocket_connections",
    }
    assert heard["websocket_connections"] == 1
    stats = client.call("machine.proc_stats")["result"]
    assert set(stats) == {*heard, "throttled_state", "system_uptime"}
    assert heard["moonraker_stats"] in stats["moonraker_stats"]
    client.wait_for("notify_proc_stat_update")


def test_peripherals(host: Host) -> None:
    """What is plugged into this machine, whatever it is, can be asked for."""
    for kind, fields in {
        "usb": ["usb_devices"],
        "serial": ["serial_devices"],
        "video": ["v4l2_devices", "libcamera_devices"],
    }.items():
        answer = ask(host.port, f"/machine/peripherals/{kind}").json["result"]
        assert list(answer) == fields
        assert all(isinstance(answer[name], list) for name in fields)
    assert ask(host.port, "/machine/peripherals/canbus?interface=nocan9").status == 400


def test_macros(host: Host, connect: Connect) -> None:
    """A macro of Klipper's restarts a service, and one that may not be is refused in the log."""
    client = connect(host.port)
    before = host.testbed.main_process("klipper.service")
    call = "CALL_REMOTE_METHOD NAME=restart_service SERVICE={}"
    client.call("printer.gcode.script", script=call.format("ssh"))
    client.call("printer.gcode.script", script=call.format("klipper"))
    client.wait_for("notify_klippy_ready")
    assert host.testbed.main_process("klipper.service") not in (0, before)
    assert "Service 'ssh' not allowed" in (host.data / "logs" / "moonraker.log").read_text()
