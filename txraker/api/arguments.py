"""From what clients send to what an endpoint declares.

A parameter's type is compiled once, when its endpoint is declared, into a :class:`Parameter` that coerces
as leniently as the clients in the field need ("true" and "1" are booleans, "a,b" is a list, a number is
accepted where text is expected) and refuses everything else by naming the argument and the rule.
"""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from txraker.errors import BadRequest

_SECRET = re.compile(r"password|token|api_key")
"""Names of arguments that aren't quoted in errors."""

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Refused(ValueError):
    """A value that breaks its parameter's rule; the text completes "must be ..."."""


class Conversion(msgspec.Struct, frozen=True):
    """How a value of a type of our own is read: for ``Annotated[T, Conversion(...)]``.

    ``convert`` returns the value or raises :class:`Refused`; ``schema`` is its JSON Schema.
    """

    convert: Callable[[object], object]
    schema: Mapping[str, object]


class RestOfQuery(msgspec.Struct, frozen=True):
    """Marks a parameter that, absent by name, is made of all further arguments of an HTTP request.

    ``reserved`` are the names that are never part of it.
    """

    reserved: frozenset[str]


class Parameter(msgspec.Struct, frozen=True):
    """One declared parameter: its name, its rule and how a value is coerced to it.

    ``annotation`` is the declared type, from which the machine-readable description is made.
    """

    name: str
    annotation: object
    description: str
    convert: Callable[[object], object]
    required: bool
    nullable: bool
    default: object = None
    rest_of_query: RestOfQuery | None = None
    schema: Mapping[str, object] | None = None

    def read(self, arguments: Mapping[str, object]) -> object:
        """Return this parameter's value among the arguments, or raise :class:`BadRequest`."""
        value = arguments.get(self.name)
        if value is None:
            if self.name in arguments and self.nullable:
                return None
            if self.required:
                raise BadRequest(f"Missing argument '{self.name}'")
            return self.default
        try:
            return self.convert(value)
        except Refused as refused:
            raise BadRequest(
                f"Invalid argument '{self.name}': must be {refused}" + _instead(self.name, value)
            ) from None


def parameters_of(function: Callable[..., object], hints: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Compile the keyword-only parameters of an endpoint's handler."""
    return tuple(
        _parameter(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def read_arguments(
    parameters: Sequence[Parameter], arguments: Mapping[str, object], *, is_query: bool
) -> dict[str, object]:
    """Return the value of every parameter; arguments that nobody declared are ignored.

    ``is_query`` says that the arguments came from an HTTP request rather than from JSON-RPC params.
    Raises :class:`BadRequest` naming the argument and the rule.
    """
    values = {}
    for parameter in parameters:
        source = arguments
        rest = parameter.rest_of_query
        if rest is not None and is_query and parameter.name not in arguments:
            taken = rest.reserved.union(declared.name for declared in parameters)
            source = {parameter.name: {key: arguments[key] for key in arguments if key not in taken}}
        values[parameter.name] = parameter.read(source)
    return values


def parse_query(query: bytes) -> dict[str, object]:
    """Read a query string or an urlencoded form: the last of repeated keys wins, type hints are applied.

    A key may end in ``:int``, ``:float``, ``:bool``, ``:str`` or ``:json``.
    """
    try:
        pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise BadRequest("The query has more than 1000 fields") from None
    arguments: dict[str, object] = {}
    for key, text in pairs:
        name, separator, hint = key.rpartition(":")
        hinted = _HINTS.get(hint) if separator and name else None
        if hinted is None:
            arguments[key] = text
            continue
        try:
            arguments[name] = hinted(text)
        except Refused as refused:
            raise BadRequest(f"Invalid argument '{name}': must be {refused}" + _instead(name, text)) from None
    return arguments


def _instead(name: str, value: object) -> str:
    """Say what was given, unless that may be a secret."""
    return "" if _SECRET.search(name) else f", not {_shown(value)}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text[:60]


def _parameter(name: str, hint: object, default: object) -> Parameter:
    bare, metas, conversion, rest = _unwrap(hint)
    bare, nullable = _without_none(bare)
    if get_origin(bare) is Annotated:
        bare, inner, conversion, rest = _unwrap(bare)
        metas = metas + inner
    convert = conversion.convert if conversion is not None else _converter(bare, metas)
    required = default is inspect.Parameter.empty
    return Parameter(
        name=name,
        annotation=hint,
        description=next((meta.description for meta in metas if meta.description), ""),
        convert=convert,
        required=required,
        nullable=nullable,
        default=None if required else default,
        rest_of_query=rest,
        schema=conversion.schema if conversion is not None else None,
    )


def _unwrap(hint: object) -> tuple[Any, tuple[msgspec.Meta, ...], Conversion | None, RestOfQuery | None]:
    if get_origin(hint) is not Annotated:
        return hint, (), None, None
    bare, *extras = get_args(hint)
    metas = tuple(extra for extra in extras if isinstance(extra, msgspec.Meta))
    conversion = next((extra for extra in extras if isinstance(extra, Conversion)), None)
    rest = next((extra for extra in extras if isinstance(extra, RestOfQuery)), None)
    return bare, metas, conversion, rest


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    members = [member for member in get_args(hint) if member is not type(None)]
    if len(members) != 1:
        raise TypeError(f"{hint}: an endpoint's parameter has one type, or one type and None")
    return members[0], len(members) < len(get_args(hint))


def _converter(hint: Any, metas: tuple[msgspec.Meta, ...]) -> Callable[[object], object]:
    checks = [check for meta in metas for check in _checks(hint, meta)]
    convert = _plain_converter(hint)
    return _bounded(convert, checks) if checks else convert


def _plain_converter(hint: Any) -> Callable[[object], object]:
    if hint is Any or hint is object:
        return _anything
    if get_origin(hint) is Literal:
        return _choice(get_args(hint))
    if get_origin(hint) is list:
        return _list_of(_plain_converter(get_args(hint)[0]))
    plain = {str: _text, bool: _boolean, int: _integer, float: _number, dict: _object}
    try:
        return plain[get_origin(hint) or hint]
    except KeyError:
        raise TypeError(f"{hint} can't be the type of an endpoint's parameter") from None


def _anything(value: object) -> object:
    return value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Refused("text")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise Refused("true or false")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
        return int(value)
    raise Refused("an integer")


def _number(value: object) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise Refused("a number") from None
        if math.isfinite(number):
            return number
    raise Refused("a number")


def _json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise Refused("JSON") from None


def _object(value: object) -> dict[str, object]:
    try:
        value = _json(value)
    except Refused:
        value = None
    if isinstance(value, dict):
        return value
    raise Refused("an object")


def _list_of(item: Callable[[object], object]) -> Callable[[object], object]:
    def convert(value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list):
            raise Refused("a list")
        try:
            return [item(part) for part in value]
        except Refused as refused:
            raise Refused(f"a list in which each item is {refused}") from None

    return convert


def _choice(choices: tuple[object, ...]) -> Callable[[object], object]:
    by_text = {str(choice).lower(): choice for choice in choices}
    rule = "one of " + ", ".join(f"'{choice}'" for choice in choices)

    def convert(value: object) -> object:
        try:
            return by_text[_text(value).strip().lower()]
        except (Refused, KeyError):
            raise Refused(rule) from None

    return convert


_Check = tuple[Callable[[Any], bool], str]


def _bounded(plain: Callable[[object], object], checks: list[_Check]) -> Callable[[object], object]:
    def convert(value: object) -> object:
        converted = plain(value)
        for holds, rule in checks:
            if not holds(converted):
                raise Refused(rule)
        return converted

    return convert


def _checks(hint: object, meta: msgspec.Meta) -> list[_Check]:
    if any(getattr(meta, name) is not None for name in ("gt", "lt", "multiple_of", "pattern")):
        raise TypeError(f"{hint}: the bounds of a parameter are ge, le, min_length and max_length")
    checks: list[_Check] = []
    if (least := meta.ge) is not None:
        checks.append((lambda value: value >= least, f"at least {least}"))
    if (most := meta.le) is not None:
        checks.append((lambda value: value <= most, f"at most {most}"))
    if (shortest := meta.min_length) is not None:
        checks.append((lambda value: len(value) >= shortest, f"at least {shortest} long"))
    if (longest := meta.max_length) is not None:
        checks.append((lambda value: len(value) <= longest, f"at most {longest} long"))
    if checks and get_origin(hint) is Literal:
        raise TypeError(f"{hint}: a choice has no bounds")
    return checks


_HINTS: dict[str, Callable[[object], object]] = {
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "str": _text,
    "json": _json,
}
