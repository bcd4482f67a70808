"""Query latency: one client asks for objects, one query after the other, while subscriptions exist."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import define

from sidebyside.numbers import percentile
from sidebyside.printer import LOAD_OBJECTS
from sidebyside.scenario import Goal, Metric, Numbers, StartRig, at_most, ratio_at_most

AT_ONCE = 0.005
QUERIED = ("load 0", "load 1", "extruder", "heater_bed")


@define
class QueryLatency:
    """Queries for ``seconds`` seconds, with pauses of up to ``pause`` so that they meet ticks anywhere.

    With ``ticks`` Klippy answers every 250 ms only, as a real one does; without, nearly at once.
    """

    ticks: bool = True
    seconds: float = 8.0
    pause: float = 0.02

    @property
    def name(self) -> str:
        """Its name, which tells how Klippy answers."""
        return "query-latency" if self.ticks else "query-latency-at-once"

    @property
    def title(self) -> str:
        """Its title, which tells how Klippy answers."""
        how = "answers on ticks of 250 ms" if self.ticks else "answers at once (within 5 ms)"
        return f"Latency of printer.objects.query, one client, subscribed, on a Klippy that {how}"

    @property
    def shares(self) -> bool:
        """With ticks, any printer will do."""
        return self.ticks

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it measures; the goal is for a Klippy with ticks."""
        goal = Goal("`objects.query`, tick-bound Klippy, latency p50", ratio_at_most(0.01))
        return (
            Metric(
                "p50",
                "latency p50",
                "ms",
                digits=2,
                bar=at_most(2, "ms"),
                goal=goal if self.ticks else None,
            ),
            Metric("p99", "latency p99", "ms", digits=2),
            Metric("rate", "queries answered", "/s"),
            Metric("messages", "requests Klippy got per query", "", digits=3),
        )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return {"seconds": self.seconds, "pause": self.pause}

    def measure(self, start: StartRig) -> Numbers:
        """Ask again and again."""
        latencies: list[float] = []
        pauses = Random(3)
        with start() if self.ticks else start(tick_seconds=AT_ONCE) as rig:
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
