"""A virtual SD print as its clients see it: started, paused, resumed, completed; another one cancelled."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from tests.replay.clients import WebSocketClient, integration, pause
from tests.replay.scenes import (
    PRINT,
    SUBSCRIBED,
    console,
    merged,
    ready_server,
    replayed,
    subscribe_to_everything,
    updates,
)
from txraker.testing.recording import asks_for, replies_to, sets

PRINT_FILE = {"script": 'SDCARD_PRINT_FILE FILENAME="test_print.gcode"'}
NARROW: dict[str, list[str] | None] = {
    "print_stats": ["state", "filename"],
    "pause_resume": ["is_paused"],
    "nosuch": None,
}


@integration
async def test_a_print_from_start_to_end_and_another_cancelled(tmp_path: Path) -> None:
    """Clients see printing, paused, printing, complete, printing, cancelled, and no update is lost."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        klippy = scene.klippy
        client = await ready_server(scene)
        whole = (await subscribe_to_everything(client))["status"]
        first = klippy.playback.position

        start = client.call("printer.print.start", filename="test_print.gcode")
        await scene.plays_through("gcode/script")
        assert await start == "ok"
        assert [params for method, params in klippy.requests if method == "gcode/script"] == [PRINT_FILE]
        await klippy.play(sets("print_stats", "state", "printing"))
        await client.wait_for_change("print_stats", "state", "printing")

        await klippy.play(60)
        paused = client.call("printer.print.pause")
        await klippy.play(170)
        assert not paused.called, "Klippy answers only when the heat-up ends"
        await scene.plays_through("pause_resume/pause")
        assert await paused == "ok"
        assert client.told("notify_status_update")[-1][0].get("print_stats", {}).get("state") != "paused"
        await klippy.play(sets("print_stats", "state", "paused"))
        change = await client.wait_for_change("print_stats", "state", "paused")
        assert change.params is not None
        assert change.params[0]["pause_resume"] == {"is_paused": True}

        resumed = client.call("printer.print.resume")
        await scene.plays_through("pause_resume/resume")
        assert await resumed == "ok"
        await klippy.play(sets("print_stats", "state", "printing"))
        await client.wait_for_change("print_stats", "state", "printing")
        await klippy.play(sets("print_stats", "state", "complete"))
        await client.wait_for_change("print_stats", "state", "complete")

        start = client.call("printer.print.start", filename="/test_print.gcode")
        await scene.plays_through("gcode/script")
        assert await start == "ok"
        cancelled = client.call("printer.print.cancel")
        await klippy.play(349)
        assert not cancelled.called
        await klippy.play()
        assert await cancelled == "ok"
        await client.wait_for_change("print_stats", "state", "cancelled")

        played = scene.recording.lines[first:]
        expected = updates(played)
        await client.wait_for("notify_status_update", lambda params: params == expected[-1])
        told = client.told("notify_status_update")
        assert told == expected
        assert merged(whole, told) == merged(whole, expected) == klippy.playback.status
        assert states(told) == ["printing", "paused", "printing", "complete", "printing", "cancelled"]
        assert [line for (line,) in client.told("notify_gcode_response")] == console(played)
        # The machine's figures come with time: on a slow machine once or more while this is played.
        assert set(client.heard()) - {"notify_proc_stat_update"} == {
            "notify_status_update",
            "notify_gcode_response",
        }


@integration
async def test_a_narrow_subscription_sees_only_its_fields(tmp_path: Path) -> None:
    """A second client is told of its own fields only, and not at all when none of them changed."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        wide = await ready_server(scene)
        narrow = await ready_server(scene)
        await subscribe_to_everything(wide)
        answer = await narrow.subscribe(NARROW)
        before = scene.klippy.playback.status
        assert answer["status"] == {
            "print_stats": {key: before["print_stats"][key] for key in ("state", "filename")},
            "pause_resume": {"is_paused": False},
            "nosuch": {},
        }
        first = scene.klippy.playback.position
        await scene.klippy.skip()
        played = updates(scene.recording.lines[first:])
        await wide.wait_for("notify_status_update", lambda params: params == played[-1])

        expected = []
        for status, eventtime in played:
            share = {
                name: {key: value for key, value in status[name].items() if key in (fields or ())}
                for name, fields in NARROW.items()
                if name in status
            }
            if any(share.values()):
                expected.append([{name: fields for name, fields in share.items() if fields}, eventtime])
        assert narrow.told("notify_status_update") == expected
        assert states(expected) == ["printing", "paused", "printing", "complete", "printing", "cancelled"]
        assert len(wide.told("notify_status_update")) == len(played)


@integration
async def test_subscriptions_change_and_end_while_printing(tmp_path: Path) -> None:
    """A new subscription replaces the client's earlier one, and an empty one ends it; the others go on."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        one = await ready_server(scene)
        other = await ready_server(scene)
        await one.subscribe({"toolhead": None})
        await other.subscribe({"print_stats": ["state"]})
        await scene.klippy.skip(30)
        await one.wait_for("notify_status_update")
        await one.subscribe({"extruder": ["temperature"]})
        assert names(one) == {"toolhead"}
        one.forget()
        await scene.klippy.skip(90)
        assert await one.subscribe({}) == {"eventtime": scene.klippy.playback.eventtime, "status": {}}
        assert names(one) == {"extruder"}
        one.forget()
        await scene.klippy.skip()
        await other.wait_for_change("print_stats", "state", "cancelled")
        assert one.told("notify_status_update") == []
        assert states(other.told("notify_status_update"))[-1] == "cancelled"


@integration
async def test_a_pause_outlives_the_client_that_asked_for_it(tmp_path: Path) -> None:
    """A pending pause is not withdrawn when its client hangs up: Klippy still pauses, as others see."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        watcher = await ready_server(scene)
        await watcher.subscribe({"print_stats": ["state"]})
        await scene.klippy.skip(asks_for("gcode/script"))
        leaver = await scene.client()
        await scene.klippy.skip(60)
        leaver.call("printer.print.pause")
        await scene.klippy.received("pause_resume/pause")
        await leaver.close()
        await scene.klippy.play(replies_to("pause_resume/pause"))
        await scene.klippy.play(sets("print_stats", "state", "paused"))
        await watcher.wait_for_change("print_stats", "state", "paused")
        assert (await watcher.klippy_state()) == (True, "ready")


@integration
async def test_file_names_are_one_gcode_parameter_or_refused(tmp_path: Path) -> None:
    """A file name that could end its gcode line is refused without a word to Klippy; quotes are escaped."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        code, _ = await client.refused("printer.print.start", filename="a.gcode\nM112")
        assert code == 400
        assert scene.klippy.count("gcode/script") == 0
        code, _ = await client.refused("printer.print.start", filename='a"b.gcode')
        assert code == 400, "the recording has no such print"
        assert scene.klippy.requests[-1][1] == {"script": 'SDCARD_PRINT_FILE FILENAME="a\\"b.gcode"'}


@integration
async def test_a_slow_answer_does_not_hold_up_others(tmp_path: Path) -> None:
    """While a pause is pending, the same client's and other clients' requests are answered."""
    async with replayed(tmp_path, PRINT, SUBSCRIBED) as scene:
        client = await ready_server(scene)
        await scene.klippy.skip(60)
        pending: Deferred[str] = client.call("printer.print.pause")
        await scene.klippy.play(100)
        await client.call("printer.objects.query", objects={"extruder": ["target"]})
        assert (await scene.server.http("GET", "/printer/info"))[0] == 200
        await pause(0.05)
        assert not pending.called
        await scene.plays_through("pause_resume/pause")
        assert await pending == "ok"


def states(told: list[list[object]]) -> list[object]:
    """Return the print states in updates, in order."""
    return [
        status["print_stats"]["state"]
        for status, _ in told
        if isinstance(status, dict) and "state" in status.get("print_stats", {})
    ]


def names(client: WebSocketClient) -> set[str]:
    """Return the names of all printer objects that a client was told of."""
    return {name for status, _ in client.told("notify_status_update") for name in status}
