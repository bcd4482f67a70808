"""Load mode: as many objects, updates and console lines as a measurement asks for."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from txraker.simulator.options import LoadOptions, SimulatorOptions

from .bench import Bench, Client

TEMPLATE = {"method": "update"}


def bench(**load: Any) -> Bench:
    """A printer in load mode."""
    return Bench(SimulatorOptions(load=LoadOptions(**load)))


def subscribed(bench: Bench, **fields: list[str] | None) -> Client:
    """A client that subscribed to every object of the load."""
    client = bench.ready()
    names = [name for name in client.result("objects/list")["objects"] if name.startswith("load ")]
    client.request("objects/subscribe", objects=dict.fromkeys(names), response_template=TEMPLATE)
    return client


def updates(client: Client) -> list[tuple[float, dict[str, Any]]]:
    """Every update so far: when it came, and its status."""
    return [(at, m["params"]["status"]) for at, m in client.received if m.get("method") == "update"]


@pytest.mark.parametrize("rate", [4, 20, 100])
def test_rate(rate: int) -> None:
    """Updates come at the rate asked for, each with the number of changed fields asked for."""
    printer = bench(objects=7, fields=5, changed=11, rate=rate)
    client = subscribed(printer)
    printer.advance(2.0)
    came = updates(client)
    assert abs(len(came) - 2 * rate) <= 1
    assert {sum(len(fields) for fields in status.values()) for _, status in came} == {11}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(came)]
    assert all(gap == pytest.approx(1 / rate) for gap in gaps)


def test_every_field_has_its_turn() -> None:
    """Fields take turns: after as many updates as it takes each has changed, and what was merged is right."""
    printer = bench(objects=7, fields=5, changed=11, rate=20)
    client = subscribed(printer)
    number = client.last_id
    printer.advance(1.0)
    reply = client.reply(number)
    assert reply is not None
    merged = reply["result"]["status"]
    assert sum(len(fields) for fields in merged.values()) == 35
    touched = set()
    for _, status in updates(client):
        for name, fields in status.items():
            merged[name].update(fields)
            touched |= {(name, key) for key in fields}
    assert len(touched) == 35
    client.request("simulator/load", rate=0)
    number = client.request("objects/query", objects=dict.fromkeys(merged))
    printer.advance(0.3)
    answer = client.reply(number)
    assert answer is not None
    assert answer["result"]["status"] == merged


def test_size_of_an_update() -> None:
    """The default load makes updates of about 2.7 KB on a front-end's websocket."""
    printer = bench()
    client = subscribed(printer)
    printer.advance(60.0)
    for _, status in updates(client):
        notification = {"jsonrpc": "2.0", "method": "notify_status_update", "params": [status, 12345.678901]}
        assert 2600 < len(msgspec.json.encode(notification)) < 2800


@pytest.mark.parametrize("rate", [1, 20, 100])
def test_answers_wait_for_ticks(rate: int) -> None:
    """However many updates there are, a query is answered on the next tick of 250 ms."""
    printer = bench(rate=rate)
    client = subscribed(printer)
    printer.advance(0.6)
    answered = []
    for _ in range(4):
        number = client.request("objects/query", objects={"load 0": None})
        while client.reply(number) is None:
            printer.advance(0.001)
        answered.append(printer.now)
    assert [later - earlier for earlier, later in pairwise(answered)] == pytest.approx([0.25] * 3, abs=0.002)


def test_no_load() -> None:
    """At rate 0 the load rests while the printer goes on; a subscriber to the load alone hears nothing."""
    printer = bench(rate=0)
    client, other = subscribed(printer), printer.connect()
    other.request("objects/subscribe", objects={"toolhead": None}, response_template=TEMPLATE)
    printer.advance(1.4)
    assert updates(client) == []
    assert len(updates(other)) == 4


@pytest.mark.parametrize(("rate", "length"), [(7, 80), (2100, 400)])
def test_console(rate: int, length: int) -> None:
    """Console lines come at the rate and in the length asked for, numbered, in bursts."""
    printer = bench(console_rate=rate, console_bytes=length)
    client = printer.ready()
    printer.advance(10.0)
    lines = [line for line in client.console() if line.startswith("// load ")]
    assert abs(len(lines) - 10 * rate) <= max(1, rate / 40)
    assert {len(line) for line in lines} == {length}
    numbers = [int(line.split()[2].rstrip(".")) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    times = {
        at for at, m in client.received if str(m.get("params", {}).get("response")).startswith("// load")
    }
    assert len(times) <= 10 * min(rate, 50) + 1


def test_console_on_and_off() -> None:
    """Console lines are switched on and off while the printer runs, and there are none to catch up with."""
    printer = bench()
    client = printer.ready()
    printer.advance(5.0)
    assert client.result("simulator/load", console_rate=100) == {}
    printer.advance(1.0)
    client.result("simulator/load", console_rate=0)
    printer.advance(5.0)
    assert 95 <= sum(line.startswith("// load ") for line in client.console()) <= 100


def test_statistics() -> None:
    """Requests are counted by method, updates and console lines by number, until a reset."""
    printer = bench(rate=20, console_rate=10)
    client = subscribed(printer)
    client.result("simulator/statistics", reset=True)
    printer.advance(1.0)
    client.result("info")
    client.result("info")
    client.request("nonsense")
    statistics = client.result("simulator/statistics")
    assert statistics["requests"] == {"info": 2, "nonsense": 1}
    assert statistics["updates"] == len(updates(client))
    assert 9 <= statistics["console_lines"] <= 10
    assert statistics["worst_lateness"] == pytest.approx(0.0, abs=1e-6)
    client.result("simulator/statistics", reset=True)
    assert client.result("simulator/statistics")["requests"] == {}


def test_lateness() -> None:
    """A clock that jumps shows in the statistics: the simulator didn't keep up."""
    printer = bench(rate=100)
    client = subscribed(printer)
    printer.advance(0.1)
    assert printer.host is not None
    printer.now += 0.5
    printer.host.advance(printer.now)
    assert client.result("simulator/statistics")["worst_lateness"] == pytest.approx(0.5, abs=0.011)


def test_what_is_ours_is_not_listed() -> None:
    """Servers don't learn of the endpoints for measurements, so they don't offer them to their clients."""
    client = bench().ready()
    assert not [name for name in client.result("list_endpoints")["endpoints"] if name.startswith("simulator")]


@pytest.mark.parametrize("change", [{"rate": -1}, {"rate": "x"}, {"objects": 5}, {"fields": 1}, {"what": 1}])
def test_wrong_load(change: dict[str, Any]) -> None:
    """A load that can't be is refused."""
    client = bench().ready()
    number = client.request("simulator/load", **change)
    reply = client.reply(number)
    assert reply is not None
    assert "error" in reply


def test_only_in_load_mode() -> None:
    """A printer that is not in load mode stays so, and counts all the same."""
    client = Bench().ready()
    number = client.request("simulator/load", rate=1)
    reply = client.reply(number)
    assert reply is not None
    assert reply["error"]["message"] == "The simulator is not in load mode"
    assert client.result("simulator/statistics")["requests"] == {"gcode/subscribe_output": 1}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [(["rate=fast"], "rate"), (["speed=3"], "speed"), (["objects"], "objects"), (["objects=0"], "objects")],
)
def test_wrong_command_line(tmp_path: Path, settings: list[str], complaint: str) -> None:
    """The program refuses settings of the load that can't be, naming them."""
    command = [sys.executable, "-m", "txraker.simulator", "--socket", str(tmp_path / "s")]
    command += ["--gcodes", str(tmp_path), "--load", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "--load" in done.stderr
    assert complaint in done.stderr


def test_sensors() -> None:
    """Extra sensors are available to clients, and each update gives them another temperature."""
    printer = bench(sensors=3, rate=4)
    client = printer.ready()
    names = [f"temperature_sensor load {number}" for number in range(3)]
    heaters = client.result("objects/query", objects={"heaters": None})["status"]["heaters"]
    assert heaters["available_sensors"][-3:] == names
    client.request("objects/subscribe", objects=dict.fromkeys(names), response_template=TEMPLATE)
    printer.advance(1.0)
    first, second = (status for _, status in updates(client)[:2])
    assert set(first) == set(second) == set(names)
    assert all(first[name]["temperature"] != second[name]["temperature"] for name in names)
