"""Fan-out: many clients with the same subscription. How much CPU does each delivery cost the server?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import define

from sidebyside.follower import Follower, subscribe_all
from sidebyside.printer import LOAD_OBJECTS
from sidebyside.rig import FAST_TICK, Rig
from sidebyside.scenario import Bar, Goal, Metric, Numbers, StartRig, at_least, ratio_at_most

CLIENTS: Final = (1, 20, 100, 300)
RATES: Final = (4, 20, 100)
_GOAL: Final = (100, 20)
_MODEST: Final = 2000
"""Deliveries a second that any server manages: up to here all must arrive."""


def _metric(clients: int, rate: int) -> Metric:
    name, label = f"cpu_{clients}x{rate}", f"{clients} clients at {rate} Hz: server CPU per delivery"
    if (clients, rate) != _GOAL:
        return Metric(name, label, "µs")
    return Metric(
        name,
        label,
        "µs",
        bar=Bar(
            "≤ 20 µs or ratio ≤ 0.25",
            lambda medians: medians.txraker <= 20 or (medians.ratio is not None and medians.ratio <= 0.25),
        ),
        goal=Goal("fan-out 100 x 20 Hz, CPU per delivery", ratio_at_most(0.25)),
    )


@define
class FanOut:
    """Each number of ``clients`` at each rate for ``seconds``; where there is a goal, ``longer`` times that.

    CPU includes what the server does anyhow, which is most of it with one client at 4 Hz.
    """

    clients: tuple[int, ...] = CLIENTS
    rates: tuple[int, ...] = RATES
    warm_up: float = 0.2
    seconds: float = 0.6
    longer: float = 4.0

    name = "fan-out"
    title = "Fan-out of status updates to clients with the same subscription"
    metrics = (
        *(_metric(clients, rate) for clients in CLIENTS for rate in RATES),
        Metric(
            "delivered",
            f"updates delivered up to {_MODEST} deliveries a second, at least",
            "%",
            bar=at_least(99, "%"),
        ),
        Metric("bytes", "size of a delivery", "bytes", digits=0),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return {"warm_up": self.warm_up, "seconds": self.seconds, "longer": self.longer}

    def measure(self, start: StartRig) -> Numbers:
        """Connect more and more clients; count deliveries and CPU at each rate once everything flows."""
        numbers: Numbers = {"delivered": 100.0}
        followers: list[Follower] = []
        with start(tick_seconds=FAST_TICK, rate=0) as rig:
            for clients in self.clients:
                further = [Follower(client) for client in rig.connect(clients - len(followers))]
                subscribe_all(rig.loop, further, LOAD_OBJECTS)
                followers += further
                for rate in self.rates:
                    self._stage(rig, followers, rate, numbers)
        return numbers

    def _stage(self, rig: Rig, followers: list[Follower], rate: int, numbers: Numbers) -> None:
        rig.printer.load(rate=rate)
        rig.loop.run(self.warm_up)
        for follower in followers:
            follower.forget_counts()
        rig.printer.count_anew()
        with rig.window() as window:
            rig.loop.run(self.seconds * (self.longer if (len(followers), rate) == _GOAL else 1))
        deliveries = sum(follower.deliveries for follower in followers)
        updates = rig.printer.statistics()["updates"]
        rig.printer.load(rate=0)
        rig.loop.run(self.warm_up)
        if not deliveries:
            raise RuntimeError(f"{len(followers)} clients at {rate} Hz were told nothing")
        numbers[f"cpu_{len(followers)}x{rate}"] = window.server / deliveries * 1e6
        numbers["bytes"] = sum(follower.octets for follower in followers) / deliveries
        if len(followers) * rate <= _MODEST:
            # One update may be on its way at either end.
            missing = max(0, updates - 1 - deliveries / len(followers))
            numbers["delivered"] = min(numbers["delivered"], 100 * (1 - missing / updates))
