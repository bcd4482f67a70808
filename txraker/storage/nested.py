"""Values within values: what leads into objects, and what may be kept at all.

A key is a sequence of names. The first is that of a row; the others lead through objects inside its value.
Contract: measured on Moonraker 0.11.0, as far as it isn't in "Database Management" of its API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from txraker.errors import BadRequest

LONGEST_NAME: Final = 4096
"""Characters of a name: as many as a file's path may have."""

MOST_NAMES: Final = 64
"""Names that a key may have."""

DEEPEST: Final = 200
"""Levels of objects and lists that a row may have: few enough to be read wherever it is needed."""

LARGEST: Final = 16 * 1024 * 1024
"""Bytes that a row's value may have as JSON: several times what one request may bring."""

LARGEST_NAMESPACE: Final = 64 * 1024 * 1024
"""Bytes of a namespace, as JSON, that may be read as a whole: a small board has room for what that takes."""

_TOO_DEEP = f"The value has more than {DEEPEST} levels"


def check_names(namespace: str, key: Sequence[str]) -> None:
    """Raise BadRequest for names that nothing can be kept under."""
    if not key or not all(key):
        raise BadRequest(f"Invalid Key Format: '{list(key)}'")
    if len(key) > MOST_NAMES:
        raise BadRequest(f"Invalid Key Format: more than {MOST_NAMES} names")
    for name in (namespace, *key):
        check_name(name)


def check_name(name: str) -> None:
    """Raise BadRequest for the name of a namespace, or one in it, that can't be kept."""
    if len(name) > LONGEST_NAME:
        raise BadRequest(f"A name has more than {LONGEST_NAME} characters: '{name[:40]}...'")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"A name isn't Unicode: {name[:40]!a}") from None


def check_size(namespace: str, size: int) -> None:
    """Raise BadRequest for a namespace that is too large to be read as a whole."""
    if size > LARGEST_NAMESPACE:
        most = f"{LARGEST_NAMESPACE // 1024**2} MiB"
        raise BadRequest(f"Namespace {namespace} is larger than {most}: read its values by their keys")


def raw_within(text: bytes, names: Sequence[str]) -> msgspec.Raw:
    """Return what names lead to, as ``value_within``, from JSON and as JSON. Raises KeyError."""
    value = msgspec.Raw(text)
    for name in names:
        try:
            value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[name]
        except msgspec.ValidationError:
            raise KeyError(name) from None
    return value


def raw_object(rows: Mapping[str, bytes]) -> msgspec.Raw:
    """Return values in JSON as an object in JSON."""
    return msgspec.Raw(msgspec.json.encode({name: msgspec.Raw(text) for name, text in rows.items()}))


def value_within(value: Any, names: Sequence[str]) -> Any:
    """Return what names lead to. Raises KeyError when they lead nowhere; nothing leads into a list."""
    for name in names:
        if not isinstance(value, dict):
            raise KeyError(name)
        value = value[name]
    return value


def put_within(row: Any, namespace: str, key: Sequence[str], value: Any) -> Any:
    """Return a row's value with another value inside, where a key of at least two names leads.

    Objects that are missing on the way are made, and a row that isn't an object is replaced by one. Raises
    BadRequest when further on something is in the way.
    """
    result = row if isinstance(row, dict) else {}
    inner = result
    for position, name in enumerate(key[1:-1], start=2):
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            way = ".".join(key[:position])
            raise BadRequest(
                f"Item at key '{way}' in namespace '{namespace}' is not a dictionary object, cannot insert"
            )
    inner[key[-1]] = value
    return result


def pop_within(row: Any, names: Sequence[str]) -> Any:
    """Take what names lead to out of a row's value, and return it. Raises KeyError."""
    holder = value_within(row, names[:-1])
    if not isinstance(holder, dict):
        raise KeyError(names[-1])
    return holder.pop(names[-1])


def encoded(value: Any) -> bytes:
    """Return a value as JSON. Raises BadRequest for one that has none, or is too large."""
    try:
        text = msgspec.json.encode(value)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except UnicodeEncodeError:
        raise BadRequest("The value holds text that isn't Unicode") from None
    if len(text) > LARGEST:
        raise BadRequest(f"The value is larger than {LARGEST // 1024**2} MiB")
    return text


def decoded(text: bytes) -> Any:
    """Return what was encoded. Raises BadRequest for more levels than anything can read."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None


def check_depth(text: bytes) -> None:
    """Raise BadRequest for JSON of more levels than may be kept."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return
    containers = _containers([decoded(text)])
    for _ in range(DEEPEST):
        containers = _containers(
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        )
    if containers:
        raise BadRequest(_TOO_DEEP)


def _containers(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]
