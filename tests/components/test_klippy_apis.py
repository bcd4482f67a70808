"""Klippy's API as clients see it: what is passed on, and what is made safe first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field
from hypothesis import assume, given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tests.components.bench import ComponentBench, connected
from tests.tools import caller
from txraker.api.caller import Transport
from txraker.components.klippy_apis import KlippyApis
from txraker.errors import BadRequest, KlippyDisconnected, KlippyError, KlippyNotConnected, NotFound
from txraker.events import EndpointsLearned, GcodeCommand
from txraker.interfaces import IComponent
from txraker.testing.connection import MemoryConnection

KLIPPYS = (
    "info",
    "emergency_stop",
    "list_endpoints",
    "register_remote_method",
    "gcode/help",
    "gcode/script",
    "gcode/restart",
    "gcode/firmware_restart",
    "gcode/subscribe_output",
    "objects/list",
    "objects/query",
    "objects/subscribe",
    "query_endstops/status",
    "pause_resume/pause",
    "pause_resume/resume",
    "pause_resume/cancel",
    "bed_mesh/dump_mesh",
    "motion_report/dump_stepper",
    "adxl345/dump_adxl345",
    "debug/unusual_thing",
)


@define(eq=False)
class ApiBench(ComponentBench):
    """The API on its bench, with a Klippy that answers everything with what it was asked."""

    apis: KlippyApis = field(init=False)
    commands: list[GcodeCommand] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for method in KLIPPYS:
            self.klippy.answers.setdefault(method, lambda _: {})
        self.klippy.answers["objects/query"] = self.subscribed
        self.apis = KlippyApis(self.klippy, self.klippy.status, self.events, self.dispatcher)
        self.apis.start()
        self.serve(self.apis)
        self.events.on(GcodeCommand, self.commands.append)

    def asked(self) -> tuple[str, Mapping[str, Any]]:
        """Return what Klippy was asked last."""
        return self.klippy.requests[-1]


@pytest.fixture
def away() -> ApiBench:
    """Make the API of a Klippy that isn't there."""
    return ApiBench()


@pytest.fixture
def bench() -> ApiBench:
    """Make the API of a Klippy that is ready."""
    bench = ApiBench()
    bench.up()
    return bench


def test_provides(bench: ApiBench) -> None:
    """The component provides what it says."""
    assert verifyObject(IComponent, bench.apis)
    assert bench.apis.name == "klippy_apis"


@pytest.mark.parametrize(
    ("method", "arguments", "klippys", "params"),
    [
        ("printer.info", {}, "info", {}),
        ("printer.emergency_stop", {}, "emergency_stop", {}),
        ("printer.restart", {}, "gcode/restart", {}),
        ("printer.firmware_restart", {}, "gcode/firmware_restart", {}),
        ("printer.objects.list", {}, "objects/list", {}),
        ("printer.query_endstops.status", {}, "query_endstops/status", {}),
        ("printer.gcode.help", {}, "gcode/help", {}),
        ("printer.gcode.script", {"script": "G28\nM114"}, "gcode/script", {"script": "G28\nM114"}),
        ("printer.print.pause", {}, "pause_resume/pause", {}),
        ("printer.print.resume", {}, "pause_resume/resume", {}),
        ("printer.print.cancel", {}, "pause_resume/cancel", {}),
        (
            "printer.print.start",
            {"filename": "a b.gcode"},
            "gcode/script",
            {"script": 'SDCARD_PRINT_FILE FILENAME="a b.gcode"'},
        ),
    ],
)
def test_what_klippy_is_asked(
    bench: ApiBench, method: str, arguments: dict[str, object], klippys: str, params: dict[str, object]
) -> None:
    """Each method asks Klippy one thing."""
    before = len(bench.klippy.requests)
    bench.call(method, **arguments)
    assert bench.asked() == (klippys, params)
    assert len(bench.klippy.requests) == before + 1


@pytest.mark.parametrize(
    "method",
    [
        "printer.emergency_stop",
        "printer.restart",
        "printer.firmware_restart",
        "printer.print.pause",
        "printer.print.resume",
        "printer.print.cancel",
        "printer.pause_resume.cancel",
        "printer.debug.unusual_thing",
    ],
)
def test_an_empty_result_is_ok(bench: ApiBench, method: str) -> None:
    """What Klippy answers with nothing is answered with "ok"."""
    assert bench.call(method) == "ok"


def test_results_are_passed_on(bench: ApiBench) -> None:
    """What Klippy answers is answered."""
    bench.klippy.answers["info"] = lambda _: {"state": "ready", "new_field": 1}
    bench.klippy.answers["debug/unusual_thing"] = lambda params: {"got": params["a"]}
    assert bench.call("printer.info") == {"state": "ready", "new_field": 1}
    assert bench.call("printer.debug.unusual_thing", a=[1]) == {"got": [1]}


def test_klippys_errors_are_passed_on(bench: ApiBench) -> None:
    """Klippy's error is a 400 with Klippy's own words."""

    def refuse(_params: object) -> dict[str, Any]:
        raise KlippyError("Must home axis first")

    bench.klippy.answers["gcode/script"] = refuse
    with pytest.raises(BadRequest, match=r"^Must home axis first$") as caught:
        bench.call("printer.gcode.script", script="G1 X1")
    assert caught.value.jsonrpc_code == 400


def test_scripts_are_remembered(bench: ApiBench) -> None:
    """A script is one event, newlines included, before Klippy has run it."""
    bench.klippy.answers.pop("gcode/script")
    outcome = bench.begin("printer.gcode.script", script="G28\nG1 X5")
    assert bench.commands == [GcodeCommand("G28\nG1 X5")]
    assert not outcome.done


@pytest.mark.parametrize("method", ["printer.restart", "printer.firmware_restart"])
def test_restart_ends_the_connection(bench: ApiBench, method: str) -> None:
    """A restart is answered "ok" when the connection ends before the answer."""
    bench.klippy.answers.pop("gcode/restart")
    bench.klippy.answers.pop("gcode/firmware_restart")
    outcome = bench.begin(method)
    assert not outcome.done
    bench.klippy.disconnect()
    assert outcome.result() == "ok"


@pytest.mark.parametrize("method", ["printer.gcode.script", "printer.emergency_stop", "printer.print.pause"])
def test_loss_is_an_error(bench: ApiBench, method: str) -> None:
    """Anything else that Klippy doesn't answer before it goes has failed."""
    bench.klippy.answers.clear()
    outcome = bench.begin(method, script="G28")
    bench.klippy.disconnect()
    with pytest.raises(KlippyDisconnected):
        outcome.result()


@pytest.mark.parametrize("method", ["printer.info", "printer.restart", "printer.print.start"])
def test_klippy_is_away(away: ApiBench, method: str) -> None:
    """Without Klippy everything fails with the reason, a restart too."""
    with pytest.raises(KlippyNotConnected, match="Klippy Host not connected"):
        away.call(method, filename="a.gcode")


@pytest.mark.parametrize(
    "objects",
    [
        {"toolhead": None, "fan": ["speed"]},
        {"toolhead": "", "fan": "speed"},
        {"toolhead": None, "fan": " speed ,"},
    ],
)
def test_query(bench: ApiBench, objects: dict[str, object]) -> None:
    """Objects may be wanted in every form in which clients do."""
    bench.call("printer.objects.query", objects=objects)
    assert bench.asked() == ("objects/query", {"objects": {"toolhead": None, "fan": ["speed"]}})


def test_query_over_http(bench: ApiBench) -> None:
    """In a query string each argument names an object, save for those that authorize."""
    bench.call(
        "printer.objects.query",
        caller(Transport.HTTP),
        **{"toolhead": "position,homed_axes", "gcode_macro X": "", "token": "t", "connection_id": "5"},
        access_token="a",
    )
    wanted = {"gcode_macro X": None, "toolhead": ["homed_axes", "position"]}
    assert bench.asked() == ("objects/query", {"objects": wanted})


@pytest.mark.parametrize(
    ("objects", "rule"),
    [
        (5, "an object of printer object names"),
        ([], "an object of printer object names"),
        ({"fan": 5}, "'fan' is null"),
        ({"fan": [1]}, "'fan' is null"),
        ({"fan": {}}, "'fan' is null"),
    ],
)
def test_bad_query(bench: ApiBench, objects: object, rule: str) -> None:
    """Objects wanted in no understandable form are refused by name and rule."""
    with pytest.raises(BadRequest, match="Invalid argument 'objects': must be .*" + re.escape(rule)):
        bench.call("printer.objects.query", objects=objects)


def test_query_without_objects(bench: ApiBench) -> None:
    """A query over JSON-RPC says what it wants."""
    with pytest.raises(BadRequest, match="Missing argument 'objects'"):
        bench.call("printer.objects.query")


def test_subscribe(bench: ApiBench) -> None:
    """A connection gets what it subscribed to, then what changes of it, until it subscribes to nothing."""
    bench.status["toolhead"] = {"position": [0, 0], "homed_axes": ""}
    client = MemoryConnection()
    wanted = {"toolhead": ["homed_axes"]}
    outcome = bench.begin("printer.objects.subscribe", connected(client), objects=wanted)
    bench.turn()
    assert outcome.result() == {"eventtime": 0.0, "status": {"toolhead": {"homed_axes": ""}}}
    bench.change(toolhead={"position": [1, 1]})
    bench.change(toolhead={"homed_axes": "xyz"})
    assert client.messages == [
        {
            "jsonrpc": "2.0",
            "method": "notify_status_update",
            "params": [{"toolhead": {"homed_axes": "xyz"}}, 0.0],
        }
    ]
    assert bench.call("printer.objects.subscribe", connected(client), objects={})["status"] == {}
    bench.change(toolhead={"homed_axes": ""})
    assert len(client.messages) == 1


def test_subscribe_needs_a_connection(bench: ApiBench) -> None:
    """Without a persistent connection there is no subscription."""
    with pytest.raises(NotFound):
        bench.call("printer.objects.subscribe", caller(Transport.HTTP), objects={})
    with pytest.raises(BadRequest, match="persistent connection"):
        bench.call("printer.objects.subscribe", caller(Transport.WEBSOCKET), objects={})


def printer_methods(bench: ApiBench) -> set[str]:
    """Return the names of the printer's methods."""
    return {one.name for one in bench.dispatcher.endpoints() if one.name.startswith("printer.")}


def test_run_time_endpoints(away: ApiBench) -> None:
    """What Klippy registers is there by GET and POST and on JSON-RPC, from when it is known."""
    declared = printer_methods(away)
    away.up()
    assert printer_methods(away) - declared == {
        "printer.gcode.restart",
        "printer.gcode.firmware_restart",
        "printer.pause_resume.pause",
        "printer.pause_resume.resume",
        "printer.pause_resume.cancel",
        "printer.bed_mesh.dump_mesh",
        "printer.debug.unusual_thing",
    }
    for method in ("GET", "POST"):
        found = away.dispatcher.find_path("/printer/debug/unusual_thing", method)
        assert found.name == "printer.debug.unusual_thing"
        assert not found.reads_only


@pytest.mark.parametrize(
    "method",
    [
        "list_endpoints",
        "register_remote_method",
        "gcode/subscribe_output",
        "motion_report/dump_stepper",
        "adxl345/dump_adxl345",
    ],
)
def test_what_is_not_for_clients(bench: ApiBench, method: str) -> None:
    """What streams, or would change our own connection to Klippy, is nowhere."""
    with pytest.raises(NotFound):
        bench.dispatcher.find_path(f"/printer/{method}", "GET")
    with pytest.raises(NotFound):
        bench.dispatcher.find_method("printer." + method.replace("/", "."), Transport.WEBSOCKET)


def test_subscribing_has_no_path(bench: ApiBench) -> None:
    """Klippy's own subscription is not to be had over HTTP: it would end everybody's."""
    with pytest.raises(NotFound):
        bench.dispatcher.find_path("/printer/objects/subscribe", "POST")


def test_endpoints_come_and_go(bench: ApiBench) -> None:
    """What Klippy no longer has is gone after it is known, what is new is there, the rest stays."""
    kept = bench.dispatcher.find_path("/printer/pause_resume/pause", "GET")
    bench.events.emit(EndpointsLearned(frozenset({"info", "pause_resume/pause", "new/thing"})))
    assert bench.dispatcher.find_path("/printer/pause_resume/pause", "GET") is kept
    assert bench.dispatcher.find_path("/printer/new/thing", "GET")
    with pytest.raises(NotFound):
        bench.dispatcher.find_path("/printer/debug/unusual_thing", "GET")
    assert bench.dispatcher.find_path("/printer/info", "GET").name == "printer.info"
    bench.events.emit(EndpointsLearned(frozenset(KLIPPYS)))
    assert bench.dispatcher.find_path("/printer/debug/unusual_thing", "GET")
    assert bench.faults.seen == []


def test_unknown_is_503_until_known(away: ApiBench) -> None:
    """Below /printer/ everything unknown may yet be known until Klippy's endpoints are."""
    for path in ("/printer/nothing", "/printer/debug/unusual_thing"):
        with pytest.raises(KlippyNotConnected):
            away.dispatcher.find_path(path, "GET")
    with pytest.raises(KlippyNotConnected):
        away.dispatcher.find_method("printer.nothing", Transport.WEBSOCKET)
    with pytest.raises(NotFound):
        away.dispatcher.find_path("/server/nothing", "GET")
    away.up()
    with pytest.raises(NotFound):
        away.dispatcher.find_path("/printer/nothing", "GET")
    away.klippy.disconnect()
    with pytest.raises(KlippyNotConnected):
        away.dispatcher.find_path("/printer/nothing", "GET")


def test_arguments_that_authorize_are_not_passed_on(bench: ApiBench) -> None:
    """Tokens never reach Klippy; everything else does, as it came."""
    bench.call("printer.debug.unusual_thing", a=1, b=None, token="t", access_token="a", connection_id=5)
    assert bench.asked() == ("debug/unusual_thing", {"a": 1, "b": None})


filenames = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.lists(
    st.sampled_from(['"', "\\", "'", " ", "\n", "\r", ";", "#", "*", "=", "/", "a", "\u2028", "\x85", "\0"]),
    min_size=1,
).map("".join)


@given(filenames)
def test_no_file_name_is_more_than_a_file_name(filename: str) -> None:
    """Whatever a file is called, Klippy gets one line with one parameter that is that name, or nothing."""
    assume(filename != "/")
    bench = ApiBench()
    bench.up()
    outcome = bench.begin("printer.print.start", filename=filename)
    asked = [params["script"] for method, params in bench.klippy.requests if method == "gcode/script"]
    if outcome.error is not None:
        assert isinstance(outcome.error, BadRequest)
        assert "'filename'" in str(outcome.error)
        assert asked == []
        return
    (script,) = asked
    assert len(script.splitlines()) == 1
    assert not set(script) & {"\n", "\r", "\0"}
    words = shlex.split(script, posix=True)
    assert words == ["SDCARD_PRINT_FILE", f"FILENAME={filename.removeprefix('/')}"]


@pytest.mark.parametrize(
    "filename",
    [
        "a\nM112",
        "a\rM112",
        "a\r\nM112",
        "a\u2028M112",
        "a\u2029b",
        "a\x85b",
        "a\0b",
        "\x03",
        "a\x1bb",
        "\x7f",
    ],
)
def test_control_characters_are_refused(bench: ApiBench, filename: str) -> None:
    """A file name with control characters is refused by name."""
    with pytest.raises(BadRequest, match="Invalid argument 'filename': must be without control characters"):
        bench.call("printer.print.start", filename=filename)


@pytest.mark.parametrize("filename", ["", "/"])
def test_no_name_at_all(bench: ApiBench, filename: str) -> None:
    """No name is refused: a Klippy told to print a file without a name shuts the printer down."""
    with pytest.raises(BadRequest, match="'filename'"):
        bench.call("printer.print.start", filename=filename)


def test_unicode_file_names(bench: ApiBench) -> None:
    """A file may be called anything that can be read."""
    bench.call("printer.print.start", filename="sub/Bär 🐻 v1.2 (final).gcode")
    script = bench.asked()[1]["script"]
    assert script == 'SDCARD_PRINT_FILE FILENAME="sub/Bär 🐻 v1.2 (final).gcode"'
