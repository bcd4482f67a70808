"""The virtual printer's endpoints beyond what was recorded."""

from __future__ import annotations

import pytest

from txraker.simulator.options import SimulatorOptions

from .bench import Bench


def test_no_id_no_reply() -> None:
    """A request without an id, or with null, is carried out and not answered."""
    client = Bench().ready()
    before = len(client.received)
    client.send({"method": "gcode/script", "params": {"script": "M117 a"}})
    client.send({"id": None, "method": "info"})
    assert len(client.received) == before
    assert client.status("display_status")["message"] == "a"


@pytest.mark.parametrize("frame", [b"", b"[]", b"5", b'{"id":1}', b'{"id":1,"method":5}', b"\xff"])
def test_what_is_no_request_is_ignored(frame: bytes) -> None:
    """A frame that is no request is ignored."""
    client = Bench().ready()
    before = len(client.received)
    client.send_bytes(frame)
    assert len(client.received) == before


def test_remote_method() -> None:
    """A macro calls a method a client registered, which gets its template with the parameters."""
    client = Bench().ready()
    client.result(
        "register_remote_method", remote_method="paneldue_beep", response_template={"action": "beep"}
    )
    client.run("BEEP")
    messages = [message for _, message in client.received if "action" in message]
    assert messages == [{"action": "beep", "params": {"frequency": 300, "duration": 1.0}}]


def test_subscription_is_replaced() -> None:
    """A second subscription replaces the first, and an empty one ends the ticks."""
    bench = Bench()
    client = bench.ready()
    client.request("objects/subscribe", objects={"toolhead": None})
    client.request("objects/subscribe", objects={"idle_timeout": ["state"]})
    bench.advance(0.3)
    before = len(client.received)
    bench.advance(1.0)
    assert len(client.received) == before
    number = client.request("objects/subscribe", objects={})
    bench.advance(0.3)
    assert client.reply(number) is not None
    assert client.result("objects/query", objects={"webhooks": ["state"]})


def test_shutdown_ends_what_runs() -> None:
    """An emergency stop is answered at once; the running script fails after it, heaters lose their power."""
    bench = Bench()
    client = bench.ready()
    number = client.script("M190 S60")
    bench.advance(5.0)
    stop = client.request("emergency_stop")
    assert [m["id"] for _, m in client.received[-2:]] == [stop, number]
    reply = client.reply(number)
    assert reply is not None
    assert reply["error"]["message"].startswith("Shutdown due to webhooks request\n")
    assert client.status("heater_bed")["power"] == 0.0
    bench.advance(60.0)
    assert client.status("heater_bed")["temperature"] < 30.0


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("M112", "Shutdown due to M112 command"),
        ('SIMULATE_SHUTDOWN MSG="on fire"', "on fire"),
        ("SIMULATE_MCU_LOSS", "Lost communication with MCU 'mcu'"),
    ],
)
def test_shutdown_on_demand(script: str, reason: str) -> None:
    """Commands bring the printer to shutdown, saying why."""
    client = Bench().ready()
    client.script(script)
    info = client.result("info")
    assert info["state"] == "shutdown"
    assert info["state_message"].startswith(reason)


def test_lost_mcu() -> None:
    """Without its micro-controller a printer stays in startup, until it is back."""
    bench = Bench()
    client = bench.ready()
    client.script("SIMULATE_MCU_LOSS")
    client.request("gcode/firmware_restart")
    bench.advance(5.0)
    client = bench.connect()
    assert client.result("info")["state"] == "startup"
    assert bench.host is not None
    bench.host.reconnect_mcu()
    bench.advance(0.1)
    assert client.result("info")["state"] == "ready"


def test_restart_keeps_heat_and_variables() -> None:
    """A restart forgets targets and homing; temperatures and saved variables outlive it."""
    bench = Bench()
    client = bench.ready()
    client.run("SAVE_VARIABLE VARIABLE=a VALUE=1", "G28", "M190 S60")
    client.request("gcode/restart")
    bench.advance(3.0)
    client = bench.ready()
    bed = client.status("heater_bed")
    assert (bed["target"], bed["temperature"] > 40.0) == (0.0, True)
    assert client.status("toolhead")["homed_axes"] == ""
    assert client.status("save_variables") == {"variables": {"a": 1}}


def test_gone_clients_are_forgotten() -> None:
    """What a client waits for is dropped when it leaves, and others are served on."""
    bench = Bench()
    client, other = bench.ready(), bench.connect()
    number = other.script("G4 P1000")
    other.request("objects/subscribe", objects={"toolhead": None})
    assert bench.host is not None
    assert other.connection is not None
    bench.host.disconnect(other.connection)
    bench.advance(2.0)
    assert other.reply(number) is None
    assert client.result("objects/query", objects={"toolhead": None})


def test_idle_timeout() -> None:
    """Long after its last work the printer is idle: heaters and motors off."""
    bench = Bench(SimulatorOptions())
    client = bench.ready()
    client.run("SET_IDLE_TIMEOUT TIMEOUT=60", "G28", "M140 S50")
    client.request("objects/subscribe", objects={"toolhead": None})
    bench.advance(70.0)
    number = client.request("objects/query", objects={"idle_timeout": None, "heater_bed": None})
    bench.advance(0.3)
    reply = client.reply(number)
    assert reply is not None
    assert reply["result"]["status"]["idle_timeout"]["state"] == "Idle"
    assert reply["result"]["status"]["heater_bed"]["target"] == 0.0
