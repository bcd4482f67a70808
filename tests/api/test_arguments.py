"""What clients send becomes what endpoints declare, or is refused by name and rule."""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from tests.tools import json_values
from txraker.api.arguments import (
    Conversion,
    Parameter,
    Refused,
    RestOfQuery,
    parameters_of,
    parse_query,
    read_arguments,
)
from txraker.errors import BadRequest

REQUIRED: Any = object()
Kind = Literal["web", "Mobile", "agent"]


def parameter(hint: object, default: object = REQUIRED, name: str = "it") -> Parameter:
    """Compile one parameter, as a handler's signature would declare it."""

    def handler(**_: object) -> None:
        raise AssertionError("never called")

    import inspect  # noqa: PLC0415  # only here

    kind = inspect.Parameter.KEYWORD_ONLY
    empty = inspect.Parameter.empty
    declared = inspect.Parameter(name, kind, default=empty if default is REQUIRED else default)
    handler.__signature__ = inspect.Signature([declared])  # type: ignore[attr-defined]
    (compiled,) = parameters_of(handler, {name: hint})
    return compiled


def read(hint: object, value: object) -> object:
    """Coerce one value."""
    return parameter(hint).read({"it": value})


def refusal(hint: object, value: object) -> str:
    """Return why a value is refused."""
    with pytest.raises(BadRequest) as caught:
        read(hint, value)
    return str(caught.value)


def test_signature() -> None:
    """Just the keyword-only parameters are parameters, with what their declaration says."""

    async def handler(
        self: object, caller: object, *, count: Annotated[int, Meta(description="How many.")] = 3, name: str
    ) -> None: ...

    hints = {"count": Annotated[int, Meta(description="How many.")], "name": str}
    count, name = parameters_of(handler, hints)
    assert (count.name, count.required, count.default, count.description) == ("count", False, 3, "How many.")
    assert (name.name, name.required, name.description) == ("name", True, "")


@pytest.mark.parametrize(
    ("hint", "sent", "meant"),
    [
        (int, 5, 5),
        (int, -5, -5),
        (int, 5.0, 5),
        (int, "5", 5),
        (int, " +5 ", 5),
        (int, "-12", -12),
        (float, 5, 5.0),
        (float, 5.25, 5.25),
        (float, "5.25", 5.25),
        (float, "-1e3", -1000.0),
        (bool, True, True),
        (bool, False, False),
        (bool, 1, True),
        (bool, 0, False),
        (bool, "true", True),
        (bool, "True", True),
        (bool, "1", True),
        (bool, "yes", True),
        (bool, " ON ", True),
        (bool, "false", False),
        (bool, "FALSE", False),
        (bool, "0", False),
        (bool, "no", False),
        (bool, "off", False),
        (str, "text", "text"),
        (str, "", ""),
        (str, 5, "5"),
        (str, 1.5, "1.5"),
        (list[str], ["a", "b"], ["a", "b"]),
        (list[str], "a,b", ["a", "b"]),
        (list[str], " a , b ,", ["a", "b"]),
        (list[str], "a", ["a"]),
        (list[str], "", []),
        (list[str], [1, "b"], ["1", "b"]),
        (list[int], "1,2", [1, 2]),
        (list[int], ["1", 2.0], [1, 2]),
        (list[list[int]], [["1"], "2,3"], [[1], [2, 3]]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict, '{"a": [1]}', {"a": [1]}),
        (Kind, "web", "web"),
        (Kind, "WEB", "web"),
        (Kind, " mobile ", "Mobile"),
        (Any, {"a": [None]}, {"a": [None]}),
        (object, 5, 5),
        (int | None, "5", 5),
        (Annotated[int | None, Meta(ge=1)], "5", 5),
        (Annotated[int, Meta(ge=1)] | None, "5", 5),
    ],
)
def test_coercion(hint: object, sent: object, meant: object) -> None:
    """Values are taken in every form in which clients send them."""
    result = read(hint, sent)
    assert result == meant
    assert type(result) is type(meant)


@pytest.mark.parametrize(
    ("hint", "sent", "rule"),
    [
        (int, True, "must be an integer, not true"),
        (int, 5.5, "must be an integer, not 5.5"),
        (int, "5.5", "must be an integer, not '5.5'"),
        (int, "abc", "must be an integer, not 'abc'"),
        (int, "", "must be an integer, not ''"),
        (int, "0x10", "must be an integer"),
        (int, "9" * 400, "must be an integer"),
        (int, [1], "must be an integer, not [1]"),
        (float, "abc", "must be a number, not 'abc'"),
        (float, "nan", "must be a number"),
        (float, "inf", "must be a number"),
        (float, "1e999", "must be a number"),
        (float, 10**400, "must be a number"),
        (float, True, "must be a number, not true"),
        (float, {}, "must be a number, not {}"),
        (bool, "maybe", "must be true or false, not 'maybe'"),
        (bool, 2, "must be true or false, not 2"),
        (bool, 1.0, "must be true or false, not 1.0"),
        (bool, [], "must be true or false, not []"),
        (str, True, "must be text, not true"),
        (str, ["a"], 'must be text, not ["a"]'),
        (str, {"a": 1}, 'must be text, not {"a":1}'),
        (list[str], 5, "must be a list, not 5"),
        (list[str], {"a": 1}, "must be a list"),
        (list[int], "1,x", "must be a list in which each item is an integer, not '1,x'"),
        (list[int], [True], "must be a list in which each item is an integer, not [true]"),
        (dict, "text", "must be an object, not 'text'"),
        (dict, "[1]", "must be an object"),
        (dict, [1], "must be an object, not [1]"),
        (dict, 5, "must be an object, not 5"),
        (Kind, "tv", "must be one of 'web', 'Mobile', 'agent', not 'tv'"),
        (Kind, ["web"], "must be one of 'web', 'Mobile', 'agent'"),
        (Kind, True, "must be one of"),
    ],
)
def test_refusal(hint: object, sent: object, rule: str) -> None:
    """A refusal names the argument, the rule and the value."""
    assert refusal(hint, sent).startswith(f"Invalid argument 'it': {rule}")


@pytest.mark.parametrize(
    ("hint", "good", "bad", "rule"),
    [
        (Annotated[int, Meta(ge=1)], "1", "0", "at least 1"),
        (Annotated[int, Meta(le=9)], 9, 10, "at most 9"),
        (Annotated[int, Meta(ge=1, le=9)], 5, 10, "at most 9"),
        (Annotated[float, Meta(ge=0.5)], 0.5, "0.4", "at least 0.5"),
        (Annotated[str, Meta(min_length=1)], "a", "", "at least 1 long"),
        (Annotated[str, Meta(max_length=3)], "abc", "abcd", "at most 3 long"),
        (Annotated[str | None, Meta(max_length=3)], "abc", 12345, "at most 3 long"),
        (Annotated[list[str], Meta(min_length=1)], ["a"], [], "at least 1 long"),
        (Annotated[list[str], Meta(max_length=2)], "a,b", "a,b,c", "at most 2 long"),
    ],
)
def test_bounds(hint: object, good: object, bad: object, rule: str) -> None:
    """A value at its bound is taken, one beyond it is refused with the bound."""
    read(hint, good)
    assert f"must be {rule}" in refusal(hint, bad)


def test_long_values_are_cut_in_messages() -> None:
    """A refusal shows no more than the beginning of a long value."""
    assert len(refusal(int, "x" * 100_000)) < 150
    assert len(refusal(str, ["x" * 100_000])) < 150


def test_missing() -> None:
    """A required argument that isn't there is named."""
    with pytest.raises(BadRequest, match=r"^Missing argument 'it'$"):
        parameter(int).read({"other": 1})


@pytest.mark.parametrize(
    ("hint", "default", "arguments", "meant"),
    [
        (int, 7, {}, 7),
        (int, 7, {"it": None}, 7),
        (int | None, 7, {}, 7),
        (int | None, 7, {"it": None}, None),
        (int | None, REQUIRED, {"it": None}, None),
        (str | None, None, {}, None),
    ],
)
def test_null(hint: object, default: object, arguments: dict[str, object], meant: object) -> None:
    """Null is a value where the declaration allows it, and means the default elsewhere."""
    assert parameter(hint, default).read(arguments) == meant


@pytest.mark.parametrize("hint", [int, int | None])
def test_required_null(hint: object) -> None:
    """Null where a value is required and null is none, or nothing at all, is a missing argument."""
    with pytest.raises(BadRequest, match="Missing argument 'it'"):
        parameter(hint).read({"it": None} if hint is int else {})


def test_unknown_arguments_are_ignored() -> None:
    """What nobody declared is left aside."""
    parameters = [parameter(int, 1, "a"), parameter(str, "x", "b")]
    arguments: dict[str, object] = {"a": "5", "root": "config", "c": object()}
    assert read_arguments(parameters, arguments, is_query=False) == {"a": 5, "b": "x"}


@pytest.mark.parametrize(
    "hint", [int | str, set[str], tuple[int, int], bytes, list, list[int | str], int | str | None, complex]
)
def test_types_that_cannot_be_declared(hint: object) -> None:
    """A type that no argument can have is refused when its endpoint is declared."""
    with pytest.raises(TypeError):
        parameter(hint)


def even(value: object) -> object:
    """Convert to an even number."""
    if isinstance(value, int) and value % 2 == 0:
        return value
    raise Refused("even")


def test_conversion() -> None:
    """A type of our own is read by its conversion, whose schema describes it."""
    hint = Annotated[int, Meta(description="Any even number."), Conversion(even, {"type": "integer"})]
    compiled = parameter(hint)
    assert compiled.read({"it": 4}) == 4
    assert (compiled.schema, compiled.description) == ({"type": "integer"}, "Any even number.")
    assert refusal(hint, 3) == "Invalid argument 'it': must be even, not 3"
    nullable = parameter(Annotated[int | None, Conversion(even, {"type": "integer"})])
    assert (nullable.read({"it": 2}), nullable.read({"it": None})) == (2, None)


REST = Annotated[dict[str, object], RestOfQuery(frozenset({"token"}))]


@pytest.mark.parametrize(
    ("arguments", "is_query", "meant"),
    [
        ({"a": "1", "token": "x"}, True, {"a": "1"}),
        ({"token": "x"}, True, {}),
        ({"it": {"b": 1}, "a": "1"}, True, {"b": 1}),
        ({"it": {"b": 1}, "a": "1"}, False, {"b": 1}),
    ],
)
def test_rest_of_query(arguments: dict[str, object], is_query: bool, meant: object) -> None:
    """Over HTTP an object may be spread over the query, reserved names excepted; its own name comes first."""
    assert read_arguments([parameter(REST)], arguments, is_query=is_query) == {"it": meant}


def test_rest_of_query_is_for_queries() -> None:
    """In JSON-RPC params nothing is gathered."""
    with pytest.raises(BadRequest, match="Missing argument 'it'"):
        read_arguments([parameter(REST)], {"a": 1}, is_query=False)


def test_rest_of_query_is_what_is_left() -> None:
    """What another parameter takes by its name is not part of the rest."""
    parameters = [parameter(int, 0, "limit"), parameter(REST)]
    read_all = read_arguments(parameters, {"limit": "5", "a": "1"}, is_query=True)
    assert read_all == {"limit": 5, "it": {"a": "1"}}


@given(json_values())
def test_any_value_for_any_type(value: object) -> None:
    """Whatever JSON can say is either read as the declared type or refused with a BadRequest."""
    for hint, kind in ((int, int), (float, float), (bool, bool), (str, str), (list[str], list), (dict, dict)):
        try:
            result = parameter(hint, None).read({"it": value})
        except BadRequest:
            continue
        assert result is None or type(result) is kind


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_integers_round_trip(number: int) -> None:
    """An integer is the same integer sent as a number, as text and by a query."""
    assert read(int, number) == read(int, str(number)) == number
    assert parse_query(f"it:int={quote(str(number))}".encode()) == {"it": number}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_round_trip(number: float) -> None:
    """A number is the same number sent as a number, as text and by a query."""
    assert read(float, number) == read(float, repr(number)) == number
    assert parse_query(urlencode({"it:float": repr(number)}).encode()) == {"it": number}


@given(st.booleans(), st.sampled_from([str, lambda b: str(b).lower(), int, lambda b: str(int(b)), bool]))
def test_booleans_round_trip(truth: bool, spelled: Any) -> None:
    """A boolean is the same boolean however it is spelled."""
    assert read(bool, spelled(truth)) is truth


words = st.text(string.ascii_letters + string.digits + "_ .-é", min_size=1).map(str.strip).filter(bool)


@given(st.lists(words))
def test_lists_round_trip(items: list[str]) -> None:
    """A list is the same list sent as a list and as text with commas."""
    assert read(list[str], items) == read(list[str], ",".join(items)) == items


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(texts, texts))
def test_queries_round_trip(arguments: dict[str, str]) -> None:
    """What is written as a query is read as it was, save for keys that end in a type hint."""
    plain = {key: text for key, text in arguments.items() if ":" not in key}
    assert parse_query(urlencode(plain).encode()) == plain


@given(st.binary(max_size=200))
def test_any_query(query: bytes) -> None:
    """Any bytes are a query or a BadRequest."""
    try:
        parse_query(query)
    except BadRequest:
        return


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        (b"", {}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a=1&a:int=2", {"a": 2}),
        (b"a:int=2&a=1", {"a": "1"}),
        (b"a:int=5", {"a": 5}),
        (b"a:float=5", {"a": 5.0}),
        (b"a:bool=true", {"a": True}),
        (b"a:bool=0", {"a": False}),
        (b"a:str=5", {"a": "5"}),
        (b"a:json=%5B1%2C%7B%22b%22%3Anull%7D%5D", {"a": [1, {"b": None}]}),
        (b"a:json=null", {"a": None}),
        (b"a%3Aint=5", {"a": 5}),
        (b"a:date=5", {"a:date": "5"}),
        (b"a:b:int=5", {"a:b": 5}),
        (b":int=5", {":int": "5"}),
        (b"temperature_sensor%20x&fan=speed%2Crpm", {"temperature_sensor x": "", "fan": "speed,rpm"}),
        (b"a+b=c+d", {"a b": "c d"}),
        (b"a=%FF", {"a": "\ufffd"}),
        ("a=ä".encode(), {"a": "ä"}),
    ],
)
def test_query(query: bytes, meant: dict[str, object]) -> None:
    """Queries are read with their type hints; the last of repeated keys wins."""
    assert parse_query(query) == meant


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"a:int=x", "Invalid argument 'a': must be an integer, not 'x'"),
        (b"a:float=x", "Invalid argument 'a': must be a number, not 'x'"),
        (b"a:bool=x", "Invalid argument 'a': must be true or false, not 'x'"),
        (b"a:json={", "Invalid argument 'a': must be JSON, not '{'"),
        (b"&".join([b"a=1"] * 1001), "The query has more than 1000 fields"),
    ],
)
def test_bad_query(query: bytes, message: str) -> None:
    """A hinted value that breaks its rule is refused by name and rule, and so is a query without end."""
    with pytest.raises(BadRequest) as caught:
        parse_query(query)
    assert str(caught.value) == message


def test_deep_json() -> None:
    """JSON too deep to be read is no JSON."""
    deep = "[" * 100_000
    assert refusal(dict, deep).startswith("Invalid argument 'it': must be an object")
    with pytest.raises(BadRequest, match="must be JSON"):
        parse_query(b"a:json=" + deep.encode())


def test_hinted_null_counts_as_null() -> None:
    """A null by a hint is treated as a null in JSON."""
    arguments = parse_query(b"it:json=null")
    assert parameter(int, 7).read(arguments) == 7
    assert msgspec.json.encode(arguments) == b'{"it":null}'
