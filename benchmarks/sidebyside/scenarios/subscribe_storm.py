"""Subscribe storm: many clients subscribe at the same moment, as after a restart of server or Klippy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import asdict, define

from sidebyside.printer import LOAD_OBJECTS
from sidebyside.scenario import Bar, Metric, Numbers, StartRig

LONGEST = 90.0


@define
class SubscribeStorm:
    """``clients`` clients, each with a subscription of its own, on a Klippy that answers on its ticks."""

    clients: int = 100

    name = "subscribe-storm"
    shares = True
    title = "Clients that subscribe at once, each to something else, on a Klippy with 250 ms ticks"
    metrics = (
        Metric(
            "last",
            "time until the last reply",
            "s",
            digits=2,
            bar=Bar("≤ 0.6 s", lambda medians: medians.txraker <= 0.6),
        ),
        Metric("messages", "requests Klippy got for it", "", digits=0),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Let all of them ask and wait for the last answer."""
        with start() as rig:
            clients = rig.connect(self.clients)
            rig.loop.run(0.5)
            answered: list[float] = []

            def note(answer: dict[str, Any], now: float) -> None:
                if "result" not in answer:
                    raise RuntimeError(f"no subscription: {answer}")
                answered.append(now)

            rig.printer.count_anew()
            with rig.window():
                began = time.monotonic()
                for number, client in enumerate(clients):
                    client.request("printer.objects.subscribe", {"objects": self._wish(number)}, note)
                if not rig.loop.run_until(lambda: len(answered) == self.clients, LONGEST):
                    raise RuntimeError(f"{len(answered)} answers in {LONGEST} seconds")
            return {"last": answered[-1] - began, "messages": rig.printer.requests()}

    @staticmethod
    def _wish(number: int) -> dict[str, list[str] | None]:
        first = LOAD_OBJECTS[number % len(LOAD_OBJECTS)]
        second = LOAD_OBJECTS[number // len(LOAD_OBJECTS)]
        return {first: None, second: ["value_0", "value_1"], "toolhead": ["position"], "webhooks": None}
