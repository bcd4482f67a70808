"""JSON-RPC 2.0: text to requests, outcomes to text.

Contract: the JSON-RPC 2.0 specification, with two rules of the clients in the field: a request whose id
is null counts as a notification, and params that are there but not an object are error -32602.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from txraker.errors import ApiError, InvalidParams, InvalidRequest, ParseError

RequestId = int | float | str | None


LONGEST_BATCH = 250
"""Calls that may be in one batch."""


class Request(msgspec.Struct, frozen=True):
    """A well-formed call. ``id`` is None for a notification, which gets no answer."""

    method: str
    params: Mapping[str, object]
    id: RequestId


class Malformed(msgspec.Struct, frozen=True):
    """Something that is no call, and why; it is always answered. ``id`` is the text's, if it had one."""

    error: ApiError
    id: RequestId = None


class Response(msgspec.Struct, frozen=True):
    """An answer to a request that we made. ``error`` is None when it succeeded."""

    id: object
    result: object
    error: object = None


Entry = Request | Response | Malformed


class Batch(msgspec.Struct, frozen=True):
    """Several calls in one text, answered by one array."""

    entries: tuple[Entry, ...]


def parse(text: bytes | str) -> Entry | Batch:
    """Read one message. Never raises: what is wrong with it is a :class:`Malformed`."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Malformed(ParseError("Parse error: the message is not JSON"))
    if not isinstance(message, list):
        return _entry(message)
    if not message:
        return Malformed(InvalidRequest("Invalid Request: an empty batch"))
    if len(message) > LONGEST_BATCH:
        return Malformed(InvalidRequest(f"Invalid Request: a batch of more than {LONGEST_BATCH}"))
    return Batch(tuple(_entry(entry) for entry in message))


def _entry(message: object) -> Entry:
    if not isinstance(message, dict):
        return Malformed(InvalidRequest("Invalid Request: not an object"))
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | float | str | None):
        return Malformed(InvalidRequest("Invalid Request: 'id' must be a number or a string"))
    if message.get("jsonrpc") != "2.0":
        return Malformed(InvalidRequest("Invalid Request: 'jsonrpc' must be \"2.0\""), request_id)
    if "method" not in message and ("result" in message or "error" in message):
        return Response(request_id, message.get("result"), message.get("error"))
    method = message.get("method")
    if not isinstance(method, str):
        return Malformed(InvalidRequest("Invalid Request: 'method' must be a string"), request_id)
    params = message.get("params", {})
    if not isinstance(params, dict):
        return Malformed(InvalidParams("Invalid params: 'params' must be an object"), request_id)
    return Request(method, params, request_id)


def encode_request(request_id: RequestId, method: str, params: object) -> bytes:
    """Return the text of a request of ours; ``params`` of None are left out."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "id": request_id}
    if params is not None:
        message["params"] = params
    return msgspec.json.encode(message)


def encode_result(request_id: RequestId, result: object) -> bytes:
    """Return the text of a successful answer."""
    return msgspec.json.encode({"jsonrpc": "2.0", "result": result, "id": request_id})


def encode_error(request_id: RequestId, error: ApiError) -> bytes:
    """Return the text of an answer that says what went wrong."""
    problem = {"code": error.jsonrpc_code, "message": str(error)}
    return msgspec.json.encode({"jsonrpc": "2.0", "error": problem, "id": request_id})


def encode_batch(answers: Sequence[bytes]) -> bytes:
    """Return the text of one array of answers."""
    return b"[" + b",".join(answers) + b"]"


def encode_notification(method: str, params: object) -> bytes:
    """Return the text of a notification; ``params`` of None are left out, as clients expect."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return msgspec.json.encode(message)
