"""Pollers: clients that query once a second instead of subscribing. How much of it does Klippy hear?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import asdict, define

from sidebyside.printer import LOAD_OBJECTS
from sidebyside.rig import Rig
from sidebyside.scenario import Bar, Metric, Numbers, StartRig
from sidebyside.websocket import Client

POLLED = ("extruder", "heater_bed", "toolhead", "print_stats")
COUNTS = (1, 10, 50)


@define
class Pollers:
    """1, 10 and 50 pollers at 1 Hz beside one front-end that subscribed, for ``seconds`` each."""

    seconds: float = 4.0

    name = "pollers"
    shares = True
    title = "Requests that Klippy gets while clients poll objects at 1 Hz, beside one that subscribed"
    metrics = (
        *(Metric(f"at_{count}", f"requests with {count} pollers", "/s", digits=2) for count in COUNTS[:-1]),
        Metric(
            f"at_{COUNTS[-1]}",
            f"requests with {COUNTS[-1]} pollers",
            "/s",
            digits=2,
            bar=Bar("flat (≤ 1/s)", lambda medians: medians.txraker <= 1),
        ),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Add pollers and count."""
        with start() as rig:
            front_end, *pollers = rig.connect(1 + max(COUNTS))
            answers: list[dict[str, Any]] = []
            front_end.request(
                "printer.objects.subscribe",
                {"objects": dict.fromkeys((*LOAD_OBJECTS, *POLLED))},
                lambda answer, _: answers.append(answer),
            )
            rig.loop.run_until(lambda: bool(answers), 10)
            return {f"at_{count}": self._with(rig, pollers[:count]) for count in COUNTS}

    def _with(self, rig: Rig, pollers: list[Client]) -> float:
        answered: list[float] = []
        until = time.monotonic() + self.seconds
        for number, poller in enumerate(pollers):
            rig.loop.call_at(
                time.monotonic() + number / len(pollers),
                lambda poller=poller: poll(poller),  # type: ignore[misc]
            )

        def poll(poller: Client) -> None:
            def got(answer: dict[str, Any], now: float) -> None:
                if len(answer["result"]["status"]) != len(POLLED):
                    raise RuntimeError(f"a wrong answer: {answer}")
                answered.append(now)

            poller.request("printer.objects.query", {"objects": dict.fromkeys(POLLED)}, got)
            if time.monotonic() + 1 < until:
                rig.loop.call_at(time.monotonic() + 1, lambda: poll(poller))

        rig.printer.count_anew()
        with rig.window() as window:
            rig.loop.run(self.seconds)
        requests = rig.printer.requests() / window.wall
        rig.loop.run(0.5)
        if not answered:
            raise RuntimeError("no query was answered")
        return requests
