"""Fan-out: many clients with the same subscription. How much CPU does each delivery cost the server?"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, define

from sidebyside.follower import Follower, subscribe_all
from sidebyside.printer import LOAD_OBJECTS
from sidebyside.rig import FAST_TICK
from sidebyside.scenario import Bar, Metric, Numbers, StartRig


@define
class FanOut:
    """``clients`` clients at ``rate`` updates a second."""

    clients: int = 100
    rate: int = 20
    warm_up: float = 1.0
    seconds: float = 10.0

    name = "fan-out"
    title = "Fan-out of status updates to clients with the same subscription"
    metrics = (
        Metric(
            "cpu",
            "server CPU per delivery",
            "µs",
            bar=Bar(
                "≤ 20 µs or ratio ≤ 0.25",
                lambda medians: (
                    medians.txraker <= 20 or (medians.ratio is not None and medians.ratio <= 0.25)
                ),
            ),
        ),
        Metric("delivered", "updates delivered", "%", bar=None),
        Metric("bytes", "size of a delivery", "bytes", digits=0),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Count deliveries and CPU once everything flows."""
        with start(tick_seconds=FAST_TICK, rate=self.rate) as rig:
            followers = [Follower(client) for client in rig.connect(self.clients)]
            subscribe_all(rig.loop, followers, LOAD_OBJECTS)
            rig.loop.run(self.warm_up)
            for follower in followers:
                follower.forget_counts()
            rig.printer.count_anew()
            with rig.window() as window:
                rig.loop.run(self.seconds)
            deliveries = sum(follower.deliveries for follower in followers)
            updates = rig.printer.statistics()["updates"]
            return {
                "cpu": window.server / deliveries * 1e6,
                "delivered": 100 * deliveries / (updates * self.clients),
                "bytes": sum(follower.bytes for follower in followers) / deliveries,
            }
