"""Agents: programs that extend the server, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import Connect
from tests.integration.process import ask, configure, free_port, post, trusting, twistd
from tests.integration.websocket import WebSocket


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a virtual printer for all tests of this module."""
    folder = tmp_path_factory.mktemp("agents")
    chosen = free_port()
    configure(folder / "data", trusting(chosen))
    with twistd(folder, "-d", str(folder / "data"), "--simulate") as process:
        process.wait_for(chosen, "ready")
        yield chosen


def identify(client: WebSocket, name: str, kind: str = "agent") -> dict[str, Any]:
    """Let a client say who it is; the whole answer."""
    said = {"client_name": name, "version": "0.1", "type": kind, "url": "http://test"}
    return client.call("server.connection.identify", **said)


def agent(connect: Connect, port: int, name: str) -> WebSocket:
    """Connect an agent."""
    client = connect(port)
    assert "result" in identify(client, name)
    return client


def ask_agent(client: WebSocket, name: str, method: str, **more: object) -> None:
    """Ask an agent without waiting for the answer, which will have the id 99."""
    params = {"agent": name, "method": method, **more}
    request = {"jsonrpc": "2.0", "method": "server.extensions.request", "params": params, "id": 99}
    client.send(json.dumps(request))


def answer_of(client: WebSocket, number: int = 99) -> dict[str, Any]:
    """Return the answer with an id, past notifications."""
    while True:
        message: dict[str, Any] = client.receive()
        if message.get("id") == number:
            return message


def asked(client: WebSocket) -> dict[str, Any]:
    """Return the next request that an agent gets, past notifications."""
    while True:
        message: dict[str, Any] = client.receive()
        if "id" in message:
            return message


def test_coming_and_going(port: int, connect: Connect) -> None:
    """Agents are listed while they are connected, and everybody but they hears of it."""
    watcher = connect(port)
    watcher.call("server.info")
    moontest = agent(connect, port, "moontest")
    assert watcher.wait_for("notify_agent_event")["params"] == [
        {
            "agent": "moontest",
            "event": "connected",
            "data": {"name": "moontest", "version": "0.1", "type": "agent", "url": "http://test"},
        }
    ]
    listed = ask(port, "/server/extensions/list").json["result"]
    assert listed == {
        "agents": [{"name": "moontest", "version": "0.1", "type": "agent", "url": "http://test"}]
    }
    assert watcher.call("server.extensions.list")["result"] == listed
    moontest.call("server.info")
    assert [one for one in moontest.notifications if one["method"] == "notify_agent_event"] == []
    moontest.close()
    assert watcher.wait_for("notify_agent_event")["params"] == [
        {"agent": "moontest", "event": "disconnected"}
    ]
    assert watcher.call("server.extensions.list")["result"] == {"agents": []}


def test_one_agent_of_a_name(port: int, connect: Connect) -> None:
    """A name is one agent's at a time; whoever is refused may take another."""
    first, second, web = agent(connect, port, "one"), connect(port), connect(port)
    refused = identify(second, "one")
    assert refused["error"]["code"] == 400
    assert "result" in identify(second, "two")
    assert "result" in identify(web, "one", "web")
    names = [one["name"] for one in web.call("server.extensions.list")["result"]["agents"]]
    assert sorted(names) == ["one", "two"]
    first.close()
    while web.wait_for("notify_agent_event")["params"][0]["event"] != "disconnected":
        pass
    assert "result" in identify(connect(port), "one")


@pytest.mark.parametrize("data", [0, 5, "text", [1], {"a": {"b": None}}])
def test_events(port: int, connect: Connect, data: object) -> None:
    """An agent's event reaches everybody else as it was sent."""
    watcher = connect(port)
    watcher.call("server.info")
    sender = agent(connect, port, "sender")
    watcher.wait_for("notify_agent_event")
    assert sender.call("connection.send_event", event="my_event", data=data)["result"] == "ok"
    heard = watcher.wait_for("notify_agent_event")["params"][0]
    assert heard == {"agent": "sender", "event": "my_event", "data": data}
    sender.call("server.info")
    assert [one for one in sender.notifications if one["method"] == "notify_agent_event"] == []


def test_event_without_data(port: int, connect: Connect) -> None:
    """An event without data has none, and null is none."""
    watcher = connect(port)
    watcher.call("server.info")
    sender = agent(connect, port, "sender")
    watcher.wait_for("notify_agent_event")
    for more in ({}, {"data": None}):
        sender.call("connection.send_event", event="bare", **more)
        assert watcher.wait_for("notify_agent_event")["params"] == [{"agent": "sender", "event": "bare"}]


def test_refusals(port: int, connect: Connect) -> None:
    """What agents only may do is refused to others in the words that clients know."""
    web, unknown, known = connect(port), connect(port), agent(connect, port, "known")
    identify(web, "web", "web")
    for client in (web, unknown):
        for method, arguments, words in (
            (
                "connection.send_event",
                {"event": "x"},
                "Only connections of the 'agent' type can send events",
            ),
            (
                "connection.register_remote_method",
                {"method_name": "x"},
                "Only connections of the 'agent' type can register methods",
            ),
        ):
            error = client.call(method, **arguments)["error"]
            assert error == {"code": 400, "message": words}
    for event in ("connected", "disconnected"):
        error = known.call("connection.send_event", event=event)["error"]
        assert error == {"code": 400, "message": f"Event '{event}' is reserved"}
    assert known.call("connection.send_event")["error"]["code"] == 400
    ask_agent(known, "nobody", "x")
    error = answer_of(known)["error"]
    assert error["code"] == 400
    assert "nobody" in error["message"]
    assert ask(port, "/connection/send_event", "POST").status == 404


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        ({}, {}),
        ({"arguments": [1, "a"]}, {"params": [1, "a"]}),
        ({"arguments": {"k": 1}}, {"params": {"k": 1}}),
    ],
)
def test_request(port: int, connect: Connect, arguments: dict[str, Any], params: dict[str, Any]) -> None:
    """A request reaches the agent with its arguments, and the agent's result is the answer."""
    helper, client = agent(connect, port, "helper"), connect(port)
    ask_agent(client, "helper", "moontest.hello", **arguments)
    request = asked(helper)
    assert request == {"jsonrpc": "2.0", "method": "moontest.hello", "id": request["id"], **params}
    helper.send(json.dumps({"jsonrpc": "2.0", "result": {"a": [1]}, "id": request["id"]}))
    assert answer_of(client) == {"jsonrpc": "2.0", "result": {"a": [1]}, "id": 99}


def test_error(port: int, connect: Connect) -> None:
    """The agent's own error is the answer, with its code."""
    helper, client = agent(connect, port, "helper"), connect(port)
    ask_agent(client, "helper", "nosuch")
    error = {"code": -32601, "message": "No such method here"}
    helper.send(json.dumps({"jsonrpc": "2.0", "error": error, "id": asked(helper)["id"]}))
    assert answer_of(client)["error"] == error


def test_agent_that_goes(port: int, connect: Connect) -> None:
    """Who waits for an agent that goes is told so at once, and the agent may come back."""
    helper, client = agent(connect, port, "helper"), connect(port)
    ask_agent(client, "helper", "slow")
    asked(helper)
    helper.close()
    assert answer_of(client)["error"]["code"] == 503
    again = agent(connect, port, "helper")
    ask_agent(client, "helper", "x")
    again.send(json.dumps({"jsonrpc": "2.0", "result": None, "id": asked(again)["id"]}))
    assert answer_of(client)["result"] is None


def test_request_over_http(port: int, connect: Connect) -> None:
    """Over HTTP an agent that isn't there is an error of its request."""
    reply = post(port, "/server/extensions/request", {"agent": "nobody", "method": "x"})
    assert reply.status == 400
    assert "nobody" in reply.json["error"]["message"]


def wait_for_call(client: WebSocket, method: str) -> Any:
    """Return the params of the next call of an agent's method."""
    return client.wait_for(method).get("params")


def test_remote_method(port: int, connect: Connect) -> None:
    """A macro calls an agent's method with its arguments; after Klippy has come again, too."""
    callee, client = agent(connect, port, "callee"), connect(port)
    assert callee.call("connection.register_remote_method", method_name="ring")["result"] == "ok"
    script = "CALL_REMOTE_METHOD NAME=ring TONE=high"
    assert client.call("printer.gcode.script", script=script)["result"] == "ok"
    first = wait_for_call(callee, "ring")
    assert {key.lower() for key in first} == {"tone"}
    assert "high" in first.values()

    client.call("printer.firmware_restart")
    client.wait_for("notify_klippy_ready")
    for _ in range(50):
        if "result" in client.call("printer.gcode.script", script=script):
            break
    assert wait_for_call(callee, "ring") == first


def test_remote_method_of_somebody_else(port: int, connect: Connect) -> None:
    """A method's name is taken while its agent is connected, and free when it has gone."""
    first, second = agent(connect, port, "first"), agent(connect, port, "second")
    watcher = connect(port)
    watcher.call("server.info")
    assert first.call("connection.register_remote_method", method_name="shared")["result"] == "ok"
    error = second.call("connection.register_remote_method", method_name="shared")["error"]
    assert (error["code"], "shared" in error["message"]) == (400, True)
    first.close()
    watcher.wait_for("notify_agent_event")
    assert second.call("connection.register_remote_method", method_name="shared")["result"] == "ok"
    watcher.call("printer.gcode.script", script="CALL_REMOTE_METHOD NAME=shared A=1")
    assert wait_for_call(second, "shared")
