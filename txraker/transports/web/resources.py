"""The API over HTTP: request lines to endpoints, outcomes to responses; and JSON-RPC in a POST body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from attrs import define
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txraker import __version__
from txraker.access import Access, client_addresses
from txraker.api.arguments import parse_query
from txraker.api.audit import audit_entry
from txraker.api.caller import NOBODY, TRUSTED, Caller, Transport
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import Endpoint
from txraker.authorization.gate import Gate, Shown
from txraker.coroutines import begin
from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
)
from txraker.faults import FaultReport
from txraker.transports.web.cors import (
    add_cors_headers,
    header,
    header_values,
    is_foreign,
    is_of_unknown_page,
)
from txraker.transports.web.request import JSON, LimitedRequest, error_body

_FORM = "application/x-www-form-urlencoded"

_ON_EVERY_ANSWER = (
    (b"Server", b"txraker/" + __version__.encode()),
    # An answer is data: not to be shown as a page, put into one, kept, or told of (a URL may hold a token).
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cache-Control", b"no-store"),
)


@define(eq=False, repr=False)
class Door:
    """What every resource needs to let a request in: who may, the road, and where defects are reported."""

    dispatcher: Dispatcher
    gate: Gate
    report_fault: FaultReport

    @property
    def access(self) -> Access:
        """Which addresses and web pages are let in."""
        return self.gate.access

    def caller(self, request: Request, transport: Transport) -> Caller:
        """Return who is asking. Raises Forbidden for a page that has our address under a name of its own.

        A request is looked at once: a oneshot token is good for no second look.
        """
        limited: LimitedRequest = request  # type: ignore[assignment]  # our site makes no others
        if limited.caller is None:
            limited.caller = self._look_at(request, transport)
        known = limited.caller
        return known if known.transport is transport else msgspec.structs.replace(known, transport=transport)

    def _look_at(self, request: Request, transport: Transport) -> Caller:
        address, *others = addresses = self._addresses(request)
        who = self.gate.who_shows(_shown(request), addresses)
        otherwise = who if who is TRUSTED else self.gate.who_comes_from(addresses)
        host = header(request, "Host")
        if host is not None and not self.access.allows_host(host):
            if who is TRUSTED:
                raise Forbidden(f"'{host[:100]}' is no name of this server: list it in cors_domains if it is")
            otherwise = NOBODY
        return Caller(transport, address, who, None, tuple(others), otherwise)

    def note_refusal(self, request: Request, error: ApiError) -> None:
        """Note in the audit log that a request was refused before it got as far as an endpoint."""
        limited: LimitedRequest = request  # type: ignore[assignment]  # our site makes no others
        stranger = Caller(Transport.HTTP, self._addresses(request)[0], NOBODY)
        call = f"{request.method.decode('latin-1')} {request.path.decode('latin-1')}"
        refusal = audit_entry("refused", call, limited.caller or stranger, status=error.http_status)
        self.dispatcher.audit(refusal)

    def trusts(self, request: Request) -> bool:
        """Say whether the sender of a request seems to be known, before its body is there."""
        try:
            return self.gate.who_seems(_shown(request), self._addresses(request)) is not NOBODY
        except ApiError:
            return False

    def _addresses(self, request: Request) -> tuple[str, ...]:
        return client_addresses(
            getattr(request.getClientAddress(), "host", ""),
            header_values(request, "X-Forwarded-For"),
            header_values(request, "X-Real-IP"),
            self.access.proxies,
        )


def _shown(request: Request) -> Shown:
    """Return what a request shows of who makes it. Contract: Moonraker's authorization API."""
    asked = request.uri.partition(b"?")[2]
    query = parse_query(asked) if asked else {}
    kind, _, bearer = (header(request, "Authorization") or "").strip().partition(" ")
    if kind.lower() != "bearer":
        bearer = header(request, "X-Access-Token") or str(query.get("access_token", ""))
    key = (header(request, "X-Api-Key") or "").strip()
    return Shown(bearer.strip() or None, key or None, str(query.get("token", "")) or None)


@define(eq=False, repr=False)
class Leaf:
    """A resource at the end of its branch, answering in JSON whatever happens."""

    door: Door
    isLeaf = True

    def getChildWithDefault(self, _name: bytes, _request: Request) -> IResource:
        """Be the resource of every path below."""
        return self  # type: ignore[return-value]  # its subclasses provide IResource

    def putChild(self, _path: bytes, _child: IResource) -> None:
        """Refuse: a leaf has no children."""
        raise TypeError("a leaf has no children")

    def render(self, request: Request) -> int:
        add_general_headers(request)
        try:
            add_cors_headers(request, self.door.access)
            self.respond(request)
        except ApiError as error:
            if isinstance(error, Forbidden):
                self.door.note_refusal(request, error)
            write_error(request, error)
        except Exception as fault:
            write_error(request, InternalError(self.door.report_fault("an HTTP request", fault)))
        return NOT_DONE_YET

    def respond(self, request: Request) -> None:
        """Write a response, now or later; an ApiError raised here becomes one."""
        raise NotFound("Not Found")

    def refuse_foreign(self, request: Request) -> None:
        """Raise Forbidden when the request comes from a web page that is neither ours nor allowed."""
        if is_foreign(request, self.door.access):
            raise Forbidden("Cross origin requests not allowed")

    def write_outcome(
        self, request: Request, work: Awaitable[Any], write: Callable[[Request, Any], None], *, cancel: bool
    ) -> None:
        """Write what an awaitable comes to; a client that hangs up cancels it if ``cancel`` says so."""

        async def outcome() -> None:
            try:
                result = await work
                if not gone:
                    write(request, result)
            except ApiError as error:
                if not gone:
                    write_error(request, error)
            except CancelledError:
                pass
            except Exception as fault:
                incident = self.door.report_fault("an HTTP response", fault)
                if not gone:
                    write_error(request, InternalError(incident))

        gone: list[Failure] = []
        working = begin(outcome())
        if working.called:
            return

        def hang_up(failure: Failure) -> None:
            gone.append(failure)
            if cancel:
                working.cancel()

        request.notifyFinish().addErrback(hang_up)


@implementer(IResource)
class Nothing(Leaf):
    """What is outside the route prefix: not there."""


@implementer(IResource)
@define(eq=False, repr=False)
class ApiResource(Leaf):
    """Every path of the API below a prefix: declared endpoints, and those Klippy has at run time."""

    prefix: str = ""

    def respond(self, request: Request) -> None:
        path = request.path.decode("latin-1").removeprefix(self.prefix)
        method = request.method.decode("latin-1")
        if method == "OPTIONS":
            self._say_options(request, path)
            return
        caller = self.door.caller(request, Transport.HTTP)
        endpoint = self._find(caller, path, method)
        if not endpoint.reads_only:
            self.refuse_foreign(request)
            if caller.who is TRUSTED and is_of_unknown_page(request, self.door.access):
                raise Forbidden("A browser must do this by POST, or from a page of this machine")
        call = self.door.dispatcher.call(endpoint, caller, _arguments(request))
        self.write_outcome(request, call, write_result, cancel=endpoint.reads_only)

    def _find(self, caller: Caller, path: str, method: str) -> Endpoint:
        try:
            return self.door.dispatcher.find_path(path, method)
        except ApiError:
            if not caller.is_known:
                raise Unauthorized from None
            raise

    def _say_options(self, request: Request, path: str) -> None:
        verbs = self.door.dispatcher.verbs(path)
        if not verbs:
            raise NotFound("Not Found")
        request.setHeader(b"Allow", ", ".join(verbs).encode())
        request.setResponseCode(204)
        request.finish()


@implementer(IResource)
class JsonRpcResource(Leaf):
    """``POST /server/jsonrpc``: the body is a JSON-RPC text, and so is the answer, errors included."""

    def respond(self, request: Request) -> None:
        if request.method == b"OPTIONS":
            request.setHeader(b"Allow", b"POST, OPTIONS")
            request.setResponseCode(204)
            request.finish()
            return
        if request.method != b"POST":
            raise MethodNotAllowed("JSON-RPC is asked by POST", ("POST", "OPTIONS"))
        self.refuse_foreign(request)
        caller = self.door.caller(request, Transport.JSONRPC_HTTP)
        answer = self.door.dispatcher.answer(_body(request), caller)
        self.write_outcome(request, answer, _write_answer, cancel=False)


def add_general_headers(request: Request) -> None:
    """Set the headers that every answer has, unless its resource knows better."""
    for name, value in _ON_EVERY_ANSWER:
        request.setHeader(name, value)


def write_result(request: Request, result: object) -> None:
    """Write a successful answer."""
    write_json(request, 200, b'{"result":' + msgspec.json.encode(result) + b"}")


def write_error(request: Request, error: ApiError) -> None:
    """Write what went wrong."""
    if isinstance(error, MethodNotAllowed):
        request.setHeader(b"Allow", ", ".join(error.allowed).encode())
    write_json(request, error.http_status, error_body(error))


def _write_answer(request: Request, answer: bytes | None) -> None:
    if answer is None:
        request.setResponseCode(204)
        request.finish()
    else:
        write_json(request, 200, answer)


def write_json(request: Request, status: int, body: bytes) -> None:
    """Write an answer in JSON."""
    request.setResponseCode(status, HTTPStatus(status).phrase.encode())
    request.setHeader(b"Content-Type", JSON)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(body)
    request.finish()


def _body(request: Request) -> bytes:
    content = request.content
    return content.read() if content is not None else b""


def _arguments(request: Request) -> dict[str, object]:
    _, _, query = request.uri.partition(b"?")
    arguments = parse_query(query) if query else {}
    body = _body(request)
    if body:
        arguments.update(_body_arguments(header(request, "Content-Type") or "", body))
    return arguments


def _body_arguments(content_type: str, body: bytes) -> dict[str, object]:
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind == _FORM:
        return parse_query(body)
    if kind and kind != "application/json":
        return {}
    try:
        arguments = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        if not kind or not body.strip():
            return {}
        raise BadRequest("The request's body is not JSON, as its Content-Type says") from None
    if not isinstance(arguments, dict):
        raise BadRequest("The request's body must be a JSON object")
    return arguments
