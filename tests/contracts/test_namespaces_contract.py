"""What INamespaces promises, kept by the one in memory and by the one in a database alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from txraker.errors import BadRequest, KeyNotFound
from txraker.interfaces import INamespaces
from txraker.reactor import Reactor
from txraker.storage.database import Database
from txraker.storage.namespaces import Namespaces
from txraker.storage.nested import DEEPEST, LARGEST, LONGEST_NAME, MOST_NAMES
from txraker.storage.schema import MIGRATIONS
from txraker.testing.database import MemoryDatabase
from txraker.testing.namespaces import MemoryNamespaces

async_test = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture(  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
    params=["in memory", "in a database in memory", "in a database on disk"]
)
async def namespaces(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Have namespaces of each kind."""
    if request.param == "in memory":
        yield MemoryNamespaces()
        return
    database = (
        MemoryDatabase(MIGRATIONS)
        if request.param == "in a database in memory"
        else Database(cast("Reactor", reactor), tmp_path, MIGRATIONS)
    )
    await database.start()
    yield Namespaces(database)
    await database.stop()


def nested(levels: int) -> Any:
    """Return objects within objects."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


async def missing(namespaces: Any, namespace: str, *key: str) -> str:
    """Return what is said of something that isn't there."""
    said = set()
    for get in (namespaces.get, namespaces.get_raw):
        with pytest.raises(KeyNotFound) as caught:
            await get(namespace, key)
        said.add(str(caught.value))
    (words,) = said
    return words


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_provides(namespaces: Any) -> None:
    """All provide what they say."""
    assert verifyObject(INamespaces, namespaces)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_put_and_get(namespaces: Any) -> None:
    """What was put is there, whole and in its parts, and its namespace is listed."""
    settings = {"console": {"autocomplete": True}, "colours": ["#ff0000", None], "größe": 1.5}
    await namespaces.put("mainsail", ["settings"], settings)
    await namespaces.put("mainsail", ["init.version"], "2.18.2")
    await namespaces.put("Fluidd UI/äöü", ["x"], 0)
    assert await namespaces.get("mainsail") == {"settings": settings, "init.version": "2.18.2"}
    assert list(await namespaces.get("mainsail")) == ["init.version", "settings"]
    assert await namespaces.get("mainsail", ("settings", "console", "autocomplete")) is True
    assert await namespaces.get("mainsail", ["init.version"]) == "2.18.2"
    assert await namespaces.names() == ["Fluidd UI/äöü", "mainsail"]


@pytest.mark.parametrize("value", [0, False, "", [], {}, 2**70, -1.5, "a\0b", [None], {"": {"": 1}}])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_values(namespaces: Any, value: object) -> None:
    """Anything JSON can say is kept as it is, by itself and within something."""
    await namespaces.put("n", ["k"], value)
    await namespaces.put("n", ["o", "k"], value)
    for key in (["k"], ["o", "k"]):
        assert await namespaces.get("n", key) == value
        assert type(await namespaces.get("n", key)) is type(value)
        raw = await namespaces.get_raw("n", key)
        assert isinstance(raw, msgspec.Raw)
        assert msgspec.json.decode(raw) == value
    assert msgspec.json.decode(await namespaces.get_raw("n")) == {"k": value, "o": {"k": value}}


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_raw(namespaces: Any) -> None:
    """What isn't decoded is the JSON that was kept, in the order of names, whatever these are."""
    settings = {"b": [1.50, {"ä": None}], "a": "\0"}
    await namespaces.put_many("n", {'quoted "name"\n': 1, "a.gcode": settings, "ä": []})
    text = b'{"a.gcode":{"b":[1.5,{"\xc3\xa4":null}],"a":"\\u0000"},"quoted \\"name\\"\\n":1,"\xc3\xa4":[]}'
    assert msgspec.json.encode(await namespaces.get_raw("n")) == text
    assert msgspec.json.encode(await namespaces.get_raw("n", ["a.gcode", "b"])) == '[1.5,{"ä":null}]'.encode()
    with pytest.raises(BadRequest):
        await namespaces.get_raw("n", [""])


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_large(namespaces: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace that is larger than may be read at once is read name by name; the rule is said."""
    monkeypatch.setattr("txraker.storage.nested.LARGEST_NAMESPACE", 3 * 1024**2)
    value = "x" * 1024**2
    await namespaces.put_many("n", {"a": value, "b": value})
    assert len(await namespaces.get("n")) == 2
    await namespaces.put("n", ["c"], value)
    for get in (namespaces.get, namespaces.get_raw):
        with pytest.raises(
            BadRequest, match="Namespace n is larger than 3 MiB: read its values by their keys"
        ):
            await get("n")
    assert await namespaces.get("n", ["c"]) == value


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_overwritten(namespaces: Any) -> None:
    """A value takes the place of another, and its neighbours stay."""
    await namespaces.put("n", ["a", "b", "c"], 1)
    await namespaces.put("n", ["a", "z"], 2)
    await namespaces.put("n", ["a", "b", "c"], [3])
    assert await namespaces.get("n") == {"a": {"b": {"c": [3]}, "z": 2}}
    await namespaces.put("n", ["a"], 4)
    assert await namespaces.get("n") == {"a": 4}


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_get_many(namespaces: Any) -> None:
    """Of several names those are returned that are there; dots in them don't matter."""
    assert await namespaces.get_many("n", ["a"]) == {}
    await namespaces.put_many("n", {"a": {"b": 1}, "a.gcode": 2, "c": 3})
    assert await namespaces.get_many("n", ["a", "a.gcode", "nope"]) == {"a": {"b": 1}, "a.gcode": 2}
    assert await namespaces.get_many("n", []) == {}
    with pytest.raises(BadRequest):
        await namespaces.get_many("n", [""])


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_put_many(namespaces: Any) -> None:
    """Several values are kept at once; others in the namespace stay, and those that are null go."""
    await namespaces.put("n", ["old"], 1)
    await namespaces.put("n", ["gone"], 1)
    await namespaces.put_many("n", {"new.gcode": {"size": 5}, "old": 2, "gone": None})
    assert await namespaces.get("n") == {"new.gcode": {"size": 5}, "old": 2}
    await namespaces.put_many("n", {})
    await namespaces.put_many("empty", {})
    assert await namespaces.names() == ["n"]


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_put_many_is_all_or_nothing(namespaces: Any) -> None:
    """When one of several values can't be kept, none is."""
    for values in ({"a": 1, "b": nested(DEEPEST + 1)}, {"a": 1, "": 2}):
        with pytest.raises(BadRequest):
            await namespaces.put_many("n", values)
    assert await namespaces.names() == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_page(namespaces: Any) -> None:
    """A namespace is read page by page in the order of its names, until a page is empty."""
    names = ["a", "a/b", "a\0", "b", "ä", "\U0001f4a9"]
    await namespaces.put_many("n", {name: {"x": 1} for name in names})
    await namespaces.put_many("o", {"a": 1})
    pages: list[list[str]] = []
    after = ""
    while page := await namespaces.page("n", after, 2):
        assert all(value == {"x": 1} for value in page.values())
        pages.append(list(page))
        after = pages[-1][-1]
    assert pages == [["a", "a\0"], ["a/b", "b"], ["ä", "\U0001f4a9"]]
    assert await namespaces.page("nope", "", 2) == {}


BESIDE = ("sub", "sub.gcode", "sub0", "subway/a", "Sub/a")
"""Names that don't begin with ``sub/``."""


@pytest.mark.parametrize("other", ["new/", "sub/deep/", "s%_ä/", "subway/"])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_rename(namespaces: Any, other: str) -> None:
    """Names that begin in one way begin in another, one that is taken gives way, and the rest stays."""
    below = {"a": 1, "deep/b": 2, "ä\0c": 3, "\U0010ffff": 4}
    await namespaces.put_many("n", {f"sub/{name}": value for name, value in below.items()})
    await namespaces.put_many("n", dict.fromkeys(BESIDE, 0))
    await namespaces.put("o", ["sub/a"], 5)
    await namespaces.rename("n", "sub/", other)
    renamed = {other + name: value for name, value in below.items()}
    assert await namespaces.get("n") == {**dict.fromkeys(BESIDE, 0), **renamed}
    assert await namespaces.get("o") == {"sub/a": 5}


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_forget(namespaces: Any) -> None:
    """Names that begin so are forgotten, and their namespace when it is empty."""
    await namespaces.put_many("n", dict.fromkeys((*BESIDE, "sub/", "sub/a", "sub/\U0010ffff"), 0))
    await namespaces.forget("n", "sub/")
    assert await namespaces.get("n") == dict.fromkeys(BESIDE, 0)
    for beginning in ("s", "S", "nope"):
        await namespaces.forget("n", beginning)
    assert await namespaces.names() == []
    with pytest.raises(BadRequest):
        await namespaces.forget("n", "")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_not_found(namespaces: Any) -> None:
    """What is missing is named: the first name if that isn't there, else the key; clients compare it."""
    await namespaces.put("n", ["a"], {"b": 5, "l": [{"x": 1}]})
    assert await missing(namespaces, "nope", "a", "b") == "Key 'a' in namespace 'nope' not found"
    assert await missing(namespaces, "n", "c", "b") == "Key 'c' in namespace 'n' not found"
    for way in ("a.c", "a.b.c", "a.l.0", "a.l.0.x", "a.l.x"):
        assert await missing(namespaces, "n", *way.split(".")) == f"Key '{way}' in namespace 'n' not found"
    assert "nope" in await missing(namespaces, "nope")
    with pytest.raises(KeyNotFound, match=r"Key 'a\.c' in namespace 'n' not found"):
        await namespaces.delete("n", ["a", "c"])
    with pytest.raises(KeyNotFound, match=r"Key 'a\.b\.c' in namespace 'n' not found"):
        await namespaces.delete("n", ["a", "b", "c"])
    with pytest.raises(KeyNotFound, match="Key 'x' in namespace 'nope' not found"):
        await namespaces.delete("nope", ["x", "y"])


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_null(namespaces: Any) -> None:
    """A null by itself is nothing, also where something was; within a value it is a null."""
    await namespaces.put("n", ["a"], 1)
    await namespaces.put("n", ["a"], None)
    assert await missing(namespaces, "n", "a") == "Key 'a' in namespace 'n' not found"
    assert await namespaces.names() == []
    await namespaces.put("n", ["a", "b"], None)
    assert await namespaces.get("n", ["a", "b"]) is None
    assert await namespaces.get("n") == {"a": {"b": None}}


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_delete(namespaces: Any) -> None:
    """What is deleted is returned; an object that is empty then stays, unless it is a value by itself."""
    await namespaces.put("n", ["a"], {"b": {"c": 1}, "z": [2]})
    assert await namespaces.delete("n", ["a", "b", "c"]) == 1
    assert await namespaces.get("n") == {"a": {"b": {}, "z": [2]}}
    assert await namespaces.delete("n", ["a", "z"]) == [2]
    assert await namespaces.delete("n", ["a", "b"]) == {}
    assert await namespaces.names() == []
    await namespaces.put("n", ["a"], {"b": None})
    assert await namespaces.delete("n", ["a"]) == {"b": None}
    assert await namespaces.names() == []


@pytest.mark.parametrize("blocker", [5, "s", [1, {"x": 2}], None, True])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_put_through(namespaces: Any, blocker: object) -> None:
    """What isn't an object is replaced where it is a value by itself, and is in the way further in."""
    await namespaces.put("n", ["a"], blocker)
    await namespaces.put("n", ["a", "b"], blocker)
    assert await namespaces.get("n") == {"a": {"b": blocker}}
    for rest in (["c"], ["c", "d"], ["0"]):
        with pytest.raises(BadRequest) as caught:
            await namespaces.put("n", ["a", "b", *rest], 1)
        assert str(caught.value).startswith("Item at key 'a.b' in namespace 'n' is not a dictionary object")
    assert await namespaces.get("n") == {"a": {"b": blocker}}


@pytest.mark.parametrize(
    "key", [[], [""], ["a", ""], ["a"] * (MOST_NAMES + 1), ["k" * (LONGEST_NAME + 1)], ["\ud800"]]
)
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_bad_names(namespaces: Any, key: list[str]) -> None:
    """Names that can't be kept are refused."""
    with pytest.raises(BadRequest):
        await namespaces.put("n", key, 1)
    with pytest.raises(BadRequest):
        await namespaces.delete("n", key)
    if key:
        with pytest.raises(BadRequest):
            await namespaces.get("n", key)
    with pytest.raises(BadRequest):
        await namespaces.get("\ud800")
    assert await namespaces.names() == []


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_bounds(namespaces: Any) -> None:
    """As long, deep and large as is allowed is kept; a little more is refused, and leaves nothing."""
    long_name = "k" * LONGEST_NAME
    await namespaces.put("n" * LONGEST_NAME, [long_name], "x" * 5_000_000)
    assert len(await namespaces.get("n" * LONGEST_NAME, [long_name])) == 5_000_000
    await namespaces.put("n", ["k"] * MOST_NAMES, 1)
    assert await namespaces.get("n", ["k"] * MOST_NAMES) == 1
    await namespaces.put("deep", ["k"], nested(DEEPEST))
    assert await namespaces.get("deep", ["k"]) == nested(DEEPEST)
    await namespaces.put("flat", ["k"], [[number] for number in range(2 * DEEPEST)])
    for key, value in (
        (["a", "k"], nested(DEEPEST)),
        (["a"], nested(DEEPEST + 1)),
        (["a"], nested(900)),
        (["a"], nested(5000)),
        (["a"], "x" * LARGEST),
        (["a"], "\ud800"),
    ):
        with pytest.raises(BadRequest):
            await namespaces.put("refused", key, value)
    with pytest.raises(KeyNotFound):
        await namespaces.get("refused")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_independent(namespaces: Any) -> None:
    """What the caller does to a value later isn't kept, nor what is done to one that was read."""
    value = {"list": [1]}
    await namespaces.put("n", ["k"], value)
    value["list"].append(2)
    (await namespaces.get("n", ["k"]))["list"].append(3)
    assert await namespaces.get("n", ["k"]) == {"list": [1]}
