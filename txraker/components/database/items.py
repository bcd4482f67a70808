"""What clients may ask for in the database: keys as they give them, and what they may do with a namespace.

Contract: "Database Management" of Moonraker's API; the words of errors were measured on Moonraker 0.11.0, and
clients compare those of what isn't found.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from txraker.api.arguments import Conversion, Refused
from txraker.components.database.answers import DatabaseItem
from txraker.errors import BadRequest, Forbidden, KeyNotFound, NotFound
from txraker.interfaces import INamespaces

OURS: Final = frozenset({"announcements", "gcode_metadata", "moonraker"})
"""Namespaces that are always there, if empty; clients may read them."""

PROTECTED: Final = OURS | {"update_manager"}
"""Namespaces that clients may not write to."""

FORBIDDEN: Final = frozenset({"database"})
"""Namespaces that clients may not even read."""

Key = str | list[str]


def _key(value: object) -> Key:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise Refused("text or a list of texts")


NamespaceParameter = Annotated[str, Meta(description="The namespace.")]
_KEY = Conversion(_key, {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
_ABOUT_KEYS = Meta(
    description="The name of a value, or several that lead into it: separated by dots, or as a list, where"
    " names may have dots in them."
)
KeyParameter = Annotated[Any, _KEY, _ABOUT_KEYS]
OptionalKeyParameter = Annotated[Any | None, _KEY, _ABOUT_KEYS]


def names_of(key: Key) -> list[str]:
    """Return the names that a key consists of. Raises BadRequest when one is empty, or there is none."""
    names = key.split(".") if isinstance(key, str) else key
    if not names or not all(names):
        raise BadRequest(f"Invalid Key Format: '{key}'")
    return names


def check_readable(namespace: str) -> None:
    """Raise Forbidden if clients may not read a namespace."""
    if namespace in FORBIDDEN:
        raise Forbidden(f"Read/Write access to namespace '{namespace}' is forbidden")


def check_writable(namespace: str) -> None:
    """Raise Forbidden if clients may not write to a namespace."""
    check_readable(namespace)
    if namespace in PROTECTED:
        raise Forbidden(f"Write access to namespace '{namespace}' is forbidden")


async def get_item(namespaces: INamespaces, namespace: str, key: Key | None) -> DatabaseItem:
    """Return a value, or a namespace as a whole. Raises NotFound and BadRequest."""
    if key is not None:
        names = names_of(key)
        try:
            return DatabaseItem(namespace, key, await namespaces.get_raw(namespace, names))
        except KeyNotFound as problem:
            raise _not_found(problem, namespace, key) from None
    try:
        return DatabaseItem(namespace, None, await namespaces.get_raw(namespace))
    except KeyNotFound:
        if namespace in OURS:
            return DatabaseItem(namespace, None, {})
        raise NotFound(f"Namespace {namespace} not found") from None


async def post_item(namespaces: INamespaces, namespace: str, key: Key, value: Any) -> DatabaseItem:
    """Keep a value. Raises BadRequest."""
    await namespaces.put(namespace, names_of(key), value)
    return DatabaseItem(namespace, key, value)


async def delete_item(namespaces: INamespaces, namespace: str, key: Key) -> DatabaseItem:
    """Forget a value and return it. Raises NotFound and BadRequest."""
    names = names_of(key)
    try:
        return DatabaseItem(namespace, key, await namespaces.delete(namespace, names))
    except KeyNotFound as problem:
        raise _not_found(problem, namespace, key) from None


def _not_found(problem: KeyNotFound, namespace: str, key: Key) -> NotFound:
    """Return the error as it is worded for a client: a list that leads nowhere is shown as one."""
    is_whole = (
        isinstance(key, list) and len(key) > 1 and str(problem) == str(KeyNotFound(namespace, ".".join(key)))
    )
    return KeyNotFound(namespace, str(key)) if is_whole else problem
