"""Emergency stop, firmware restart and host restart as clients see them."""

from __future__ import annotations

from pathlib import Path

from tests.replay.clients import WebSocketClient, eventually, integration, pause, started
from tests.replay.scenes import (
    STOP,
    SUBSCRIBED,
    Scene,
    ready_server,
    recorded,
    replayed,
    subscribe_to_everything,
)
from txraker.testing.recording import asks_for, notes, replies_to, sets

STATES = ("notify_klippy_ready", "notify_klippy_shutdown", "notify_klippy_disconnected")
SHUT_DOWN = (
    "Shutdown due to webhooks request\n"
    "Once the underlying issue is corrected, use the\n"
    '"FIRMWARE_RESTART" command to reset the firmware, reload the\n'
    "config, and restart the host software.\n"
    "Printer is shutdown\n"
)
LOST = (503, "Klippy Disconnected")


async def stopped(scene: Scene, client: WebSocketClient) -> None:
    """Stop the printer, as a client asks for."""
    stop = client.call("printer.emergency_stop")
    await scene.plays_through("emergency_stop")
    assert await stop == "ok"
    await scene.klippy.play(sets("webhooks", "state", "shutdown"))


async def gone(scene: Scene, client: WebSocketClient) -> None:
    """Restart the firmware after an emergency stop, up to where Klippy's socket is gone."""
    await stopped(scene, client)
    await client.wait_for("notify_klippy_shutdown")
    await scene.klippy.skip(replies_to("objects/query"))
    restart = client.call("printer.firmware_restart")
    await scene.klippy.play(notes("connection closed"))
    assert await restart == "ok"
    await client.wait_for("notify_klippy_disconnected")


@integration
async def test_emergency_stop(tmp_path: Path) -> None:
    """Every client is told of the shutdown once, and what Klippy then refuses is refused in its words."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        other = await ready_server(scene)
        await subscribe_to_everything(client)
        await stopped(scene, client)
        change = await client.wait_for_change("webhooks", "state", "shutdown")
        for one in (client, other):
            notification = await one.wait_for("notify_klippy_shutdown")
            assert notification.params is None
            assert await one.klippy_state() == (True, "shutdown")
        assert change.params is not None
        assert change.params[0]["webhooks"] == {"state": "shutdown", "state_message": SHUT_DOWN}
        assert "commands" in change.params[0]["gcode"]
        assert client.told("notify_gcode_response") == [["// Klipper state: Shutdown"]]

        run = started(client.refused("printer.gcode.script", script="G28"))
        await scene.plays_through("gcode/script")
        refused = recorded(scene.recording, "gcode/script", script="G28").outcome["error"]
        assert await run == (400, refused["message"])
        assert refused["message"].startswith(SHUT_DOWN.rstrip())
        info = await client.call("printer.info")
        assert (info["state"], info["state_message"]) == ("shutdown", SHUT_DOWN)

        await pause(0.3)
        assert client.heard(*STATES) == other.heard(*STATES) == ["notify_klippy_shutdown"]
        assert "notify_status_update" not in other.heard()


@integration
async def test_a_server_that_finds_klippy_shut_down_says_so(tmp_path: Path) -> None:
    """A server that starts while Klippy is shut down is in that state, never having been ready."""
    async with replayed(tmp_path, STOP, sets("webhooks", "state", "shutdown")) as scene:
        client = await scene.client()
        await client.reaches("shutdown")
        await pause(0.2)
        assert "notify_klippy_ready" not in client.heard()
        answer = await client.subscribe({"webhooks": ["state"]})
        assert answer["status"] == {"webhooks": {"state": "shutdown"}}


@integration
async def test_firmware_restart(tmp_path: Path) -> None:
    """Disconnected, startup, ready: each is told once, in that order, and shown by server.info."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        other = await ready_server(scene)
        await subscribe_to_everything(client)
        await stopped(scene, client)
        await client.wait_for("notify_klippy_shutdown")
        await scene.klippy.skip(replies_to("objects/query"))

        restart = client.call("printer.firmware_restart")
        await scene.klippy.play(notes("connection closed"))
        assert await restart == "ok"
        for one in (client, other):
            assert (await one.wait_for("notify_klippy_disconnected")).params is None
            assert await one.klippy_state() == (False, "disconnected")
        assert client.told("notify_gcode_response")[-1] == ["// Klipper state: Disconnect"]
        assert await client.refused("printer.info") == (503, "Klippy Host not connected")
        assert await client.refused("printer.gcode.script", script="G28") == (
            503,
            "Klippy Host not connected",
        )
        assert (await scene.server.http("GET", "/printer/info"))[0] == 503

        await scene.klippy.play(notes("connected"))
        await client.reaches("startup")
        assert await client.klippy_state() == (True, "startup")
        assert "notify_klippy_ready" not in client.heard()

        updated = len(client.told("notify_status_update"))
        await scene.klippy.skip(sets("webhooks", "state", "ready"))
        for one in (client, other):
            assert (await one.wait_for("notify_klippy_ready")).params is None
            assert await one.klippy_state() == (True, "ready")
            assert one.heard(*STATES) == [
                "notify_klippy_shutdown",
                "notify_klippy_disconnected",
                "notify_klippy_ready",
            ]
        assert len(client.told("notify_status_update")) == updated, "no subscription outlives Klippy"
        assert (await client.call("server.info"))["missing_klippy_requirements"] == []


@integration
async def test_resubscribing_during_startup(tmp_path: Path) -> None:
    """A client that subscribes again while Klippy starts sees it become ready."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await client.subscribe({"webhooks": None})
        await gone(scene, client)
        await scene.klippy.play(notes("connected"))
        await client.reaches("startup")
        answer = await client.subscribe({"webhooks": None, "print_stats": ["state"]})
        assert answer["status"]["webhooks"]["state"] == "startup"
        client.forget()
        await scene.klippy.skip(sets("webhooks", "state", "ready"))
        change = await client.wait_for_change("webhooks", "state", "ready")
        assert change.params is not None
        assert change.params[0] == {"webhooks": {"state": "ready", "state_message": "Printer is ready"}}

        async def is_told() -> bool:
            return client.heard("notify_klippy_ready") == ["notify_klippy_ready"]

        await eventually(is_told)


@integration
async def test_host_restart(tmp_path: Path) -> None:
    """The host restarts as the firmware does: disconnected, ready again, and subscriptions have ended."""
    async with replayed(tmp_path, STOP, 7.0) as scene:
        client = await ready_server(scene)
        await client.subscribe({"webhooks": None})
        restart = client.call("printer.restart")
        await scene.plays_through("gcode/restart")
        assert await restart == "ok"
        await scene.klippy.play(notes("connection closed"))
        await client.wait_for("notify_klippy_disconnected")
        assert await client.klippy_state() == (False, "disconnected")
        await scene.klippy.play(notes("connected"))
        await client.reaches("startup")
        await scene.klippy.play()
        await client.wait_for("notify_klippy_ready")
        assert client.heard() == ["notify_klippy_disconnected", "notify_klippy_ready"]
        answer = await client.subscribe({"webhooks": ["state"]})
        assert answer["status"] == {"webhooks": {"state": "ready"}}


@integration
async def test_a_restart_is_ok_when_klippy_closes_before_it_answers(tmp_path: Path) -> None:
    """A firmware restart that is never answered has succeeded: the connection ended, as it was asked to."""
    async with replayed(tmp_path, STOP, asks_for("gcode/firmware_restart")) as scene:
        client = await scene.client()
        await client.reaches("shutdown")
        restart = client.call("printer.restart")
        await scene.klippy.received("gcode/restart")
        await scene.klippy.skip(notes("connection closed"))
        assert await restart == "ok"


@integration
async def test_pending_requests_fail_when_klippy_is_lost(tmp_path: Path) -> None:
    """Whatever waits for Klippy's answer when the connection ends gets 503 at once, on every transport."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        # Klippy answers this one only after its restart, on another connection.
        over_websocket = started(client.refused("printer.gcode.script", script="STATUS"))
        await scene.klippy.received("gcode/script")
        over_http = started(scene.server.http("POST", "/printer/gcode/script", script="G28"))
        await scene.klippy.received("gcode/script", 2)
        await scene.klippy.stop()
        assert await over_websocket == LOST
        code, body = await over_http
        assert (code, body["error"]["message"]) == LOST
        await client.wait_for("notify_klippy_disconnected")

        scene.klippy.resume()
        await client.wait_for("notify_klippy_ready")
        assert (await client.call("printer.info"))["state"] == "ready"


@integration
async def test_requests_pending_at_a_recorded_restart_fail(tmp_path: Path) -> None:
    """A script that Klippy hasn't answered when it restarts gets 503 once clients have heard of the loss."""
    async with replayed(tmp_path, STOP, asks_for("gcode/firmware_restart")) as scene:
        client = await scene.client()
        await client.reaches("shutdown")

        async def run() -> list[str]:
            assert await client.refused("printer.gcode.script", script="STATUS") == LOST
            return client.heard("notify_klippy_disconnected")

        told_before = started(run())
        await scene.klippy.received("gcode/script")
        await scene.klippy.skip(notes("connection closed"))
        assert await told_before == ["notify_klippy_disconnected"]
        await client.wait_for("notify_klippy_disconnected")


@integration
async def test_a_subscription_at_the_moment_of_the_loss_fails(tmp_path: Path) -> None:
    """A subscription that the server reads in the very turn in which Klippy is lost gets its 503, too."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        subscribing = started(client.refused("printer.objects.subscribe", objects={"fan": None}))
        client.flush()
        scene.klippy.cut()
        await client.wait_for("notify_klippy_disconnected")
        await client.wait_for("notify_klippy_ready")
        assert subscribing.called, "nobody will ever answer it"
        assert (await subscribing)[0] == 503


@integration
async def test_only_who_subscribes_again_is_told_after_a_crash(tmp_path: Path) -> None:
    """Subscriptions end with Klippy: back again, it updates those who ask anew, and nobody else."""
    async with replayed(tmp_path, STOP, SUBSCRIBED) as scene:
        clients = [await ready_server(scene) for _ in range(2)]
        for client in clients:
            await client.subscribe({"heater_bed": ["temperature"]})
        scene.klippy.cut()
        for client in clients:
            await client.wait_for("notify_klippy_ready")
            client.forget()
        eager, silent = clients
        answer = await eager.subscribe({"heater_bed": ["temperature"]})
        assert answer["status"] == {
            "heater_bed": {"temperature": scene.klippy.playback.status["heater_bed"]["temperature"]}
        }
        await scene.klippy.play(0.7)
        await eager.wait_for_change("heater_bed", "temperature", 29.8)
        assert eager.heard("notify_status_update") == ["notify_status_update"] * 2
        await pause(0.05)
        assert silent.heard() == []
