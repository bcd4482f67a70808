"""The temperature store, fed by a recorded Klippy."""

from __future__ import annotations

from pathlib import Path

from tests.replay.clients import REACTOR, eventually, integration
from tests.replay.scenes import HANDSHAKE, STOP, SUBSCRIBED, Scene, ready_server, replayed, sampled
from txraker.testing.recording import asks_for, notes, sets

SENSORS = {"heater_bed", "extruder", "temperature_sensor chamber", "temperature_sensor host"}


def now(scene: Scene, name: str) -> dict[str, float]:
    """Return what a sensor says at the cursor, as the store names and rounds it."""
    fields = {"temperature": "temperatures", "target": "targets", "power": "powers"}
    status = scene.klippy.playback.status[name]
    return {stored: round(status[key], 2) for key, stored in fields.items() if key in status}


@integration
async def test_the_first_sample_is_there_at_once_and_alone(tmp_path: Path) -> None:
    """As soon as Klippy is ready each sensor has one sample of its present values, without padding."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        began = REACTOR.seconds()
        client = await ready_server(scene)
        await sampled(client)
        store = await client.call("server.temperature_store")
        assert REACTOR.seconds() - began < 0.9, "a second sample may be there already"
        assert set(store) == SENSORS
        for name, history in store.items():
            assert history == {series: [value] for series, value in now(scene, name).items()}


@integration
async def test_samples_follow_the_updates(tmp_path: Path) -> None:
    """The next sample, a second later, has the values of the updates between."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await sampled(client)
        before = now(scene, "extruder")["temperatures"]
        await scene.klippy.play(3)

        async def has_two() -> bool:
            store = await client.call("server.temperature_store")
            return len(store["extruder"]["temperatures"]) == 2

        await eventually(has_two)
        store = await client.call("server.temperature_store")
        assert store["extruder"]["temperatures"] == [before, now(scene, "extruder")["temperatures"]]
        assert store["extruder"]["targets"] == [0.0, 0.0]


@integration
async def test_history_survives_a_restart_of_klippy(tmp_path: Path) -> None:
    """After a restart of Klippy the store has the samples of before, and goes on with new ones."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await sampled(client)
        before = await client.call("server.temperature_store")
        await scene.klippy.skip(asks_for("gcode/firmware_restart"))
        await client.wait_for("notify_klippy_shutdown")
        at_the_end = now(scene, "heater_bed")["temperatures"]
        await scene.klippy.skip(notes("connection closed"))
        await client.wait_for("notify_klippy_disconnected")
        kept = await client.call("server.temperature_store")
        assert set(kept) == SENSORS
        for name, history in before.items():
            length = len(history["temperatures"])
            assert kept[name]["temperatures"][:length] == history["temperatures"]

        await scene.klippy.skip(notes("connected"))
        await client.reaches("startup")
        await scene.klippy.skip(sets("webhooks", "state", "ready"))
        await client.wait_for("notify_klippy_ready")
        length = len(kept["heater_bed"]["temperatures"])

        async def goes_on() -> bool:
            store = await client.call("server.temperature_store")
            return len(store["heater_bed"]["temperatures"]) > length

        await eventually(goes_on)
        store = await client.call("server.temperature_store")
        assert store["heater_bed"]["temperatures"] == [*kept["heater_bed"]["temperatures"], at_the_end]
