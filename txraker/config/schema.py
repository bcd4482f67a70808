"""Typed options: a section is declared as a struct, and its text is read into an instance of it.

```python
class WebcamOptions(msgspec.Struct, frozen=True, kw_only=True):
    stream_url: str
    target_fps: Annotated[int, msgspec.Meta(ge=1)] = 15
    rotation: Literal["0", "90", "180", "270"] = "0"
    password: Annotated[str | None, Option(template=True, secret=True)] = None
```

A field is a `bool`, `int`, `float`, `str`, `Path`, `list[str]` or a `Literal` of strings, or one of them `|
None`. Its name is the option's name; without a default the option must be given. An option left empty is
`None` where that is allowed.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from txraker.config.errors import ConfigError
from txraker.config.masking import MASK, masked
from txraker.config.parse import ParsedOption

SchemaT = TypeVar("SchemaT", bound=msgspec.Struct)

Reportable = bool | int | float | str | list[str] | None
"""An option's value as `server.config` reports it."""

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_BOUNDS: Final = (("ge", "at least"), ("gt", "greater than"), ("le", "at most"), ("lt", "less than"))


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What a field's type can't say about an option; used as `Annotated[str, Option(template=True)]`.

    `clean` gets the text after templates are expanded, and returns it in its normal form; it raises
    ValueError with the rule the text breaks ("must ..."). It is for options that are text.
    """

    template: bool = False
    """References to `{data_path}` and `{secrets...}` are replaced."""
    secret: bool = False
    """The value is shown as `****`, even if nothing in its name says that it should be."""
    commas: bool = False
    """A list separated by commas as well as by line ends."""
    unsupported_yet: bool = False
    """Accepted and reported, without effect in txraker so far."""
    reported_default: Reportable = None
    """What `server.config` shows when the option isn't set, where that differs from the field's default."""
    clean: Callable[[str], str] | None = None


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The schema of a section without options."""


class Reading(msgspec.Struct, Generic[SchemaT], frozen=True):
    """A section as read: the typed options, their values as reported, and their names by property.

    `declared` are all options of the schema, `secret` those that are always masked, `unsupported` those that
    are set but have no effect yet.
    """

    options: SchemaT
    reported: dict[str, Reportable]
    declared: frozenset[str]
    secret: frozenset[str]
    unsupported: frozenset[str]


class _Field(msgspec.Struct, frozen=True):
    name: str
    kind: Any
    optional: bool
    bounds: msgspec.Meta | None
    option: Option
    required: bool


def read(
    schema: type[SchemaT],
    options: Mapping[str, ParsedOption],
    *,
    section: str,
    file: str | None,
    expand: Callable[[ParsedOption, str], str],
) -> Reading[SchemaT]:
    """Read the options of `section` into an instance of `schema`; options it doesn't declare are ignored.

    `expand(option, section)` replaces template references. Raises ConfigError naming file, section, option,
    value and rule; `file` is named where an option is missing.
    """
    fields = _fields(schema)
    values: dict[str, object] = {}
    for field in fields:
        if field.name in options:
            values[field.name] = _value(field, options[field.name], section, expand)
        elif field.required:
            raise ConfigError("must be given", file=file, section=section, option=field.name)
    instance = schema(**values)
    return Reading(
        instance,
        {
            each.name: _reported(each, options.get(each.name), section, getattr(instance, each.name))
            for each in fields
        },
        declared=frozenset(each.name for each in fields),
        secret=frozenset(each.name for each in fields if each.option.secret),
        unsupported=frozenset(
            each.name for each in fields if each.option.unsupported_yet and each.name in options
        ),
    )


@functools.cache
def _fields(schema: type[msgspec.Struct]) -> tuple[_Field, ...]:
    return tuple(_field(info) for info in msgspec.structs.fields(schema))


def _field(info: msgspec.structs.FieldInfo) -> _Field:
    option, bounds, optional, kind = Option(), None, False, info.type
    while True:
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
            option = next((extra for extra in extras if isinstance(extra, Option)), option)
            bounds = next((extra for extra in extras if isinstance(extra, msgspec.Meta)), bounds)
        elif get_origin(kind) in {Union, types.UnionType} and type(None) in get_args(kind):
            optional = True
            kind, *others = (each for each in get_args(kind) if each is not type(None))
            if others:
                raise TypeError(f"option {info.name!r} can't be one of several types")
        else:
            break
    if kind not in _CASTS and get_origin(kind) is not Literal:
        raise TypeError(f"option {info.name!r} can't be a {kind!r}")
    return _Field(info.name, kind, optional, bounds, option, info.required)


def _value(
    field: _Field, option: ParsedOption, section: str, expand: Callable[[ParsedOption, str], str]
) -> object:
    text = expand(option, section) if field.option.template else option.value
    if field.optional and not text.strip():
        return None
    try:
        if field.option.clean is not None:
            text = field.option.clean(text)
        value = _choice(field, text) if get_origin(field.kind) is Literal else _CASTS[field.kind](field, text)
        _check_bounds(field, value)
    except ValueError as broken:
        shown = masked(section, option.name, option.value, secret=field.option.secret)
        raise ConfigError(
            str(broken), file=option.file, line=option.line, section=section, option=option.name, value=shown
        ) from None
    return value


def _reported(field: _Field, option: ParsedOption | None, section: str, value: object) -> Reportable:
    if option is None and field.option.reported_default is not None:
        return field.option.reported_default
    if option is not None:
        shown = masked(section, option.name, option.value, secret=field.option.secret)
        if field.option.template or shown == MASK:
            return shown
    if isinstance(value, Path):
        return str(value)
    assert value is None or isinstance(value, bool | int | float | str | list)
    return value


def _rule(field: _Field) -> str:
    noun = "an integer" if field.kind is int else "a number"
    limits = [
        f"{words} {limit}"
        for name, words in _BOUNDS
        if (limit := getattr(field.bounds, name, None)) is not None
    ]
    return f"must be {noun}" + (f" of {' and '.join(limits)}" if limits else "")


def _check_bounds(field: _Field, value: object) -> None:
    if field.bounds is None:
        return
    try:
        msgspec.convert(value, Annotated[field.kind, field.bounds])
    except msgspec.ValidationError:
        raise ValueError(_rule(field)) from None


def _boolean(_field: _Field, text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError("must be true or false (also yes, no, on, off, 1 or 0)") from None


def _integer(field: _Field, text: str) -> int:
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ValueError(_rule(field))
    return int(text)


def _number(field: _Field, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(_rule(field)) from None
    if not math.isfinite(value):
        raise ValueError(_rule(field))
    return value


def _text(_field: _Field, text: str) -> str:
    return text


def _path(_field: _Field, text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError("must be a path")
    return Path(text.strip())


def _lines(field: _Field, text: str) -> list[str]:
    separated = text.replace(",", "\n") if field.option.commas else text
    return [line.strip() for line in separated.split("\n") if line.strip()]


def _choice(field: _Field, text: str) -> str:
    choices: tuple[str, ...] = get_args(field.kind)
    for choice in choices:
        if choice.lower() == text.strip().lower():
            return choice
    raise ValueError(f"must be one of {', '.join(choices)}")


_CASTS: Final[Mapping[Any, Callable[[_Field, str], object]]] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: _text,
    Path: _path,
    list[str]: _lines,
}
