"""The one road that every request travels: find, permit, decode, await, encode."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import msgspec
from attrs import Factory, define

from txraker.api import jsonrpc
from txraker.api.arguments import read_arguments
from txraker.api.audit import AuditEntry, Outcome, audit_entry
from txraker.api.caller import NOBODY, Caller, Role, Transport, Who
from txraker.api.endpoint import Endpoint, Verb
from txraker.errors import (
    ApiError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    Unavailable,
)

_VERBS = {**{str(verb.name): verb for verb in Verb}, "HEAD": Verb.GET}


def permit(role: Role, caller: Caller, what: str) -> None:
    """Raise Unauthorized for a caller who isn't known, and Forbidden for one whose role isn't enough."""
    if caller.who.role < role:
        if not caller.is_known:
            raise Unauthorized
        raise Forbidden(f"{what} needs the role {role.name.lower()}")


@define(repr=False)
class Dispatcher:
    """All endpoints of one printer's server, and the road to them.

    ``report_fault`` is told of every exception that is no :class:`~txraker.errors.ApiError` and returns
    the incident id that the client may know. ``unknown`` says what is missing when neither a path nor a
    method of that name exists. ``cancelled`` is what a call raises that nobody waits for any more.
    ``is_current`` says whether somebody who was let in still would be: it is asked at each call. ``audit`` is
    told of calls that are to be noted.
    """

    _report_fault: Callable[[str, Exception], str]
    _unknown: Callable[[str], ApiError | None]
    _cancelled: type[BaseException]
    _is_current: Callable[[Who], bool] = Factory(lambda: lambda _: True)
    audit: Callable[[AuditEntry], None] = Factory(lambda: lambda _: None)
    _by_name: dict[str, Endpoint] = Factory(dict)
    _by_path: dict[str, list[Endpoint]] = Factory(dict)

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Make endpoints reachable.

        Raises ValueError, and adds none, when there would be two of one name, or of one verb and path.
        """
        by_name, by_path = dict(self._by_name), dict(self._by_path)
        for endpoint in endpoints:
            siblings = by_path.get(endpoint.path, [])
            if endpoint.name in by_name:
                raise ValueError(f"two endpoints are named {endpoint.name}")
            if any(endpoint.verbs & sibling.verbs for sibling in siblings):
                raise ValueError(f"two endpoints answer {endpoint.path}")
            by_name[endpoint.name] = endpoint
            if endpoint.path:
                by_path[endpoint.path] = [*siblings, endpoint]
        self._by_name, self._by_path = by_name, by_path

    def has(self, name: str) -> bool:
        """Say whether there is an endpoint of this name."""
        return name in self._by_name

    def remove(self, endpoints: Iterable[Endpoint]) -> None:
        """Make endpoints unreachable again."""
        for endpoint in endpoints:
            del self._by_name[endpoint.name]
            if endpoint.path:
                self._by_path[endpoint.path].remove(endpoint)
                if not self._by_path[endpoint.path]:
                    del self._by_path[endpoint.path]

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint, in the order of their addition."""
        return list(self._by_name.values())

    def verbs(self, path: str) -> tuple[str, ...]:
        """Return the HTTP verbs that a path answers; none when there is no such path."""
        verbs: list[str] = []
        for endpoint in self._by_path.get(path, ()):
            verbs += [str(verb.name) for verb in endpoint.verbs]
            if endpoint.reads_only and Verb.GET in endpoint.verbs:
                verbs.append("HEAD")
        return (*verbs, "OPTIONS") if verbs else ()

    def find_path(self, path: str, method: str) -> Endpoint:
        """Return the endpoint of an HTTP request line, or raise NotFound or MethodNotAllowed."""
        verb = _VERBS.get(method)
        for endpoint in self._by_path.get(path, ()):
            if verb is not None and verb in endpoint.verbs and (method != "HEAD" or endpoint.reads_only):
                return endpoint
        allowed = self.verbs(path)
        if allowed:
            raise MethodNotAllowed(f"Method {method} is not allowed here", allowed)
        raise self._unknown(path) or NotFound("Not Found")

    def find_method(self, name: str, transport: Transport) -> Endpoint:
        """Return the endpoint of a JSON-RPC method, or raise NotFound."""
        endpoint = self._by_name.get(name)
        if endpoint is None or not endpoint.is_reached_by(transport):
            raise self._unknown("/" + name.replace(".", "/")) or NotFound("Method not found")
        return endpoint

    def call(
        self, endpoint: Endpoint, caller: Caller, arguments: Mapping[str, object]
    ) -> Coroutine[Any, Any, object]:
        """Permit, decode and await one call.

        Raises :class:`ApiError`, whatever goes wrong: a defect of ours is reported and becomes an
        :class:`InternalError`.
        """
        caller = self._as_of_now(caller)
        if endpoint.audit is None:
            return self._run(endpoint, caller, arguments)
        shown = {name: arguments[name] for name in endpoint.audit if name in arguments}
        return self._run_noted(endpoint, caller, arguments, shown)

    async def _run_noted(
        self,
        endpoint: Endpoint,
        caller: Caller,
        arguments: Mapping[str, object],
        shown: Mapping[str, object],
    ) -> object:
        is_permitted = caller.who.role >= endpoint.role
        if is_permitted:
            self.audit(audit_entry("asked", endpoint.name, caller, shown))
        try:
            return await self._run(endpoint, caller, arguments)
        except ApiError as error:
            outcome: Outcome = "failed" if is_permitted else "refused"
            self.audit(audit_entry(outcome, endpoint.name, caller, shown, error.http_status))
            raise

    def _as_of_now(self, caller: Caller) -> Caller:
        """Return a caller as it is known at this moment."""
        if caller.connection is not None and caller.connection.who is not caller.who:
            caller = msgspec.structs.replace(caller, who=caller.connection.who)
        if caller.transport is not Transport.UNIX and not self._is_current(caller.who):
            caller = msgspec.structs.replace(caller, who=NOBODY)
        return caller

    async def _run(self, endpoint: Endpoint, caller: Caller, arguments: Mapping[str, object]) -> object:
        try:
            permit(endpoint.role, caller, endpoint.name)
            parameters = endpoint.parameters
            if parameters is None:
                return await endpoint.handler(caller, arguments)
            is_query = caller.transport is Transport.HTTP
            return await endpoint.handler(caller, **read_arguments(parameters, arguments, is_query=is_query))
        except (ApiError, self._cancelled):
            raise
        except Exception as fault:
            raise InternalError(self._report_fault(endpoint.name, fault)) from None

    def answer(
        self, text: bytes | str, caller: Caller, *, busy: bool = False
    ) -> Coroutine[Any, Any, bytes | None]:
        """Answer one JSON-RPC text; None when there is nothing to say (only notifications).

        A caller that is ``busy`` has asked as much as may be under way: just what is urgent is done.

        The calls of a batch are made one after the other, as clients expect who move files by them.
        """
        message = jsonrpc.parse(text)
        if isinstance(message, jsonrpc.Batch):
            return self._answer_batch(message, caller, busy=busy)
        return self._answer_entry(message, caller, busy=busy)

    async def _answer_batch(self, message: jsonrpc.Batch, caller: Caller, *, busy: bool) -> bytes | None:
        answers = []
        for entry in message.entries:
            if caller.connection is not None and not caller.connection.is_open:
                break
            answers.append(await self._answer_entry(entry, caller, busy=busy))
        said = [answer for answer in answers if answer is not None]
        return jsonrpc.encode_batch(said) if said else None

    async def _answer_entry(self, entry: jsonrpc.Entry, caller: Caller, *, busy: bool) -> bytes | None:
        if isinstance(entry, jsonrpc.Malformed):
            return jsonrpc.encode_error(entry.id, entry.error)
        if isinstance(entry, jsonrpc.Response):
            if caller.connection is not None:
                caller.connection.answered(entry)
            return None
        try:
            endpoint = self.find_method(entry.method, caller.transport)
            if busy and not endpoint.urgent:
                raise Unavailable("Too many requests are under way on this connection")
            result = await self.call(endpoint, caller, entry.params)
        except ApiError as error:
            told = Unauthorized() if isinstance(error, NotFound) and not caller.is_known else error
            return None if entry.id is None else jsonrpc.encode_error(entry.id, told)
        if entry.id is None:
            return None
        try:
            return jsonrpc.encode_result(entry.id, result)
        except Exception as fault:
            incident = self._report_fault(entry.method, fault)
            return jsonrpc.encode_error(entry.id, InternalError(incident))
