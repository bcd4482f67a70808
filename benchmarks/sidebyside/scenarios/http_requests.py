"""HTTP over connections that are kept: what does each request cost, and how long does it take?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec
from attrs import asdict, define

from sidebyside.keep_alive import KeepAlive
from sidebyside.numbers import percentile
from sidebyside.rig import Rig
from sidebyside.scenario import Goal, Metric, Numbers, StartRig, ratio_at_most

Check = Callable[[int, bytes], bool]
"""Says whether an answer is right."""


def is_result(member: str) -> Check:
    """Check for a result that has a certain member."""
    return lambda status, body: status == 200 and member in msgspec.json.decode(body)["result"]


def is_not_found(status: int, body: bytes) -> bool:
    """Check for the answer to a request for what isn't there."""
    return status == 404 and msgspec.json.decode(body)["error"]["code"] == 404


RESOURCES: Mapping[str, tuple[str, Check]] = {
    "info": ("/server/info", is_result("klippy_state")),
    "printer": ("/printer/info", is_result("state_message")),
    "missing": ("/server/nothing", is_not_found),
}
_GOAL = Goal("HTTP `/server/info`, 10 connections, CPU per request", ratio_at_most(0.45))


def metrics_of(name: str, path: str, goal: Goal | None) -> tuple[Metric, ...]:
    """Return the metrics of requests for one resource."""
    return (
        Metric(f"cpu_{name}", f"{path}: server CPU per request", "µs", goal=goal),
        Metric(f"rate_{name}", f"{path}: answers", "/s", digits=0),
        Metric(f"p50_{name}", f"{path}: latency p50", "ms", digits=2),
        Metric(f"p99_{name}", f"{path}: latency p99", "ms", digits=2),
    )


@define
class HttpRequests:
    """``connections`` connections, each with one request at a time, for ``seconds`` a resource."""

    connections: int = 10
    seconds: float = 1.5

    name = "http"
    shares = True
    title = "HTTP requests over connections that are kept, one at a time on each"
    metrics = tuple(
        metric
        for name, (path, _) in RESOURCES.items()
        for metric in metrics_of(name, path, _GOAL if name == "info" else None)
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Ask for each resource in turn."""
        numbers: Numbers = {}
        with start() as rig:
            connections = [KeepAlive(rig.server.port) for _ in range(self.connections)]
            for connection in connections:
                rig.loop.add(connection)
            for name, (path, check) in RESOURCES.items():
                numbers |= ask(rig, connections, name, path, check, self.seconds)
        return numbers


def ask(
    rig: Rig, connections: list[KeepAlive], name: str, path: str, check: Check, seconds: float
) -> Numbers:
    """Ask on every connection, again and again, for some seconds; return the numbers of one resource."""
    latencies: list[float] = []
    waiting = len(connections)
    until = time.monotonic() + seconds

    def request(connection: KeepAlive) -> None:
        asked = time.monotonic()

        def answered(status: int, body: bytes, now: float) -> None:
            nonlocal waiting
            if not check(status, body):
                raise RuntimeError(f"a wrong answer to {path}: {status} {body[:500]!r}")
            latencies.append(now - asked)
            if now < until:
                request(connection)
            else:
                waiting -= 1

        connection.get(path, answered)

    with rig.window() as window:
        for connection in connections:
            request(connection)
        if not rig.loop.run_until(lambda: not waiting, seconds + 10):
            raise RuntimeError(f"{waiting} requests for {path} were not answered")
    return {
        f"cpu_{name}": window.server / len(latencies) * 1e6,
        f"rate_{name}": len(latencies) / window.wall,
        f"p50_{name}": percentile(latencies, 0.5) * 1e3,
        f"p99_{name}": percentile(latencies, 0.99) * 1e3,
    }
