"""A recorded Klippy and a server that is connected to it: where the tests of this folder begin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define

from tests.replay.clients import REACTOR, RunningServer, WebSocketClient, eventually, running_server
from txraker.testing.recording import Exchange, Line, Recording, Status, Until, replies_to
from txraker.testing.replay import ReplayedKlippy

RECORDINGS = Path(__file__).parent.parent / "data" / "klippy"

HANDSHAKE = "handshake"
PRINT = "print-pause-resume-complete-cancel"
STOP = "emergency-stop-and-restarts"
CONFIG_ERROR = "config-error"
NO_MCU = "startup-without-mcu"

SUBSCRIBED = replies_to("objects/subscribe")
"""Where a recorder has subscribed to everything, and the recording knows the whole status."""


@define(eq=False)
class Scene:
    """A replay and the server that is its client."""

    klippy: ReplayedKlippy
    server: RunningServer

    @property
    def recording(self) -> Recording:
        """What is played."""
        return self.klippy.recording

    async def client(self) -> WebSocketClient:
        """Connect a websocket client."""
        return await self.server.client()

    async def plays_through(self, method: str) -> None:
        """Play until the recording has answered the next request with a method."""
        await self.klippy.play(replies_to(method))


async def subscribe_to_everything(client: WebSocketClient) -> dict[str, Any]:
    """Subscribe as front-ends do: to all objects of the list, in full."""
    names = (await client.call("printer.objects.list"))["objects"]
    return await client.subscribe(dict.fromkeys(names))


@asynccontextmanager
async def replayed(tmp_path: Path, name: str, skip: Until | None = None) -> AsyncIterator[Scene]:
    """Replay a recording from where the cursor is after ``skip`` to a server, which is connected at first.

    At its end the replay and the server are gone.
    """
    klippy = ReplayedKlippy(REACTOR, Recording.read(RECORDINGS / f"{name}.jsonl"), tmp_path / "klippy.sock")
    await klippy.start()
    if skip is not None:
        await klippy.skip(skip)
    try:
        async with running_server(tmp_path / "printer_data", klippy.socket_path) as server:
            scene = Scene(klippy, server)
            await klippy.received("objects/subscribe")
            yield scene
    finally:
        await klippy.stop()


async def ready_server(scene: Scene) -> WebSocketClient:
    """Return a client of a server that has found its Klippy ready, and forget what it was told."""
    client = await scene.client()
    await client.reaches("ready")
    client.forget()
    return client


async def sampled(client: WebSocketClient) -> None:
    """Wait until the temperature store has its first sample."""

    async def has_sample() -> bool:
        return bool(await client.call("server.temperature_store"))

    await eventually(has_sample)


def recorded(recording: Recording, method: str, **params: object) -> Exchange:
    """Return the first recorded exchange with a method, and with these params if any are given."""
    return next(
        exchange
        for exchange in recording.exchanges.values()
        if exchange.method == method and (not params or exchange.params == params)
    )


def updates(lines: Iterable[Line]) -> list[list[Any]]:
    """Return the status updates among lines as clients get them: ``[status, eventtime]``."""
    return [
        [line.status, line.eventtime]
        for line in lines
        if line.direction == "rx" and not line.is_reply and line.status
    ]


def console(lines: Iterable[Line]) -> list[str]:
    """Return what Klippy wrote to its console in these lines."""
    return [line.said for line in lines if line.said is not None]


def merged(status: Status, changes: Iterable[list[Any]]) -> Status:
    """Return a status with updates, as clients get them, merged into it."""
    result = {name: dict(fields) for name, fields in status.items()}
    for changed, _eventtime in changes:
        for name, fields in changed.items():
            result.setdefault(name, {}).update(fields)
    return result
