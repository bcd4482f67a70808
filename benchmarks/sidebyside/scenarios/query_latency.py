"""Query latency: one client asks for objects, one query after the other, while subscriptions exist."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import asdict, define

from sidebyside.numbers import percentile
from sidebyside.printer import LOAD_OBJECTS
from sidebyside.scenario import Metric, Numbers, StartRig, at_most

QUERIED = ("load 0", "load 1", "extruder", "heater_bed")


@define
class QueryLatency:
    """Queries for ``seconds`` seconds, with pauses of up to ``pause`` so that they meet ticks anywhere."""

    seconds: float = 10.0
    pause: float = 0.02

    name = "query-latency"
    title = "Latency of printer.objects.query, one client, subscribed, on a Klippy with 250 ms ticks"
    metrics = (
        Metric("p50", "latency p50", "ms", digits=2, bar=at_most(2, "ms")),
        Metric("p99", "latency p99", "ms", digits=2),
        Metric("rate", "queries answered", "/s"),
        Metric("messages", "requests Klippy got per query", "", digits=3),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Ask again and again."""
        latencies: list[float] = []
        pauses = Random(3)
        with start() as rig:
            (client,) = rig.connect(1)
            wish = dict.fromkeys((*LOAD_OBJECTS, "extruder", "heater_bed", "toolhead"))
            answers: list[dict[str, Any]] = []
            client.request(
                "printer.objects.subscribe", {"objects": wish}, lambda answer, _: answers.append(answer)
            )
            rig.loop.run_until(lambda: bool(answers), 10)
            rig.loop.run(1.0)

            def ask() -> None:
                asked = time.monotonic()

                def answered(answer: dict[str, Any], now: float) -> None:
                    if len(answer["result"]["status"]) != len(QUERIED):
                        raise RuntimeError(f"a wrong answer: {answer}")
                    latencies.append(now - asked)
                    rig.loop.call_at(now + pauses.uniform(0, self.pause), ask)

                client.request("printer.objects.query", {"objects": dict.fromkeys(QUERIED)}, answered)

            rig.printer.count_anew()
            with rig.window() as window:
                ask()
                rig.loop.run(self.seconds)
            return {
                "p50": percentile(latencies, 0.5) * 1e3,
                "p99": percentile(latencies, 0.99) * 1e3,
                "rate": len(latencies) / window.wall,
                "messages": rig.printer.requests() / len(latencies),
            }
