"""Namespaces in memory: provides INamespaces without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import define, field
from zope.interface import implementer

from txraker.errors import KeyNotFound
from txraker.interfaces import INamespaces
from txraker.storage.nested import (
    check_depth,
    check_name,
    check_names,
    decoded,
    encoded,
    pop_within,
    put_within,
    value_within,
)


@implementer(INamespaces)
@define(eq=False)
class MemoryNamespaces:
    """Keeps JSON texts in dicts: ``rows[namespace][name]``.

    ``problem`` is raised by each call while there is one, as when the database can't be used.
    """

    problem: Exception | None = None
    rows: dict[str, dict[str, bytes]] = field(factory=dict)

    async def get(self, namespace: str, key: Sequence[str] = ()) -> Any:
        if key:
            check_names(namespace, key)
            return self._within(namespace, key)
        check_name(namespace)
        self._check()
        if namespace not in self.rows:
            raise KeyNotFound(namespace, "")
        return {name: decoded(text) for name, text in sorted(self.rows[namespace].items())}

    async def get_many(self, namespace: str, names: Collection[str]) -> dict[str, Any]:
        for name in names:
            check_names(namespace, (name,))
        rows = {name: self._row(namespace, name) for name in names}
        return {name: row for name, row in rows.items() if row is not None}

    async def put(self, namespace: str, key: Sequence[str], value: Any) -> None:
        check_names(namespace, key)
        value = decoded(encoded(value))
        if len(key) > 1:
            value = put_within(self._row(namespace, key[0]), namespace, key, value)
        self._put(namespace, {key[0]: encoded(value)})

    async def put_many(self, namespace: str, values: Mapping[str, Any]) -> None:
        for name in values:
            check_names(namespace, (name,))
        self._put(namespace, {name: encoded(value) for name, value in values.items()})

    async def delete(self, namespace: str, key: Sequence[str]) -> Any:
        check_names(namespace, key)
        removed = self._within(namespace, key)
        row = self._row(namespace, key[0])
        if len(key) > 1:
            pop_within(row, key[1:])
        else:
            row = None
        self._put(namespace, {key[0]: encoded(row or None)})
        return removed

    async def names(self) -> list[str]:
        self._check()
        return sorted(self.rows)

    def _check(self) -> None:
        if self.problem is not None:
            raise self.problem

    def _row(self, namespace: str, name: str) -> Any:
        self._check()
        return decoded(self.rows.get(namespace, {}).get(name, b"null"))

    def _within(self, namespace: str, key: Sequence[str]) -> Any:
        row = self._row(namespace, key[0])
        if row is None:
            raise KeyNotFound(namespace, key[0])
        try:
            return value_within(row, key[1:])
        except KeyError:
            raise KeyNotFound(namespace, ".".join(key)) from None

    def _put(self, namespace: str, texts: Mapping[str, bytes]) -> None:
        self._check()
        for text in texts.values():
            check_depth(text)
        rows = {**self.rows.get(namespace, {}), **texts}
        rows = {name: text for name, text in rows.items() if text != b"null"}
        if rows:
            self.rows[namespace] = rows
        else:
            self.rows.pop(namespace, None)
