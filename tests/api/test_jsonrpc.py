"""JSON-RPC 2.0 as the standard and the clients in the field have it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools import json_values
from txraker.api import jsonrpc
from txraker.api.jsonrpc import LONGEST_BATCH, Batch, Malformed, Request, Response, parse
from txraker.errors import (
    ApiError,
    BadRequest,
    InternalError,
    KlippyNotConnected,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
)


def parsed(message: object) -> Request | Response | Malformed | Batch:
    """Parse a message that is JSON."""
    return parse(msgspec.json.encode(message))


def call(**changes: object) -> dict[str, object]:
    """Make a call, changed; None leaves a key in."""
    return {"jsonrpc": "2.0", "method": "server.info", "id": 1} | changes


@given(st.binary() | st.text() | json_values().map(msgspec.json.encode))
def test_never_raises(text: bytes | str) -> None:
    """Any text is a call, a batch of them, or something that is answered by an error."""
    message = parse(text)
    for entry in message.entries if isinstance(message, Batch) else [message]:
        assert isinstance(entry, Request | Response | Malformed)
        assert entry.id is None or isinstance(entry.id, int | float | str)
        assert jsonrpc.encode_result(entry.id, None)
    assert parse(text) == message or not isinstance(message, Request)


@given(json_values(), json_values(), json_values(), json_values())
def test_any_members(version: object, method: object, params: object, number: object) -> None:
    """A call is well-formed just when each of its members is."""
    message = parsed({"jsonrpc": version, "method": method, "params": params, "id": number})
    good_id = number is None or (isinstance(number, int | float | str) and not isinstance(number, bool))
    good = version == "2.0" and isinstance(method, str) and isinstance(params, dict) and good_id
    assert isinstance(message, Request) is good


@pytest.mark.parametrize("number", [0, -1, 1, 2**53, 2**64 - 1, -(2**63), 10**30, 1.5, "", "a", "0", "ü"])
def test_ids(number: int | float | str) -> None:
    """Ids may be any number or text, and come back as they were."""
    message = parsed(call(id=number))
    assert isinstance(message, Request)
    assert message.id == number
    assert msgspec.json.decode(jsonrpc.encode_result(message.id, "ok"))["id"] == number


@pytest.mark.parametrize("message", [{"jsonrpc": "2.0", "method": "x"}, call(id=None)])
def test_notifications(message: dict[str, object]) -> None:
    """Without an id, or with null for it, a call is a notification."""
    result = parsed(message)
    assert isinstance(result, Request)
    assert result.id is None


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("", -32700, None),
        ("{", -32700, None),
        (b"\xff\xfe", -32700, None),
        ("[" * 100_000, -32700, None),
        ("hello", -32700, None),
        ('{"a": "\ud800"}', -32700, None),
        ("5", -32600, None),
        ("null", -32600, None),
        ("[]", -32600, None),
        ("{}", -32600, None),
        ('"text"', -32600, None),
        (call(id=True), -32600, None),
        (call(id=[1]), -32600, None),
        (call(id={}), -32600, None),
        (call(jsonrpc="1.0"), -32600, 1),
        (call(jsonrpc=2.0), -32600, 1),
        ({"method": "x", "id": 3}, -32600, 3),
        ({"jsonrpc": "2.0", "id": 3}, -32600, 3),
        (call(method=5), -32600, 1),
        (call(method=None), -32600, 1),
        (call(params=[]), -32602, 1),
        (call(params=None), -32602, 1),
        (call(params="x"), -32602, 1),
        (call(params=False, id="a"), -32602, "a"),
    ],
)
def test_malformed(text: bytes | str | dict[str, object], code: int, number: object) -> None:
    """What is no call is answered with the standard's code and the id that it had."""
    message = parse(text) if isinstance(text, bytes | str) else parsed(text)
    assert isinstance(message, Malformed)
    assert (message.error.jsonrpc_code, message.id) == (code, number)


def test_params() -> None:
    """Params are an object, or absent and then empty."""
    absent, given_ = parsed(call()), parsed(call(params={"a": [1]}))
    assert isinstance(absent, Request)
    assert isinstance(given_, Request)
    assert (absent.params, given_.params) == ({}, {"a": [1]})


def test_batch() -> None:
    """A batch is a list of calls, each good or bad by itself; a batch in a batch is bad."""
    message = parsed([call(), 5, call(id=None), [call()]])
    assert isinstance(message, Batch)
    assert [type(entry) for entry in message.entries] == [Request, Malformed, Request, Malformed]


def test_long_batch() -> None:
    """A batch has a bound, and one over it is refused as a whole."""
    longest = parsed([call()] * LONGEST_BATCH)
    assert isinstance(longest, Batch)
    assert len(longest.entries) == LONGEST_BATCH
    longer = parsed([call()] * (LONGEST_BATCH + 1))
    assert isinstance(longer, Malformed)
    assert (longer.error.jsonrpc_code, longer.id) == (-32600, None)


@pytest.mark.parametrize(
    ("members", "response"),
    [
        ({"id": 5, "result": {"a": 1}}, Response(5, {"a": 1})),
        ({"id": 5, "result": None}, Response(5, None)),
        ({"id": "x", "error": {"code": 1}}, Response("x", None, {"code": 1})),
        ({"error": "why"}, Response(None, None, "why")),
    ],
)
def test_responses(members: dict[str, object], response: Response) -> None:
    """What has a result or an error and no method is an answer to a request of ours."""
    assert parsed({"jsonrpc": "2.0", **members}) == response
    batch = parsed([{"jsonrpc": "2.0", **members}])
    assert isinstance(batch, Batch)
    assert batch.entries == (response,)


def test_a_call_with_a_result() -> None:
    """What has a method is a call, whatever else it has."""
    assert isinstance(parsed(call(result=1, error=2)), Request)


def test_encode_request() -> None:
    """A request of ours has the members of the standard; params of None are left out."""
    plain = {"jsonrpc": "2.0", "method": "x", "id": 1}
    assert decoded(jsonrpc.encode_request(1, "x", None)) == plain
    assert decoded(jsonrpc.encode_request(1, "x", {})) == {**plain, "params": {}}
    assert decoded(jsonrpc.encode_request(1, "x", [1])) == {**plain, "params": [1]}


def test_unknown_members_are_ignored() -> None:
    """Members that JSON-RPC doesn't know are left aside."""
    assert isinstance(parsed(call(extra=1)), Request)


def decoded(text: bytes) -> dict[str, Any]:
    """Read an answer."""
    message: dict[str, Any] = msgspec.json.decode(text)
    return message


def test_encode() -> None:
    """Answers and notifications have just the members of the standard."""
    assert decoded(jsonrpc.encode_result(0, {"a": 1})) == {"jsonrpc": "2.0", "result": {"a": 1}, "id": 0}
    assert decoded(jsonrpc.encode_error("x", NotFound("Method not found"))) == {
        "jsonrpc": "2.0",
        "error": {"code": -32601, "message": "Method not found"},
        "id": "x",
    }
    assert decoded(jsonrpc.encode_notification("notify_x", [1, "a"])) == {
        "jsonrpc": "2.0",
        "method": "notify_x",
        "params": [1, "a"],
    }
    assert decoded(jsonrpc.encode_notification("notify_x", None)) == {"jsonrpc": "2.0", "method": "notify_x"}
    assert msgspec.json.decode(jsonrpc.encode_batch([b"1", b"2"])) == [1, 2]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BadRequest("x"), 400, 400),
        (Unauthorized(), -32602, 401),
        (NotFound("x"), -32601, 404),
        (MethodNotAllowed("x", ("GET",)), 405, 405),
        (PayloadTooLarge("x"), 413, 413),
        (InternalError("abc"), 500, 500),
        (KlippyNotConnected(), 503, 503),
    ],
)
def test_codes(error: ApiError, code: int, status: int) -> None:
    """The code is the HTTP status, save for those that clients know by JSON-RPC's numbers."""
    assert decoded(jsonrpc.encode_error(1, error))["error"]["code"] == code
    assert error.http_status == status
