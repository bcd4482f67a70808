"""The virtual printer against conversations recorded with a real Klippy."""

from __future__ import annotations

from typing import Any

import pytest

from txraker.simulator.options import SimulatorOptions

from .bench import Bench, Client
from .recording import Line, differences, events, history, load, received, updates

#: Commands of the recorded printer that ours has no use for.
NOT_OURS = {
    "BED_MESH_MAP",
    "BED_MESH_OFFSET",
    "SET_EXTRUDER_ROTATION_DISTANCE",
    "SYNC_EXTRUDER_MOTION",
    "TUNING_TOWER",
}


def replay(bench: Bench, lines: list[Line], client: Client) -> list[tuple[float, dict[str, Any]]]:
    """Send what was sent, when it was sent; everything received, over all connections."""
    messages: list[tuple[float, dict[str, Any]]] = []
    start = bench.now
    for line in lines:
        bench.advance_to(start + line.t)
        if line.direction == "tx":
            client.send(line.message)
        elif line.message == "connected" and line.t > 0.1:
            messages += client.received
            client = bench.connect()
        elif isinstance(line.message, str) and line.message.startswith("raw sent"):
            client.send_bytes(b"{not json}")
    bench.advance(0.3)
    return messages + client.received


def other_subscriber(bench: Bench) -> None:
    """Another client that is subscribed throughout, as in the recordings."""
    bench.connect().request("objects/subscribe", objects={"webhooks": None})


def assert_same_replies(lines: list[Line], ours: list[tuple[float, dict[str, Any]]]) -> None:
    """Every reply has the shape of the recorded one; the table of ``gcode/help`` has a test of its own."""
    answers = {message["id"]: message for _, message in ours if "id" in message}
    for _, message in received(lines):
        if "id" in message and "RESTART" not in message.get("result", {}):
            assert differences(message, answers[message["id"]], f"reply {message['id']}") == []


def assert_same_events(lines: list[Line], ours: list[tuple[float, dict[str, Any]]]) -> None:
    """Replies and console lines come in the recorded order, in the recorded words."""
    assert events(ours) == events(received(lines))


def test_handshake() -> None:
    """A handshake, a subscription and requests that go wrong are answered as they were recorded."""
    bench, lines = Bench(), load("handshake")
    preparation = bench.ready()
    preparation.run("SET_KINEMATIC_POSITION X=140 Y=80 Z=17", "G4 P10")
    bench.advance(1.0)
    other_subscriber(bench)
    bench.advance(0.116)
    ours = replay(bench, lines, bench.connect())
    assert_same_replies(lines, ours)
    assert_same_events(lines, ours)
    assert history(ours, "idle_timeout", "state") == ["Ready", "Printing", "Ready"]
    assert history(ours, "display_status", "message") == [None, "hello"]


def test_objects_and_commands() -> None:
    """Our printer has every object of the recorded one and all of its commands but a known few."""
    lines, client = load("handshake"), Bench().ready()
    theirs = {m["id"]: m["result"] for _, m in received(lines) if "result" in m}
    assert set(theirs[3]["objects"]) <= set(client.result("objects/list")["objects"])
    assert theirs[2]["endpoints"] == client.result("list_endpoints")["endpoints"]
    commands = client.status("gcode")["commands"]
    assert set(theirs[9]["status"]["gcode"]["commands"]) - set(commands) == NOT_OURS
    for name, text in theirs[5].items():
        if name not in NOT_OURS:
            assert commands[name].get("help") == text


def test_every_object_has_the_recorded_fields() -> None:
    """Each object reports exactly the fields, with the types, that the recorded one did."""
    theirs = next(m for _, m in received(load("handshake")) if m.get("id") == 9)["result"]["status"]
    client = Bench().ready()
    ours = client.result("objects/query", objects=dict.fromkeys(theirs))["status"]
    found = [text for name in theirs for text in differences(theirs[name], ours[name], name)]
    assert found == []


def test_ticks_carry_only_changed_fields() -> None:
    """Status updates come every 250 ms, with just the fields whose values differ from the last ones."""
    bench = Bench()
    client = bench.ready()
    names = client.result("objects/list")["objects"]
    client.request("objects/subscribe", objects=dict.fromkeys(names), response_template={"method": "x"})
    bench.advance(5.1)
    times = [time for time, message in client.received if message.get("method") == "x"]
    assert times == pytest.approx([0.51 + 0.25 * n for n in range(1, 21)])
    known: dict[str, dict[str, Any]] = {}
    for status in updates(client.received):
        for name, fields in status.items():
            for key, value in fields.items():
                assert known.get(name, {}).get(key, "unknown") != value
                known.setdefault(name, {})[key] = value


def test_emergency_stop_and_restarts() -> None:
    """Emergency stop, firmware restart and host restart follow the recorded course."""
    bench = Bench(SimulatorOptions(startup_seconds=0.66, restart_seconds=0.95))
    lines = load("emergency-stop-and-restarts")
    preparation = bench.ready()
    preparation.run("SET_KINEMATIC_POSITION X=100 Y=100 Z=5")
    other_subscriber(bench)
    bench.advance(1.2)
    ours = replay(bench, lines, bench.connect())
    assert_same_replies(lines, ours)
    assert_same_events(lines, ours)
    theirs = received(lines)
    assert history(ours, "webhooks", "state") == history(theirs, "webhooks", "state")
    assert history(ours, "webhooks", "state_message") == history(theirs, "webhooks", "state_message")
    states = [m["result"]["state"] for _, m in ours if "state" in m.get("result", {})]
    assert states == [m["result"]["state"] for _, m in theirs if "state" in m.get("result", {})]
    assert set(history(ours, "gcode", "commands")[-1]) == set(history(theirs, "gcode", "commands")[-1])


def test_query_is_answered_after_the_update_of_its_tick() -> None:
    """While somebody is subscribed a query waits for the tick, and its answer follows the update."""
    bench = Bench()
    client = bench.ready()
    client.request("objects/subscribe", objects={"toolhead": ["estimated_print_time"]})
    bench.advance(0.1)
    number = client.request("objects/query", objects={"toolhead": ["homed_axes"]})
    assert client.reply(number) is None
    bench.advance(0.15)
    (_, update), (_, answer) = client.received[-2:]
    assert answer["id"] == number
    assert update["params"]["eventtime"] == answer["result"]["eventtime"]


@pytest.mark.parametrize(
    ("name", "options", "shared"),
    [
        ("config-error", SimulatorOptions(startup_seconds=3.1, fault="config-error"), True),
        ("startup-without-mcu", SimulatorOptions(fault="no-mcu"), False),
    ],
)
def test_start_that_fails(name: str, options: SimulatorOptions, shared: bool) -> None:
    """A printer that cannot start explains itself in the recorded words."""
    bench, lines = Bench(options), load(name)
    if shared:
        other_subscriber(bench)
    ours = replay(bench, lines, bench.connect())
    assert_same_replies(lines, ours)
    assert_same_events(lines, ours)
    infos = [m["result"]["state_message"] for _, m in ours if "state_message" in m.get("result", {})]
    theirs = [m["result"]["state_message"] for _, m in received(lines) if "state" in m.get("result", {})]
    assert infos == theirs


def test_print_pause_resume_complete_cancel() -> None:
    """A print is paused and cancelled during heat-up, and completes, in the recorded order of events."""
    bench, lines = Bench(), load("print-pause-resume-complete-cancel")
    preparation = bench.ready()
    other_subscriber(bench)
    client = bench.connect()
    requests = [line.message for line in lines if line.direction == "tx"]
    for message in requests[:7]:
        client.send(message)
        bench.advance(0.3)
    bench.advance(25.0)
    client.send(requests[7])
    heating_until = _until(bench, client, 8)
    assert heating_until > 1.0
    bench.advance(4.0)
    client.send(requests[8])
    _until_state(bench, client, "complete")
    bench.advance(3.0)
    client.send(requests[9])
    bench.advance(15.0)
    client.send(requests[10])
    assert _until(bench, client, 11) > 1.0
    bench.advance(2.0)
    ours, theirs = client.received, received(lines)
    assert_same_replies(lines, ours)
    assert_same_events(lines, ours)
    for name, key in (
        ("print_stats", "state"),
        ("print_stats", "filename"),
        ("print_stats", "info"),
        ("pause_resume", "is_paused"),
        ("virtual_sdcard", "is_active"),
        ("virtual_sdcard", "file_size"),
        ("idle_timeout", "state"),
        ("toolhead", "homed_axes"),
        ("exclude_object", "objects"),
        ("heater_fan hotend_fan", "speed"),
        ("fan", "speed"),
        ("gcode_move", "absolute_extrude"),
    ):
        assert history(ours, name, key) == history(theirs, name, key), (name, key)
    assert _named(history(ours, "exclude_object", "current_object")) == _named(
        history(theirs, "exclude_object", "current_object")
    )
    used = max(history(ours, "print_stats", "filament_used"))
    assert used == pytest.approx(max(history(theirs, "print_stats", "filament_used")))
    assert preparation.console()[-1] != ""


def _until(bench: Bench, client: Client, number: int) -> float:
    """Let time pass until a request is answered; the seconds it took."""
    start = bench.now
    while client.reply(number) is None and bench.now < start + 400.0:
        bench.advance(0.1)
    return bench.now - start


def _until_state(bench: Bench, client: Client, state: str) -> None:
    start = bench.now
    while history(client.received, "print_stats", "state")[-1] != state and bench.now < start + 400.0:
        bench.advance(0.5)


def _named(values: list[Any]) -> list[Any]:
    """The names among them, each run of the same name once."""
    names = [value for value in values if value is not None]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]
