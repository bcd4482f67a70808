"""How an endpoint is declared: once, beside its logic, for every transport.

The signature gives parameters, types, defaults and bounds; the return annotation gives the result's
schema; the docstring gives the documentation; the decorator gives name, verb, path, transports and
permission. Routes, validation and the machine-readable description are all made from that value.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property
from types import EllipsisType
from typing import Any, Concatenate, TypeVar, get_type_hints

import msgspec

from txraker.api.arguments import Parameter, parameters_of
from txraker.api.caller import Caller, Role, Transport

Handler = Callable[..., Awaitable[Any]]
_Method = TypeVar("_Method", bound=Callable[Concatenate[Any, Caller, ...], Awaitable[Any]])


class Verb(enum.Flag):
    """The HTTP verbs an endpoint answers."""

    GET = enum.auto()
    POST = enum.auto()
    DELETE = enum.auto()


GET, POST, DELETE = Verb.GET, Verb.POST, Verb.DELETE
_EVERY_WAY = Transport.ALL

NOT_HTTP = Verb(0)
"""For endpoints that have no HTTP form."""


class Signature:
    """What a handler takes and returns, read from its annotations when that is asked for the first time.

    To read all of them would be a thirtieth of what a start costs.
    """

    def __init__(self, method: Handler) -> None:
        self._method = method

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self._method, include_extras=True)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The keyword-only parameters. Raises TypeError for a type that no argument can have."""
        return parameters_of(self._method, self._hints)

    @property
    def result(self) -> Any:
        """The type of the result."""
        return self._hints.get("return", Any)


class Endpoint(msgspec.Struct, frozen=True):
    """One thing a client can ask for.

    ``name`` is the JSON-RPC method and ``path`` the HTTP path (empty when it has none). ``reads_only``
    says that a call changes nothing: it may be cancelled, repeated, and asked for with HEAD. What is
    ``urgent`` is done even for a client that has too much under way. ``role`` is the least a caller needs.
    Without a ``signature`` every argument is passed on as it came. ``audit`` names the arguments that are
    noted of a call in the audit log; with None calls aren't noted.
    """

    name: str
    verbs: Verb
    path: str
    transports: Transport
    role: Role
    reads_only: bool
    signature: Signature | None
    documentation: str
    handler: Handler
    urgent: bool = False
    audit: tuple[str, ...] | None = None

    def is_reached_by(self, transport: Transport) -> bool:
        """Say whether it can be asked for in this way."""
        return self.transports is _EVERY_WAY or transport in self.transports

    @property
    def parameters(self) -> tuple[Parameter, ...] | None:
        """What it takes; None for whatever comes. Raises TypeError when that isn't well declared."""
        return None if self.signature is None else self.signature.parameters

    @property
    def result(self) -> Any:
        """The type of what it returns."""
        return Any if self.signature is None else self.signature.result


def endpoint(
    name: str,
    verbs: Verb = NOT_HTTP,
    path: str = "",
    *,
    transports: Transport | None = None,
    role: Role | None = None,
    reads_only: bool | None = None,
    urgent: bool = False,
    audit: tuple[str, ...] | EllipsisType | None = ...,
) -> Callable[[_Method], _Method]:
    """Declare the decorated coroutine method an endpoint.

    Without a path it is there on JSON-RPC only, and by default on persistent connections only.
    ``reads_only`` is by default what the verb says: GET reads, everything else may change something.
    ``role`` is the least that a caller needs: by default a viewer may read, and an operator do the rest.
    ``audit`` names the arguments that the audit log may show, which are no secrets; by default calls that
    change something are noted without any.
    """
    if bool(verbs) is not bool(path):
        raise TypeError(f"{name}: an HTTP verb needs a path, and a path needs a verb")
    if transports is None:
        transports = Transport.ALL if path else Transport.PERSISTENT
    if reads_only is None:
        reads_only = verbs == GET
    if role is None:
        role = Role.VIEWER if reads_only else Role.OPERATOR
    noted = (None if reads_only else ()) if isinstance(audit, EllipsisType) else audit

    def declare(method: _Method) -> _Method:
        documentation = inspect.getdoc(method)
        if not documentation:
            raise TypeError(f"{name}: an endpoint is documented by its docstring")
        method.__endpoint__ = Endpoint(  # type: ignore[attr-defined]  # what endpoints_of() looks for
            name=name,
            verbs=verbs,
            path=path,
            transports=transports,
            role=role,
            reads_only=reads_only,
            signature=Signature(method),
            documentation=documentation,
            handler=method,
            urgent=urgent,
            audit=noted,
        )
        return method

    return declare


def declared_by(component: type) -> Iterator[Endpoint]:
    """Yield the endpoints that a class declares, unbound, in the order of their declaration."""
    for attribute in vars(component).values():
        declared = getattr(attribute, "__endpoint__", None)
        if isinstance(declared, Endpoint):
            yield declared


def endpoints_of(component: object) -> Iterator[Endpoint]:
    """Yield the endpoints that an object provides, bound to it and ready to call."""
    for declared in declared_by(type(component)):
        yield msgspec.structs.replace(declared, handler=getattr(component, declared.handler.__name__))
