"""A Klippy that doesn't become ready: its configuration is wrong, or its micro-controller is silent."""

from __future__ import annotations

from pathlib import Path

from tests.replay.clients import integration, pause, started
from tests.replay.scenes import CONFIG_ERROR, NO_MCU, replayed
from txraker.testing.recording import replies_to, says

WRONG_SECTION = "Section 'nosuch_section' is not a valid config section\n"
NOT_READY = "\nPrinter is not ready\nThe klippy host software is attempting to connect.  Please\n"


@integration
async def test_a_wrong_configuration_is_shown(tmp_path: Path) -> None:
    """From startup to error: printer.info has the reason, scripts are refused with it, nobody hears ready."""
    async with replayed(tmp_path, CONFIG_ERROR) as scene:
        client = await scene.client()
        await client.reaches("startup")
        await scene.klippy.skip(replies_to("objects/query"))
        await client.reaches("error")
        assert await client.klippy_state() == (True, "error")
        info = await client.call("printer.info")
        assert info["state"] == "error"
        assert info["state_message"].startswith(WRONG_SECTION)

        run = started(client.refused("printer.gcode.script", script="STATUS"))
        await scene.plays_through("gcode/script")
        code, message = await run
        assert code == 400
        assert message.startswith(WRONG_SECTION)
        await client.wait_for("notify_gcode_response", lambda params: params[0].startswith("!! Section"))
        webhooks = await client.call("printer.objects.query", objects={"webhooks": None})
        assert webhooks["status"]["webhooks"]["state"] == "error"
        await pause(0.3)
        assert set(client.heard()) == {"notify_gcode_response"}
        assert await client.call("server.temperature_store") == {}


@integration
async def test_a_server_that_starts_later_finds_the_error(tmp_path: Path) -> None:
    """A server that connects to a Klippy in error is in error, and serves what needs no printer."""
    async with replayed(tmp_path, CONFIG_ERROR, replies_to("objects/query")) as scene:
        client = await scene.client()
        await client.reaches("error")
        code, body = await scene.server.http("GET", "/printer/info")
        assert code == 200
        assert body["result"]["state_message"].startswith(WRONG_SECTION)
        code, body = await scene.server.http("GET", "/server/info")
        assert (code, body["result"]["klippy_state"], body["result"]["klippy_connected"]) == (
            200,
            "error",
            True,
        )
        assert client.heard() == []


@integration
async def test_a_silent_micro_controller(tmp_path: Path) -> None:
    """Klippy stays in startup, connected, and is never announced; scripts are refused in its words."""
    async with replayed(tmp_path, NO_MCU) as scene:
        client = await scene.client()
        await client.reaches("startup")
        await scene.klippy.skip(10)
        assert await client.klippy_state() == (True, "startup")
        info = await client.call("printer.info")
        assert (info["state"], info["state_message"][: len(NOT_READY)]) == ("startup", NOT_READY)

        run = started(client.refused("printer.gcode.script", script="STATUS"))
        await scene.klippy.play(says("!! Printer is not ready"))
        await scene.klippy.play()
        code, message = await run
        assert code == 400
        assert message.startswith(NOT_READY)
        assert message.endswith("Klipper state: Not ready")
        await client.wait_for("notify_gcode_response", lambda params: params == ["!! Printer is not ready"])
        await pause(0.3)
        assert await client.klippy_state() == (True, "startup")
        assert set(client.heard()) == {"notify_gcode_response"}


@integration
async def test_startup_is_looked_at_while_it_lasts(tmp_path: Path) -> None:
    """While Klippy starts the server asks for its state again and again."""
    async with replayed(tmp_path, NO_MCU) as scene:
        asked = scene.klippy.count("info")
        await scene.klippy.received("info", asked + 3)


@integration
async def test_nobody_asks_a_klippy_in_error_again_and_again(tmp_path: Path) -> None:
    """Once Klippy has failed to start there is nothing to ask it for until it says something."""
    async with replayed(tmp_path, CONFIG_ERROR, replies_to("objects/query")) as scene:
        client = await scene.client()
        await client.reaches("error")
        asked = scene.klippy.count("info")
        await pause(0.4)
        assert scene.klippy.count("info") == asked
