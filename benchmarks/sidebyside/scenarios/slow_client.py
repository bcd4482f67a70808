"""A client that never reads, though it sends pongs, while the console floods everyone.

What it costs the server's memory, whether it is closed, and what another client notices.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import asdict, define

from sidebyside.numbers import percentile
from sidebyside.rig import Rig
from sidebyside.scenario import Metric, Numbers, StartRig, at_least, at_most
from sidebyside.websocket import Client

WARM_UP = 2.0
"""Seconds of flood after which the server's console history is full."""

AFTER = 1.0
"""Seconds for which memory is watched after the server closed the slow client."""


@define
class SlowClient:
    """A flood of ``lines`` lines of ``bytes`` bytes a second: ``before`` seconds without the slow client,
    then ``seconds`` with it, or some seconds more than it takes the server to close it.

    A well-behaved client makes ``requests`` requests a second all the time.
    """

    lines: int = 2100
    bytes: int = 400
    before: float = 10.0
    seconds: float = 45.0
    requests: int = 200

    name = "slow-client"
    title = "A client that sends pongs but never reads, under a console flood of 0.84 MB/s"
    metrics = (
        Metric("memory", "memory it costs at most (PSS)", "MB", bar=at_most(4, "MB")),
        Metric("closed_after", "closed after (the whole time if never)", "s", has_ratio=False),
        Metric("closed", "closed", "% of rounds", digits=0, has_ratio=False, bar=at_least(100, "%")),
        Metric("p99_without", "another client's server.info, p99 without it", "ms"),
        Metric("p99_with", "the same with it", "ms"),
        Metric("p99_ratio", "with it / without it", "", digits=2, has_ratio=False, bar=at_most(1.25, "")),
    )

    @property
    def size(self) -> Mapping[str, float]:
        """The parameters."""
        return asdict(self)

    def measure(self, start: StartRig) -> Numbers:
        """Flood, first without and then with the slow client."""
        with start(console_rate=self.lines, console_bytes=self.bytes) as rig:
            (client,) = rig.connect(1)
            observer = _Observer(rig, client, 1 / self.requests)
            rig.loop.run(WARM_UP)
            before = observer.observe(self.before)
            slow = Client(rig.server.port, receive_buffer=8192)
            hung_up = select.poll()
            hung_up.register(slow.socket, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
            began = time.monotonic()
            closed: list[float] = []

            def look() -> None:
                with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                    slow.pong()
                if not closed and (hung_up.poll(0) or (observer.most == 2 and observer.connections < 2)):
                    closed.append(time.monotonic() - began)

            rig.loop.every(1.0, began + self.seconds, look)
            during = observer.observe(self.seconds, lambda: bool(closed))
            after = observer.observe(AFTER) if closed else during
            slow.socket.close()
            p99s = [percentile(seen.latencies, 0.99) * 1e3 for seen in (before, during)]
            return {
                "memory": max(during.pss, after.pss) - before.pss,
                "closed_after": closed[0] if closed else self.seconds,
                "closed": 100.0 if closed else 0.0,
                "p99_without": p99s[0],
                "p99_with": p99s[1],
                "p99_ratio": p99s[1] / p99s[0],
            }


@define
class _Seen:
    """What was seen in some time: latencies in seconds, and the most memory in MB."""

    latencies: list[float]
    pss: float


@define
class _Observer:
    """A client that reads everything and asks how the server does, at most every ``pause`` seconds.

    ``connections`` is how many websockets the server said it has last, ``most`` how many at most.
    """

    rig: Rig
    client: Client
    pause: float
    connections: int = 1
    most: int = 1

    def observe(self, seconds: float, done: Callable[[], bool] = lambda: False) -> _Seen:
        """Ask for some time, or until something holds."""
        seen = _Seen([], self.rig.pss())
        over = False
        until = time.monotonic() + seconds

        def ask() -> None:
            asked = time.monotonic()
            if over:
                return

            def answered(answer: dict[str, Any], now: float) -> None:
                seen.latencies.append(now - asked)
                self.connections = answer["result"]["websocket_count"]
                self.most = max(self.most, self.connections)
                if not over:
                    self.rig.loop.call_at(max(asked + self.pause, now), ask)

            self.client.request("server.info", {}, answered)

        def weigh() -> None:
            seen.pss = max(seen.pss, self.rig.pss())

        ask()
        self.rig.loop.every(1.0, until, weigh)
        with self.rig.window():
            self.rig.loop.run_until(done, seconds)
        over = True
        return seen
