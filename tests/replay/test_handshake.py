"""What clients see of a Klippy that is ready: who it is, its status, its updates, its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.clients import integration, pause, started
from tests.replay.scenes import (
    HANDSHAKE,
    SUBSCRIBED,
    Scene,
    console,
    ready_server,
    recorded,
    replayed,
    subscribe_to_everything,
    updates,
)
from txraker.testing.recording import replies_to

OUT_OF_RANGE = "Move out of range: 9999.000 80.000 17.000 [250.560]"


def result_of(scene: Scene, method: str) -> object:
    """Return the first recorded result of a method."""
    return recorded(scene.recording, method).outcome["result"]


@integration
async def test_a_ready_klippy_is_seen_as_ready(tmp_path: Path) -> None:
    """The server follows Klippy to ready and passes on its description, objects and help."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        info = await client.call("server.info")
        assert (info["klippy_connected"], info["klippy_state"]) == (True, "ready")
        assert info["missing_klippy_requirements"] == []
        assert info["failed_components"] == []
        assert info["warnings"] == []
        assert await client.call("printer.info") == result_of(scene, "info")
        assert await client.call("printer.objects.list") == result_of(scene, "objects/list")
        assert await client.call("printer.gcode.help") == result_of(scene, "gcode/help")
        assert client.heard("notify_klippy_disconnected", "notify_klippy_shutdown") == []


@integration
async def test_a_client_that_is_there_first_is_told_once_that_klippy_is_ready(tmp_path: Path) -> None:
    """A client that connects before Klippy's socket exists gets notify_klippy_ready, without params, once."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await scene.client()
        await scene.klippy.stop()
        await client.reaches("disconnected")
        assert await client.klippy_state() == (False, "disconnected")
        client.forget()
        scene.klippy.resume()
        notification = await client.wait_for("notify_klippy_ready")
        assert notification.params is None
        await pause(0.3)
        assert client.heard() == ["notify_klippy_ready"]


@integration
async def test_subscribing_to_everything_returns_the_recorded_status(tmp_path: Path) -> None:
    """The answer to a subscription is Klippy's whole status, field for field, and its eventtime."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        assert await subscribe_to_everything(client) == result_of(scene, "objects/subscribe")


@integration
async def test_queries_return_fields_nulls_and_empty_objects(tmp_path: Path) -> None:
    """A query has the fields asked for, null for those unknown, and an empty object for one unknown."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        toolhead = scene.klippy.playback.status["toolhead"]
        expected = {"toolhead": {"position": toolhead["position"], "status": None}, "nosuch": {}}
        answer = await client.call(
            "printer.objects.query", objects={"toolhead": ["position", "status"], "nosuch": None}
        )
        assert answer["status"] == expected
        code, body = await scene.server.http(
            "GET", "/printer/objects/query", toolhead="position,status", nosuch=""
        )
        assert (code, body["result"]["status"]) == (200, expected)


@integration
async def test_updates_arrive_unchanged_and_in_order(tmp_path: Path) -> None:
    """Three seconds of updates come as notify_status_update, each [status, eventtime] as Klippy sent it."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await subscribe_to_everything(client)
        first = scene.klippy.playback.position
        await scene.klippy.play(3.5)
        expected = updates(scene.recording.lines[first : scene.klippy.playback.position])
        assert len(expected) == 11
        await client.wait_for("notify_status_update", lambda params: params == expected[-1])
        assert client.told("notify_status_update") == expected
        assert client.heard() == ["notify_status_update"] * len(expected)


@integration
async def test_a_recorded_second_of_updates_takes_its_time(tmp_path: Path) -> None:
    """Played in time, updates reach the client one by one, with nothing lost or joined between them."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await subscribe_to_everything(client)
        first = scene.klippy.playback.position
        await scene.klippy.play(1.7, speed=4)
        expected = updates(scene.recording.lines[first : scene.klippy.playback.position])
        await client.wait_for("notify_status_update", lambda params: params == expected[-1])
        assert client.told("notify_status_update") == expected


@integration
async def test_requests_right_and_wrong(tmp_path: Path) -> None:
    """Results without content are "ok", refusals are errors 400 in Klippy's words, console lines are told."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        first = scene.klippy.playback.position

        endstops = client.call("printer.query_endstops.status")
        await scene.plays_through("query_endstops/status")
        assert await endstops == {"stepper_x": "open", "stepper_y": "open", "stepper_z": "open"}

        for script in ("M117 hello", "STATUS", "NOSUCHCMD"):
            run = client.call("printer.gcode.script", script=script)
            await scene.plays_through("gcode/script")
            assert await run == "ok"

        out_of_range = started(client.refused("printer.gcode.script", script="G1 X9999"))
        await scene.plays_through("gcode/script")
        assert await out_of_range == (400, OUT_OF_RANGE)

        for action in ("pause", "resume", "cancel"):
            done = client.call(f"printer.print.{action}")
            await scene.klippy.received(f"pause_resume/{action}")
            await scene.klippy.skip(replies_to(f"pause_resume/{action}"))
            assert await done == "ok"

        said = console(scene.recording.lines[first : scene.klippy.playback.position])
        assert said == [
            "// Klipper state: Ready",
            '// Unknown command:"NOSUCHCMD"',
            f"!! {OUT_OF_RANGE}",
            "// action:paused",
            "// action:resumed",
            "// action:cancel",
        ]
        await client.wait_for("notify_gcode_response", lambda params: params == [said[-1]])
        assert client.told("notify_gcode_response") == [[line] for line in said]

        stored = (await client.call("server.gcode_store"))["gcode_store"]
        assert [(entry["type"], entry["message"]) for entry in stored] == [
            ("command", "M117 hello"),
            ("command", "STATUS"),
            ("response", said[0]),
            ("command", "NOSUCHCMD"),
            ("response", said[1]),
            ("command", "G1 X9999"),
            *(("response", line) for line in said[2:]),
        ]
        assert (await client.call("server.info"))["klippy_state"] == "ready"


@integration
async def test_refusals_over_http(tmp_path: Path) -> None:
    """What Klippy refuses is status 400 with its message; what succeeds without content is "ok"."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        await ready_server(scene)
        await scene.klippy.skip(replies_to("query_endstops/status"))
        run = started(scene.server.http("POST", "/printer/gcode/script", script="M117 hello"))
        await scene.plays_through("gcode/script")
        assert await run == (200, {"result": "ok"})

        refused = started(scene.server.http("POST", "/printer/gcode/script", script="G1 X9999"))
        await scene.klippy.received("gcode/script", 2)
        await scene.klippy.skip(replies_to("gcode/script"))
        await scene.klippy.skip(replies_to("gcode/script"))
        await scene.klippy.skip(replies_to("gcode/script"))
        code, body = await refused
        assert code == 400
        assert (body["error"]["code"], body["error"]["message"]) == (400, OUT_OF_RANGE)


@integration
async def test_unknown_requests_never_reach_klippy(tmp_path: Path) -> None:
    """Ill-formed requests and unknown methods are refused by the server itself, each with its code."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        assert (await client.refused("printer.gcode.script"))[0] == 400
        assert (await client.refused("printer.objects.query"))[0] == 400
        assert (await client.refused("printer.objects.query", objects=5))[0] == 400
        assert await client.refused("printer.no.such.method") == (-32601, "Method not found")
        assert (await scene.server.http("GET", "/printer/no/such/method"))[0] == 404
        asked = {method for method, _ in scene.klippy.requests}
        assert asked.isdisjoint({"gcode/script", "no/such/method", "objects/query"})


@pytest.mark.parametrize("method", ["register_remote_method", "list_endpoints", "gcode.subscribe_output"])
@integration
async def test_what_belongs_to_our_own_connection_is_out_of_reach(tmp_path: Path, method: str) -> None:
    """Klippy's methods that would change our own connection to it are no methods of the server."""
    async with replayed(tmp_path, HANDSHAKE, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        assert await client.refused(f"printer.{method}") == (-32601, "Method not found")
