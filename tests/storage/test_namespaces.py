"""Namespaces against a model, and what is read and written of a large one."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred

from tests.storage.bench import Server
from tests.tools import json_values, result_of, start
from txraker.errors import BadRequest, KeyNotFound, Unavailable
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS
from txraker.testing.database import MemoryDatabase
from txraker.testing.namespaces import MemoryNamespaces

NAMES = st.sampled_from(["a", "b", "c.d", "Ü"])
KEYS = st.lists(NAMES, min_size=1, max_size=4)


@define
class Model:
    """Namespaces as a dict of dicts."""

    content: dict[str, dict[str, Any]] = field(factory=dict)

    def get(self, namespace: str, key: list[str]) -> Any:
        """Return a value, or raise KeyError."""
        value: Any = self.content[namespace]
        for name in key:
            if not isinstance(value, dict):
                raise KeyError(name)
            value = value[name]
        return value

    def put(self, namespace: str, key: list[str], value: Any) -> None:
        """Keep a value, or raise ValueError."""
        inner: Any = self.content.setdefault(namespace, {})
        for position, name in enumerate(key[:-1]):
            if position == 0 and not isinstance(inner.get(name), dict):
                inner[name] = {}
            if not isinstance(inner, dict):
                break
            inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(key)
        inner[key[-1]] = value
        self.clean(namespace)

    def delete(self, namespace: str, key: list[str]) -> Any:
        """Forget a value and return it, or raise KeyError."""
        value = self.get(namespace, key)
        del self.get(namespace, key[:-1])[key[-1]]
        if len(key) > 1 and self.content[namespace][key[0]] == {}:
            del self.content[namespace][key[0]]
        self.clean(namespace)
        return value

    def clean(self, namespace: str) -> None:
        """Forget what is null by itself, and a namespace that is empty."""
        rows = {name: value for name, value in self.content[namespace].items() if value is not None}
        self.content[namespace] = rows
        if not rows:
            del self.content[namespace]


class Machine(RuleBasedStateMachine):
    """Namespaces of either kind do what the model does."""

    @initialize()
    def begin(self) -> None:
        """Begin empty."""
        self.model = Model()
        self.database = MemoryDatabase(MIGRATIONS)
        result_of(self.database.start())
        self.kinds: list[Any] = [Namespaces(self.database), MemoryNamespaces()]

    @rule(namespace=NAMES, key=KEYS, value=json_values())
    def put(self, namespace: str, key: list[str], value: Any) -> None:
        """Keep a value."""
        before = repr(self.model.content)
        try:
            self.model.put(namespace, key, value)
        except ValueError:
            assert repr(self.model.content) == before
            for namespaces in self.kinds:
                assert isinstance(start(namespaces.put(namespace, key, value)).error, BadRequest)
        else:
            for namespaces in self.kinds:
                result_of(namespaces.put(namespace, key, value))

    @rule(namespace=NAMES, values=st.dictionaries(NAMES, json_values(), max_size=3))
    def put_many(self, namespace: str, values: dict[str, Any]) -> None:
        """Keep several."""
        self.model.content.setdefault(namespace, {}).update(values)
        self.model.clean(namespace)
        for namespaces in self.kinds:
            result_of(namespaces.put_many(namespace, values))

    @rule(namespace=NAMES, key=KEYS)
    def get(self, namespace: str, key: list[str]) -> None:
        """Read a value."""
        for namespaces in self.kinds:
            outcome = start(namespaces.get(namespace, key))
            try:
                expected = self.model.get(namespace, key)
            except KeyError:
                assert isinstance(outcome.error, KeyNotFound)
            else:
                assert outcome.result() == expected

    @rule(namespace=NAMES, key=KEYS)
    def delete(self, namespace: str, key: list[str]) -> None:
        """Forget a value."""
        outcomes = [start(namespaces.delete(namespace, key)) for namespaces in self.kinds]
        try:
            expected = self.model.delete(namespace, key)
        except KeyError:
            assert all(isinstance(outcome.error, KeyNotFound) for outcome in outcomes)
        else:
            assert [outcome.result() for outcome in outcomes] == [expected] * len(outcomes)

    @invariant()
    def same(self) -> None:
        """Everything is as in the model."""
        for namespaces in self.kinds:
            assert result_of(namespaces.names()) == sorted(self.model.content)
            for name, expected in self.model.content.items():
                assert result_of(namespaces.get(name)) == expected

    def teardown(self) -> None:
        """Let go of the database."""
        result_of(self.database.stop())


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)


def open_server(folder: Path) -> tuple[Server, Namespaces]:
    """Have a database open, and namespaces in it."""
    server = Server(folder, MIGRATIONS)
    server.start()
    return server, Namespaces(server.database)


def test_one_key_of_many(tmp_path: Path) -> None:
    """To read and write one of five thousand keys touches nothing else."""
    server, namespaces = open_server(tmp_path)
    files = {f"folder/part {number}.gcode": {"size": number, "text": "x" * 2000} for number in range(5000)}
    server.mailbox.wait(start(namespaces.put_many("gcode_metadata", files)))
    touched: list[str] = []
    server.run(lambda connection: connection.set_trace_callback(touched.append))
    found = server.mailbox.wait(start(namespaces.get("gcode_metadata", ["folder/part 77.gcode", "size"])))
    assert found == 77
    server.mailbox.wait(start(namespaces.put("gcode_metadata", ["folder/part 77.gcode", "size"], 78)))
    plans = [line for line in touched if line.startswith(("SELECT", "INSERT", "DELETE"))]
    assert len(plans) == 3
    explained = [row[3] for line in plans for row in server.run(partial(explain, statement=line))]
    assert explained
    assert not [step for step in explained if "SCAN" in step]
    server.stop()


def explain(connection: sqlite3.Connection, statement: str) -> list[Any]:
    """Return how SQLite does something: work."""
    return connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()


def test_kept(tmp_path: Path) -> None:
    """What was put is there after a restart."""
    server, namespaces = open_server(tmp_path)
    server.mailbox.wait(start(namespaces.put("fluidd", ["uiSettings", "theme"], {"dark": True})))
    server.stop()
    server, namespaces = open_server(tmp_path)
    assert server.mailbox.wait(start(namespaces.get("fluidd"))) == {"uiSettings": {"theme": {"dark": True}}}
    server.stop()


@pytest.mark.parametrize(
    "namespaces", [Namespaces(MemoryDatabase()), MemoryNamespaces(Unavailable("no disk"))]
)
def test_no_database(namespaces: Any) -> None:
    """Without a database every call says so."""
    calls: list[Any] = [
        namespaces.get("n"),
        namespaces.get("n", ["k"]),
        namespaces.put("n", ["k"], 1),
        namespaces.put("n", ["k", "l"], 1),
        namespaces.put_many("n", {"k": 1}),
        namespaces.delete("n", ["k"]),
        namespaces.names(),
    ]
    for call in calls:
        assert isinstance(start(call).error, Unavailable)


def test_another_database() -> None:
    """Namespaces are those of the database that they are given, which may be opened anew."""
    namespaces = Namespaces(MemoryDatabase())
    opened = MemoryDatabase(MIGRATIONS)
    opening = opened.start()
    assert isinstance(opening, Deferred)
    namespaces.database = opened
    result_of(namespaces.put("n", ["k"], 1))
    assert result_of(namespaces.names()) == ["n"]
    result_of(opened.stop())
