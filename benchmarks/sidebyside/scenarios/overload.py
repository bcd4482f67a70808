"""Overload: more deliveries than most servers manage. Do clients end up right, how late, at what memory?"""

from __future__ import annotations

import time
from collections.abc import Mapping

from attrs import asdict, define

from sidebyside.follower import Follower, Messages, State, merged, subscribe_all
from sidebyside.numbers import percentile
from sidebyside.printer import LOAD_OBJECTS
from sidebyside.rig import FAST_TICK
from sidebyside.scenario import Metric, Numbers, StartRig, at_least, at_most

GRACE = 1.0
"""Seconds after the last change within which every client must have the right state."""


@define
class Overload:
    """``clients`` clients at ``rate`` updates a second for ``seconds`` seconds."""

    clients: int = 300
    rate: int = 100
    seconds: float = 15.0

    name = "overload"
    title = "Many clients, many updates: what arrives, how late, and the server's memory"
    metrics = (
        Metric("delivered", "updates delivered (the others were merged into later ones, or lost)", "%"),
        Metric("right", "clients whose state is right 1 s after the end", "%", bar=at_least(100, "%")),
        Metric("oldest", "age that any client's state reached", "s", digits=2, bar=at_most(1, "s")),
        Metric("delay", "delay of a delivery, p99", "s", digits=3),
        Metric("memory", "memory growth (PSS)", "MB", bar=at_most(40, "MB")),
        Metric("cpu", "server CPU per delivery", "µs"),
        Metric("busy", "server CPU", "% of a core", digits=0),
        Metric("closed", "clients closed", "", digits=0, has_ratio=False),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Subscribe in peace, then let go."""
        with start(tick_seconds=FAST_TICK, rate=0) as rig:
            followers = [Follower(client) for client in rig.connect(self.clients)]
            subscribe_all(rig.loop, followers, LOAD_OBJECTS)
            rig.loop.run(1.0)
            messages = Messages()
            pss = [rig.pss()]
            rig.printer.load(rate=self.rate)
            rig.printer.count_anew()
            began = time.monotonic()
            for follower in followers:
                follower.forget_counts()
                follower.watch(began, messages)
            rig.loop.every(1.0, began + self.seconds, lambda: pss.append(rig.pss()))
            with rig.window() as window:
                rig.loop.run(self.seconds)
            ended = time.monotonic()
            for follower in followers:
                follower.age(ended)
            during = sum(follower.deliveries for follower in followers)
            rig.printer.load(rate=0)
            updates = rig.printer.statistics()["updates"]
            rig.loop.run(GRACE)
            pss.append(rig.pss())
            expected = rig.printer.state(LOAD_OBJECTS)
            delays = [delay for follower in followers for delay in follower.delays]
            return {
                "delivered": 100 * sum(each.deliveries for each in followers) / (updates * self.clients),
                "right": 100 * _right(followers, messages, expected) / self.clients,
                "oldest": max(follower.oldest for follower in followers),
                "delay": percentile(delays, 0.99),
                "memory": max(pss) - pss[0],
                "cpu": window.server / during * 1e6,
                "busy": 100 * window.server / window.wall,
                "closed": sum(follower.client.closed is not None for follower in followers),
            }


def _right(followers: list[Follower], messages: Messages, expected: State) -> int:
    """Count the followers whose state is as expected; those who were told the same are looked at once."""
    verdicts: dict[tuple[int, ...], bool] = {}
    for follower in followers:
        told = follower.told
        if told not in verdicts:
            verdicts[told] = merged(follower.initial, told, messages) == expected
    return sum(verdicts[follower.told] for follower in followers)
