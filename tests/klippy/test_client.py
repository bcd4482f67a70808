"""The conversation with Klippy, played byte by byte."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from zope.interface.verify import verifyObject

from tests.klippy.wire import KlippyBench
from tests.tools import json_values, result_of, start
from txraker.errors import KlippyDisconnected, KlippyError, KlippyNotConnected
from txraker.events import GcodeResponse, KlippyReady
from txraker.interfaces import IKlippy, IStatusFeed, IStatusSubscriber
from txraker.klippy.client import RECONNECT_INTERVAL, STARTUP_POLL
from txraker.klippy.subscriptions import Wish

HANDSHAKE = [
    "info",
    "list_endpoints",
    "gcode/subscribe_output",
    "info",
    "objects/subscribe",
    "list_endpoints",
    "objects/list",
]
"""What is asked on the way to ready; the subscription goes out a turn later."""


@pytest.fixture
def bench() -> KlippyBench:
    """Make a client and the Klippy it talks to, not connected yet."""
    return KlippyBench()


@pytest.fixture
def ready(bench: KlippyBench) -> KlippyBench:
    """Make a client that knows Klippy to be ready."""
    bench.start()
    bench.run()
    assert bench.client.state == "ready"
    bench.heard.clear()
    return bench


def test_provides(bench: KlippyBench) -> None:
    """The client provides what it says."""
    assert verifyObject(IKlippy, bench.client)
    assert verifyObject(IStatusSubscriber, bench.client)
    assert verifyObject(IStatusFeed, bench.client.status)


def test_handshake(bench: KlippyBench) -> None:
    """Klippy is introduced to us, asked for its endpoints and console, then followed until it is ready."""
    wire = bench.start()
    assert (bench.client.state, bench.client.connected) == ("startup", True)
    first = wire.read()[0]
    assert first["params"]["client_info"]["program"] == "txraker"
    bench.run()
    assert sorted(wire.history) == sorted(HANDSHAKE)
    assert wire.history[:3] == HANDSHAKE[:3]
    assert wire.history.index("objects/list") > wire.history.index("gcode/subscribe_output")
    assert bench.client.state == "ready"
    assert bench.client.objects == ("webhooks", "toolhead")
    assert bench.client.endpoints == frozenset({"info", "list_endpoints", "gcode/script"})
    assert bench.names() == ["EndpointsLearned", "EndpointsLearned", "KlippyReady"]
    assert bench.faults.seen == []


def test_ready_is_announced_when_all_is_known(bench: KlippyBench) -> None:
    """Whoever hears that Klippy is ready finds its endpoints and objects known."""
    known: list[tuple[object, object]] = []
    bench.events.on(KlippyReady, lambda _: known.append((bench.client.endpoints, bench.client.objects)))
    bench.start()
    while not known:
        assert bench.client.state == "startup"
        assert bench.step()
    assert known == [({"info", "list_endpoints", "gcode/script"}, ("webhooks", "toolhead"))]


def test_state_can_be_asked_for_while_it_is_announced(bench: KlippyBench) -> None:
    """Whoever hears that Klippy is ready can ask for its state, and it is that."""
    states: list[str] = []
    bench.events.on(KlippyReady, lambda _: states.append(bench.client.state))
    bench.start()
    bench.run()
    assert bench.faults.seen == []
    assert states == ["ready"]


def test_no_connection(bench: KlippyBench) -> None:
    """Without a connection a request fails at once."""
    bench.endpoint.absent = True
    bench.client.service.startService()
    assert (bench.client.state, bench.client.connected) == ("disconnected", False)
    with pytest.raises(KlippyNotConnected, match="Klippy Host not connected"):
        bench.client.request("info")


def test_replies_are_matched_by_id(ready: KlippyBench) -> None:
    """Each reply reaches the request it belongs to, in whatever order they come."""
    one = start(ready.client.request("one", {"a": 1}))
    two = start(ready.client.request("two"))
    assert [(request["method"], request["params"]) for request in ready.wire.read()] == [
        ("one", {"a": 1}),
        ("two", {}),
    ]
    ready.wire.reply("two", {"is": 2})
    assert not one.done
    ready.wire.reply("one", {"is": 1})
    assert (one.result(), two.result()) == ({"is": 1}, {"is": 2})


def test_error_reply(ready: KlippyBench) -> None:
    """Klippy's error is raised with Klippy's own message."""
    outcome = start(ready.client.request("gcode/script", {"script": "G1 X900"}))
    ready.wire.refuse("gcode/script", "Must home axis first: 900.000 0.000 0.000 [0.000]")
    with pytest.raises(KlippyError, match=r"^Must home axis first: 900\.000"):
        outcome.result()


@pytest.mark.parametrize("error", ["text", 5, None, ["a"], {"error": "x"}, {"message": "broken"}])
def test_error_reply_of_any_form(ready: KlippyBench, error: object) -> None:
    """An error of any form is an error."""
    outcome = start(ready.client.request("x"))
    ready.wire.send({"id": ready.wire.take("x")["id"], "error": error})
    assert isinstance(outcome.error, KlippyError)


@pytest.mark.parametrize("result", [None, "ok", [], 5])
def test_result_that_is_no_object(ready: KlippyBench, result: object) -> None:
    """A result that is no object is an empty one."""
    outcome = start(ready.client.request("x"))
    ready.wire.reply("x", result)
    assert outcome.result() == {}


def test_cancelled_request(ready: KlippyBench) -> None:
    """A request that was given up is forgotten; its reply, should it come, is ignored."""
    answered = ready.client.request("x")
    outcome = start(answered)
    answered.cancel()
    assert outcome.done
    ready.wire.reply("x", {})
    assert ready.faults.seen == []
    assert ready.client.connected


@pytest.mark.parametrize("steps", range(len(HANDSHAKE) + 1))
def test_loss_at_every_step_of_the_handshake(bench: KlippyBench, steps: int) -> None:
    """Whenever Klippy goes, who waits is told at once, everybody is told once, and the next time works."""
    bench.start()
    for _ in range(steps):
        assert bench.step()
    waiting = start(bench.client.request("gcode/script", {"script": "G28"}))
    subscribing = start(bench.client.status.subscribe(bench.client, Wish.of({"toolhead": None})))
    bench.clock.advance(0)
    bench.wire.lose()
    for outcome in (waiting, subscribing):
        with pytest.raises(KlippyDisconnected):
            outcome.result()
    assert bench.names().count("KlippyDisconnected") == 1
    assert bench.names()[-1] == "KlippyDisconnected"
    assert (bench.client.state, bench.client.connected) == ("disconnected", False)
    assert (bench.client.endpoints, bench.client.objects) == (None, ())
    with pytest.raises(KlippyNotConnected):
        bench.client.request("info")

    bench.heard.clear()
    bench.clock.advance(RECONNECT_INTERVAL)
    assert len(bench.endpoint.wires) == 2
    bench.run()
    assert bench.client.state == "ready"
    assert bench.names().count("KlippyReady") == 1
    assert bench.faults.seen == []


@pytest.mark.parametrize("steps", range(len(HANDSHAKE) + 1))
def test_loss_in_the_turn_of_a_subscription(bench: KlippyBench, steps: int) -> None:
    """A subscription that Klippy has not been asked for yet fails when Klippy goes."""
    bench.start()
    for _ in range(steps):
        assert bench.step()
    subscribing = start(bench.client.status.subscribe(bench.client, Wish.of({"toolhead": None})))
    bench.wire.lose()
    bench.clock.advance(0)
    assert isinstance(subscribing.error, KlippyDisconnected | KlippyNotConnected)


def test_a_hundred_restarts(bench: KlippyBench) -> None:
    """After a hundred restarts all works as after one, and nothing has piled up."""
    bench.start()
    for number in range(100):
        bench.run()
        assert bench.client.state == "ready"
        bench.wire.lose()
        assert bench.names().count("KlippyDisconnected") == number + 1
        bench.clock.advance(RECONNECT_INTERVAL)
    bench.run()
    assert bench.names().count("KlippyReady") == 101
    bench.clock.advance(10)
    bench.run()
    assert bench.clock.getDelayedCalls() == []
    assert bench.faults.seen == []


def test_half_a_frame_at_loss(ready: KlippyBench) -> None:
    """Half a frame that was under way when Klippy went is not mixed with what comes after."""
    ready.wire.receive(b'{"method": "process_gcode_respo')
    ready.wire.lose()
    ready.clock.advance(RECONNECT_INTERVAL)
    ready.run()
    assert ready.client.state == "ready"
    assert ready.log.saying("can't be understood") == []


def test_replies_byte_by_byte(bench: KlippyBench) -> None:
    """Replies may come in any pieces."""
    wire = bench.start()
    request = wire.take("info")
    for byte in msgspec.json.encode({"id": request["id"], "result": {}}) + b"\x03":
        assert wire.read() == []
        wire.receive(bytes([byte]))
    assert [request["method"] for request in wire.read()] == ["list_endpoints"]


@pytest.mark.parametrize(
    "frame", [b"{", b"\xff\xfe", b"[]", b"5", b"null", b'"text"', b"[" * 5000, b'{"a":1}x', b" "]
)
def test_garbage(ready: KlippyBench, frame: bytes) -> None:
    """What is no JSON object is ignored, said once, and spoils nothing."""
    outcome = start(ready.client.request("x"))
    for _ in range(3):
        ready.wire.receive(frame + b"\x03")
    ready.wire.reply("x", {"fine": True})
    assert outcome.result() == {"fine": True}
    assert len(ready.log.saying("can't be understood")) == 1
    assert ready.faults.seen == []


@given(json_values())
def test_any_message(message: object) -> None:
    """Nothing that Klippy could say breaks the conversation."""
    bench = KlippyBench()
    bench.start()
    bench.run()
    bench.wire.send(message)
    for method in ("process_status_update", "process_gcode_response"):
        bench.wire.send({"method": method, "params": message})
        params = {"status": message, "response": message, "eventtime": 1}
        bench.wire.send({"method": method, "params": params})
        bench.wire.send({"method": method, "params": {"status": {"a": message}, "eventtime": message}})
    bench.run()
    assert bench.client.connected
    assert bench.faults.seen == []
    assert not bench.wire.transport.disconnecting


@pytest.mark.parametrize("unknown", [999, 0, -1, None, "1", 1.5, [], {}, True])
def test_unknown_ids(ready: KlippyBench, unknown: object) -> None:
    """A reply to nothing that was asked is ignored."""
    outcome = start(ready.client.request("x"))
    ready.wire.send({"id": unknown, "result": {"wrong": True}})
    assert not outcome.done
    ready.wire.reply("x", {})
    assert outcome.done
    assert ready.faults.seen == []


def test_true_is_no_id(bench: KlippyBench) -> None:
    """A reply whose id is true is not taken for the reply to request 1."""
    wire = bench.start()
    assert wire.read()[0]["id"] == 1
    wire.send({"id": True, "result": {}})
    assert [request["method"] for request in wire.read()] == ["info"]


def test_frame_too_long(bench: KlippyBench) -> None:
    """A frame without an end is given up by ending the connection, and said."""
    wire = bench.start()
    wire.protocol._splitter._longest = 1000  # type: ignore[attr-defined]  # 128 MB would take a while
    aborted: list[bool] = []
    wire.transport.abortConnection = lambda: aborted.append(True)  # type: ignore[method-assign]
    wire.receive(b"x" * 1001)
    assert aborted == [True]
    assert len(bench.log.saying("1000 bytes; reconnecting")) == 1


def test_large_reply(ready: KlippyBench) -> None:
    """A reply of 20 MB in pieces of 64 kB arrives whole."""
    outcome = start(ready.client.request("x"))
    text = "x" * (20 * 1024 * 1024)
    reply = msgspec.json.encode({"id": ready.wire.take("x")["id"], "result": {"text": text}}) + b"\x03"
    for begin in range(0, len(reply), 65536):
        ready.wire.receive(reply[begin : begin + 65536])
    assert outcome.result() == {"text": text}


def test_reading_is_never_paused(ready: KlippyBench) -> None:
    """Whatever comes, the transport is never told to stop reading."""
    for number in range(1000):
        ready.wire.send({"method": "process_gcode_response", "params": {"response": f"// {number}"}})
    assert ready.wire.transport.producerState == "producing"


def test_startup_is_polled(bench: KlippyBench) -> None:
    """While Klippy starts its state is asked for ten times a second, and ready is seen at the next look."""
    bench.state = "startup"
    bench.start()
    bench.run()
    looks = bench.wire.history.count("info")
    for number in range(1, 6):
        bench.clock.advance(STARTUP_POLL)
        bench.run()
        assert bench.wire.history.count("info") == looks + number
    assert (bench.client.state, bench.client.objects) == ("startup", ())
    bench.state = "ready"
    bench.clock.advance(STARTUP_POLL)
    bench.run()
    assert bench.client.state == "ready"
    polls = bench.wire.history.count("info")
    bench.clock.advance(60)
    bench.run()
    assert bench.wire.history.count("info") <= polls + 1


def test_polling_keeps_its_pace(bench: KlippyBench) -> None:
    """However often Klippy writes of its state while it starts, it is polled no more often than before."""
    bench.state = "startup"
    bench.start()
    bench.run()
    for _ in range(20):
        bench.wire.send({"method": "process_gcode_response", "params": {"response": "// Klipper state: x"}})
        bench.pass_time(STARTUP_POLL / 20, step=STARTUP_POLL / 20)
    looks = bench.wire.history.count("info")
    bench.pass_time(1.0)
    assert bench.wire.history.count("info") <= looks + 11


@pytest.mark.parametrize("state", ["error", "shutdown", "ready"])
def test_states_that_klippy_starts_with(bench: KlippyBench, state: str) -> None:
    """Klippy may be in any state when we come."""
    bench.state = state
    bench.start()
    bench.run()
    assert bench.client.state == state
    bench.clock.advance(60)
    bench.run()
    announced = {"error": [], "shutdown": ["KlippyShutdown"], "ready": ["KlippyReady"]}[state]
    assert [name for name in bench.names() if name != "EndpointsLearned"] == announced


def test_shutdown_on_the_console(ready: KlippyBench) -> None:
    """A shutdown on the console is just told: it is announced when clients have seen it in the status."""
    line = {"method": "process_gcode_response", "params": {"response": "// Klipper state: Shutdown"}}
    ready.wire.send(line)
    assert ready.wire.read() == []
    assert ready.client.state == "ready"
    assert ready.heard == [GcodeResponse("// Klipper state: Shutdown")]


def test_shutdown_by_status(ready: KlippyBench) -> None:
    """A status update of Klippy's state makes us look at once."""
    ready.status("shutdown")
    assert [request["method"] for request in ready.wire.read()] == ["info"]
    ready.run()
    assert ready.client.state == "shutdown"
    assert ready.names() == ["KlippyShutdown"]


def test_state_that_changes_during_a_look(ready: KlippyBench) -> None:
    """A change that is reported while we look already leads to another look."""
    ready.wire.send({"method": "process_gcode_response", "params": {"response": "// Klipper state: Ready"}})
    look = ready.wire.take("info")
    ready.status("shutdown")
    ready.wire.send({"id": look["id"], "result": {"state": "ready"}})
    ready.run()
    assert ready.client.state == "shutdown"


def test_ready_again(ready: KlippyBench) -> None:
    """Klippy that becomes ready again is asked again for what it has."""
    ready.status("shutdown")
    ready.run()
    ready.endpoints.append("new/one")
    ready.objects.append("fan")
    ready.status("ready")
    ready.run()
    assert ready.names() == ["KlippyShutdown", "EndpointsLearned", "KlippyReady"]
    assert ready.client.endpoints is not None
    assert "new/one" in ready.client.endpoints
    assert "fan" in ready.client.objects


@pytest.mark.parametrize("state", ["error", "shutdown"])
def test_startup_that_fails(bench: KlippyBench, state: str) -> None:
    """A Klippy whose start ends otherwise than in ready has registered its endpoints by then, too."""
    bench.state = "startup"
    bench.start()
    bench.run()
    bench.endpoints.append("late/one")
    bench.state = state
    bench.pass_time(2 * STARTUP_POLL)
    assert bench.client.state == state
    assert bench.client.endpoints is not None
    assert "late/one" in bench.client.endpoints


def test_console(ready: KlippyBench) -> None:
    """What Klippy writes to its console is an event, as it is."""
    ready.wire.send({"method": "process_gcode_response", "params": {"response": "// a\n// b"}})
    assert ready.heard == [GcodeResponse("// a\n// b")]
    assert ready.wire.read() == []


def test_numbers_that_json_lacks(ready: KlippyBench) -> None:
    """Klippy's NaN and Infinity are no reason to ignore a message."""
    outcome = start(ready.client.request("x"))
    number = ready.wire.take("x")["id"]
    ready.wire.receive(b'{"id": %d, "result": {"a": NaN, "b": -Infinity, "c": 1}}\x03' % number)
    assert outcome.result()["c"] == 1


def test_text_that_is_no_unicode(ready: KlippyBench) -> None:
    """A file name that is no UTF-8, which Klippy writes as a lone surrogate, can be passed on to clients."""
    outcome = start(ready.client.request("x"))
    number = ready.wire.take("x")["id"]
    ready.wire.receive(b'{"id": %d, "result": {"name": "caf\\udce9.gcode"}}\x03' % number)
    assert msgspec.json.encode(outcome.result())
    ready.wire.receive(b'{"method":"process_gcode_response","params":{"response":"caf\\udce9"}}\x03')
    (event,) = ready.heard
    assert isinstance(event, GcodeResponse)
    assert event.encode()


def test_unknown_call(ready: KlippyBench) -> None:
    """A call that nobody registered is ignored."""
    ready.wire.send({"method": "surprise", "params": {}})
    ready.wire.send({"method": None})
    ready.wire.send({})
    assert ready.client.connected
    assert ready.faults.seen == []


def test_klippy_without_console(bench: KlippyBench) -> None:
    """A Klippy that refuses a step of the handshake is lived with; nothing is reported as our defect."""
    wire = bench.start()
    bench.step()
    bench.step()
    wire.refuse("gcode/subscribe_output", "no such thing")
    bench.run()
    assert not wire.transport.disconnecting
    assert bench.client.state == "ready"
    assert bench.faults.seen == []


def test_stop(ready: KlippyBench) -> None:
    """The service ends the connection and does not come back."""
    stopped = start(ready.client.service.stopService())
    assert ready.wire.transport.disconnecting
    ready.wire.lose()
    assert stopped.done
    ready.clock.advance(60)
    assert len(ready.endpoint.wires) == 1


def test_subscription_survives_the_clients_own(ready: KlippyBench) -> None:
    """Somebody's subscription and our own watch of the state are one at Klippy."""
    outcome = start(ready.client.status.subscribe(ready.client, Wish.of({"webhooks": ["state"]})))
    assert outcome.result().status == {"webhooks": {"state": "ready"}}
    subscribed: list[Any] = [name for name in ready.wire.history if name == "objects/subscribe"]
    assert subscribed == ["objects/subscribe"]


def test_request_is_awaitable(ready: KlippyBench) -> None:
    """A request can be awaited."""

    async def ask() -> dict[str, Any]:
        result: dict[str, Any] = await ready.client.request("x")
        return result

    outcome = start(ask())
    ready.wire.reply("x", {"a": 1})
    assert result_of(outcome.deferred) is None
    assert outcome.result() == {"a": 1}
