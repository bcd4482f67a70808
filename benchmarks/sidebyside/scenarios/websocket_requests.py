"""``server.info`` over websockets: one at a time, many at once, from many clients."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import asdict, define

from sidebyside.numbers import percentile
from sidebyside.rig import Rig
from sidebyside.scenario import Goal, Metric, Numbers, StartRig, ratio_at_most
from sidebyside.websocket import Client

_GOALS = {
    "clients": Goal("websocket `server.info`, 20 clients, CPU per request", ratio_at_most(0.85)),
    "pipelined": Goal(
        "websocket `server.info`, one client, 64 pipelined, CPU per request", ratio_at_most(0.45)
    ),
}
_WAYS = {"single": "one at a time", "pipelined": "64 pipelined", "clients": "20 clients"}

BUDGET = 1600
"""Requests after which a client gives its place to a new one: txraker holds who goes on to a rate."""


@define
class WebsocketRequests:
    """Each way for ``seconds``: one client one at a time, bursts of ``pipelined``, ``clients`` clients.

    Of one client at a time there are up to ``line``, one after the other.
    """

    pipelined: int = 64
    clients: int = 20
    line: int = 40
    seconds: float = 1.0

    name = "websocket"
    shares = True
    title = "Requests for server.info over websockets"
    metrics = tuple(
        metric
        for name, way in _WAYS.items()
        for metric in (
            Metric(f"cpu_{name}", f"{way}: server CPU per request", "µs", goal=_GOALS.get(name)),
            Metric(f"rate_{name}", f"{way}: answers", "/s", digits=0),
            Metric(f"p50_{name}", f"{way}: latency p50", "ms", digits=2),
            Metric(f"p99_{name}", f"{way}: latency p99", "ms", digits=2),
        )
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Ask in each of the ways."""
        with start() as rig:
            return {
                **self._ask(rig, "single", 1, rig.connect(self.line), 1),
                **self._ask(rig, "pipelined", 1, rig.connect(self.line), self.pipelined),
                **self._ask(rig, "clients", self.clients, rig.connect(self.clients), 1),
            }

    def _ask(self, rig: Rig, name: str, together: int, line: list[Client], at_once: int) -> Numbers:
        latencies: list[float] = []
        waiting = together
        until = time.monotonic() + self.seconds

        def request(client: Client, before: int) -> None:
            asked, missing = time.monotonic(), at_once

            def answered(answer: dict[str, Any], now: float) -> None:
                nonlocal missing, waiting
                if answer["result"]["klippy_state"] != "ready":
                    raise RuntimeError(f"a wrong answer: {answer}")
                latencies.append(now - asked)
                missing -= 1
                if not missing and now < until and before + 2 * at_once <= BUDGET:
                    request(client, before + at_once)
                elif not missing and now < until and line:
                    request(line.pop(), 0)
                elif not missing:
                    waiting -= 1

            client.burst(at_once, "server.info", answered)

        with rig.window() as window:
            for _ in range(together):
                request(line.pop(), 0)
            if not rig.loop.run_until(lambda: not waiting, self.seconds + 10):
                raise RuntimeError(f"{waiting} clients got no answer")
        return {
            f"cpu_{name}": window.server / len(latencies) * 1e6,
            f"rate_{name}": len(latencies) / window.wall,
            f"p50_{name}": percentile(latencies, 0.5) * 1e3,
            f"p99_{name}": percentile(latencies, 0.99) * 1e3,
        }
