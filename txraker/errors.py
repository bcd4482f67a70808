"""What can go wrong with a request, each kind stated once with its code on every transport.

An HTTP client sees ``http_status``; a JSON-RPC client sees ``jsonrpc_code``, which is the HTTP status
except where JSON-RPC 2.0 or the clients in the field expect another number.
"""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A request that failed in a way its client is told about.

    ``str(error)`` is the message on the wire.
    """

    http_status: ClassVar[int] = 400
    jsonrpc_code: ClassVar[int] = 400


class BadRequest(ApiError):
    """The client's fault: an argument is missing, ill-typed or refused."""


class KlippyError(BadRequest):
    """Klippy answered with an error; the message is Klippy's own."""


class Unauthorized(ApiError):
    """The caller has not shown that it may."""

    http_status = 401
    jsonrpc_code = -32602

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(ApiError):
    """Not for this caller, whoever it shows to be."""

    http_status = 403
    jsonrpc_code = 403


class NotFound(ApiError):
    """There is no such path, method or thing."""

    http_status = 404
    jsonrpc_code = -32601


class KeyNotFound(NotFound):
    """There is no such key, or no such namespace. Its words are part of the API: clients compare them."""

    def __init__(self, namespace: str, key: str) -> None:
        if key:
            super().__init__(f"Key '{key}' in namespace '{namespace}' not found")
        else:
            super().__init__(f"Namespace {namespace} not found")


class MethodNotAllowed(ApiError):
    """The path exists, but not with this HTTP verb.

    ``allowed`` are the verbs that the path answers, for the ``Allow`` header.
    """

    http_status = 405
    jsonrpc_code = 405

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class PayloadTooLarge(ApiError):
    """The request's body is over the limit."""

    http_status = 413
    jsonrpc_code = 413


class TooManyRequests(ApiError):
    """Somebody tries too often; the message says when to try again."""

    http_status = 429
    jsonrpc_code = 429


class HeadersTooLarge(ApiError):
    """The request's headers are over the limit."""

    http_status = 431
    jsonrpc_code = 431


class ChecksumMismatch(ApiError):
    """What came is not what was sent."""

    http_status = 422
    jsonrpc_code = 422


class InsufficientStorage(ApiError):
    """The disk is full, or would be."""

    http_status = 507
    jsonrpc_code = 507


class InternalError(ApiError):
    """A defect of ours. The message holds an incident id that the log explains, and nothing else."""

    http_status = 500
    jsonrpc_code = 500

    def __init__(self, incident: str) -> None:
        super().__init__(f"Internal server error, incident {incident}: see the log")
        self.incident = incident


class Unavailable(ApiError):
    """Not possible now; the same request may succeed later."""

    http_status = 503
    jsonrpc_code = 503


class KlippyNotConnected(Unavailable):
    """Klippy is not there, so it cannot be asked."""

    def __init__(self) -> None:
        super().__init__("Klippy Host not connected")


class KlippyDisconnected(Unavailable):
    """Klippy went away while the request was waiting for its answer."""

    def __init__(self) -> None:
        super().__init__("Klippy Disconnected")


class ParseError(ApiError):
    """The text is not JSON."""

    jsonrpc_code = -32700


class InvalidRequest(ApiError):
    """JSON, but not a JSON-RPC 2.0 request."""

    jsonrpc_code = -32600


class InvalidParams(ApiError):
    """``params`` is there and not an object."""

    jsonrpc_code = -32602


class ClientError(BadRequest):
    """A client that was asked answered with an error, whose message and code are passed on."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.jsonrpc_code = code  # type: ignore[misc]  # each has its own
