"""The scenarios, each in a module of its own."""

from __future__ import annotations

from sidebyside.scenario import Scenario
from sidebyside.scenarios.fan_out import FanOut
from sidebyside.scenarios.http_requests import HttpRequests
from sidebyside.scenarios.overload import Overload
from sidebyside.scenarios.pollers import Pollers
from sidebyside.scenarios.query_latency import QueryLatency
from sidebyside.scenarios.slow_client import SlowClient
from sidebyside.scenarios.subscribe_storm import SubscribeStorm
from sidebyside.scenarios.websocket_requests import WebsocketRequests


def scenarios(*, quick: bool) -> list[Scenario]:
    """Return every scenario, at full size or in a size for a quick look."""
    if quick:
        return [
            HttpRequests(seconds=0.5),
            WebsocketRequests(seconds=0.5),
            FanOut(seconds=3.0),
            SubscribeStorm(clients=10),
            QueryLatency(seconds=3.0),
            Pollers(seconds=1.5),
            Overload(seconds=3.0),
            SlowClient(before=3.0, seconds=9.0),
        ]
    return [
        HttpRequests(),
        WebsocketRequests(),
        FanOut(),
        SubscribeStorm(),
        QueryLatency(),
        Pollers(),
        Overload(),
        SlowClient(),
    ]
