"""The scenarios, each in a module of its own."""

from __future__ import annotations

from sidebyside.scenario import Scenario
from sidebyside.scenarios.connects import Connects
from sidebyside.scenarios.fan_out import FanOut
from sidebyside.scenarios.further_printers import FurtherPrinters
from sidebyside.scenarios.http_requests import HttpRequests
from sidebyside.scenarios.metadata import MetadataOfFiles
from sidebyside.scenarios.overload import Overload
from sidebyside.scenarios.pollers import Pollers
from sidebyside.scenarios.query_latency import QueryLatency
from sidebyside.scenarios.slow_client import SlowClient
from sidebyside.scenarios.start import Start
from sidebyside.scenarios.subscribe_storm import SubscribeStorm
from sidebyside.scenarios.temperature_store import TemperatureStore
from sidebyside.scenarios.upload import Uploads
from sidebyside.scenarios.websocket_requests import WebsocketRequests


def scenarios(*, quick: bool) -> list[Scenario]:
    """Return every scenario, at full size or in a size for a quick look.

    Some share a server, in this order: uploads and metadata come last of these, as the files and the process
    that reads them would count for others.
    """
    if quick:
        return [
            Start(idle=1.0),
            HttpRequests(seconds=0.3),
            WebsocketRequests(seconds=0.3),
            SubscribeStorm(clients=3),
            QueryLatency(seconds=1.0),
            Pollers(seconds=1.1),
            Connects(connects=300),
            Uploads(small=10, large=100, idle=0.3),
            MetadataOfFiles(sizes=(1, 100), idle=0.3),
            QueryLatency(ticks=False, seconds=0.5),
            FanOut(clients=(1, 100), rates=(20,), seconds=0.5, longer=2.0),
            Overload(clients=100, seconds=1.0),
            SlowClient(before=0.5, seconds=6.0),
            FurtherPrinters(further=1),
            TemperatureStore(age=20.0, seconds=0.5),
        ]
    return [
        Start(),
        HttpRequests(),
        WebsocketRequests(),
        SubscribeStorm(clients=20),
        QueryLatency(seconds=4.0),
        Pollers(seconds=1.5),
        Connects(),
        Uploads(),
        MetadataOfFiles(),
        QueryLatency(ticks=False, seconds=1.5),
        FanOut(),
        Overload(seconds=4.0),
        SlowClient(before=2.0, seconds=9.0),
        FurtherPrinters(),
        TemperatureStore(),
    ]
