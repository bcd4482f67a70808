"""Namespaces in memory: provides INamespaces without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from attrs import define, field
from zope.interface import implementer

from txraker.errors import KeyNotFound
from txraker.interfaces import INamespaces
from txraker.storage.nested import (
    check_depth,
    check_name,
    check_names,
    check_size,
    decoded,
    encoded,
    pop_within,
    put_within,
    raw_object,
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
        return decoded(await self.get_raw(namespace, key))

    async def get_raw(self, namespace: str, key: Sequence[str] = ()) -> msgspec.Raw:
        if key:
            check_names(namespace, key)
            return msgspec.Raw(encoded(self._within(namespace, key)))
        check_name(namespace)
        self._check()
        if namespace not in self.rows:
            raise KeyNotFound(namespace, "")
        rows = dict(sorted(self.rows[namespace].items()))
        check_size(namespace, sum(len(name) + len(text) for name, text in rows.items()))
        return raw_object(rows)

    async def get_many(self, namespace: str, names: Collection[str]) -> dict[str, Any]:
        for name in names:
            check_names(namespace, (name,))
        rows = {name: self._row(namespace, name) for name in names}
        return {name: row for name, row in rows.items() if row is not None}

    async def page(self, namespace: str, after: str, most: int) -> dict[str, Any]:
        for name in (namespace, after):
            check_name(name)
        self._check()
        rows = sorted(self.rows.get(namespace, {}).items())
        return {name: decoded(text) for name, text in [row for row in rows if row[0] > after][:most]}

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

    async def rename(self, namespace: str, beginning: str, other: str) -> None:
        for name in (beginning, other):
            check_names(namespace, (name,))
        rows = self._below(namespace, beginning)
        renamed = {other + name.removeprefix(beginning): text for name, text in rows.items()}
        self._put(namespace, {**dict.fromkeys(rows, b"null"), **renamed})

    async def forget(self, namespace: str, beginning: str) -> None:
        check_names(namespace, (beginning,))
        self._put(namespace, dict.fromkeys(self._below(namespace, beginning), b"null"))

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

    def _below(self, namespace: str, beginning: str) -> dict[str, bytes]:
        rows = self.rows.get(namespace, {})
        return {name: text for name, text in rows.items() if name.startswith(beginning)}

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
