"""The full temperature store over HTTP, in servers that have been filling it since the run began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import define

from sidebyside.keep_alive import KeepAlive
from sidebyside.rig import Rig
from sidebyside.scenario import Goal, Metric, Numbers, StartRig, ratio_at_most
from sidebyside.scenarios.http_requests import ask, metrics_of

_PATH = "/server/temperature_store"
_GOAL = Goal(f"`{_PATH}`, as full as its table says, CPU per request", ratio_at_most(0.4))


@define
class TemperatureStore:
    """``sensors`` sensors, sampled once a second for ``age`` seconds at least.

    40 sensors for 10 minutes are as many samples as 20 sensors in a store that is full after 20 minutes.
    ``connections`` connections have one request at a time each, for ``seconds``.
    """

    sensors: int = 40
    age: float = 600.0
    connections: int = 10
    seconds: float = 3.0

    name = "temperature-store"
    title = "The temperature store over HTTP connections that are kept"
    metrics = (
        *metrics_of("store", _PATH, _GOAL),
        Metric("samples", "samples in an answer", "", digits=0, has_ratio=False),
        Metric("bytes", "size of an answer", "kB", digits=0),
    )

    @property
    def load(self) -> Mapping[str, float]:
        """Sensors that change once a second, and nothing else."""
        return {"sensors": self.sensors, "rate": 1, "changed": 0}

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return {
            "sensors": self.sensors,
            "age": self.age,
            "connections": self.connections,
            "seconds": self.seconds,
        }

    def measure(self, start: StartRig) -> Numbers:
        """Look at one answer closely, then ask again and again."""
        with start() as rig:
            connections = [KeepAlive(rig.server.port) for _ in range(self.connections)]
            for connection in connections:
                rig.loop.add(connection)
            body = _one(rig, connections[0])
            samples = _samples(msgspec.json.decode(body)["result"], self.sensors)
            numbers = ask(
                rig,
                connections,
                "store",
                _PATH,
                lambda status, got: status == 200 and len(got) > len(body) * 0.95 and got.endswith(b"}}}"),
                self.seconds,
            )
        return {**numbers, "samples": samples, "bytes": len(body) / 1000}


def _one(rig: Rig, connection: KeepAlive) -> bytes:
    bodies: list[bytes] = []
    connection.get(_PATH, lambda _status, body, _now: bodies.append(body))
    if not rig.loop.run_until(lambda: bool(bodies), 10):
        raise RuntimeError(f"no answer to {_PATH}")
    return bodies[0]


def _samples(store: dict[str, dict[str, list[Any]]], sensors: int) -> int:
    """Count the samples. Raises RuntimeError when a sensor of the load is missing or never changed."""
    for number in range(sensors):
        temperatures = store.get(f"temperature_sensor load {number}", {}).get("temperatures", [])
        if len(set(temperatures)) < len(temperatures) // 2:
            raise RuntimeError(f"too few temperatures of sensor {number}: {temperatures[:20]}")
    return sum(len(values) for fields in store.values() for values in fields.values())
