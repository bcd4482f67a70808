"""Reading the text of options into typed structs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txraker.config.errors import ConfigError
from txraker.config.parse import ParsedOption
from txraker.config.schema import NoOptions, Option, Reading, read


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One option of every kind."""

    name: str = "x"
    flag: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    delay: Annotated[float, msgspec.Meta(gt=0)] = 1.5
    limit: Annotated[int, msgspec.Meta(lt=5)] | None = None
    lines: list[str] = []
    events: Annotated[list[str], Option(commas=True)] = []
    folder: Path | None = None
    source: Literal["moonraker", "memberOf"] = "moonraker"
    password: Annotated[str | None, Option(template=True)] = None
    pin: Annotated[str, Option(secret=True)] = ""
    later: Annotated[int, Option(unsupported_yet=True)] = 3
    address: Annotated[str | None, Option(reported_default="/tmp/socket")] = None


class Strict(msgspec.Struct, frozen=True, kw_only=True):
    """One option that has to be given."""

    url: str


def digits(text: str) -> str:
    """Accept digits with spaces around them."""
    if not text.strip().isdigit():
        raise ValueError("must be digits")
    return text.strip()


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """One option that has a normal form."""

    pin: Annotated[str, Option(clean=digits, secret=True)]


def reading(**options: str) -> Reading[Sample]:
    """Read options of the section `[sample]`; templates are expanded to upper case."""
    parsed = {name: ParsedOption(name, text, "a.conf", 7) for name, text in options.items()}
    return read(
        Sample,
        parsed,
        section="sample",
        file="main.conf",
        expand=lambda option, section: option.value.upper(),
    )


def value(name: str, text: str) -> object:
    """Read one option of the section `[sample]`."""
    return getattr(reading(**{name: text}).options, name)


def test_defaults() -> None:
    """Without options an instance has the defaults of its schema, and reports them."""
    result = reading()
    assert result.options == Sample()
    assert result.reported["count"] == 2
    assert result.reported["address"] == "/tmp/socket"
    assert result.unsupported == frozenset()


@pytest.mark.parametrize("text", ["True", "true", "YES", "on", "1", "\n true "])
def test_true(text: str) -> None:
    """Every way to write true means true, in any case."""
    assert value("flag", text) is True


@pytest.mark.parametrize("text", ["False", "no", "OFF", "0"])
def test_false(text: str) -> None:
    """Every way to write false means false, in any case."""
    assert value("flag", text) is False


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("name", "a b", "a b"),
        ("name", "\na\n  b", "\na\n  b"),
        ("count", "10", 10),
        ("count", " 007 ", 7),
        ("limit", "-3", -3),
        ("limit", "", None),
        ("delay", "2.", 2.0),
        ("delay", ".05", 0.05),
        ("delay", "3", 3.0),
        ("lines", "\na\n\nb, c", ["a", "b, c"]),
        ("lines", "a", ["a"]),
        ("lines", "", []),
        ("events", "started, complete,\nerror", ["started", "complete", "error"]),
        ("folder", "~/logs", Path("~/logs")),
        ("folder", " ", None),
        ("source", "Moonraker", "moonraker"),
        ("source", "memberof", "memberOf"),
        ("password", "abc", "ABC"),
    ],
)
def test_values(name: str, text: str, meant: object) -> None:
    """Each type of option reads its text as people write it."""
    assert value(name, text) == meant


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("flag", "maybe", "must be true or false (also yes, no, on, off, 1 or 0)"),
        ("flag", "", "must be true or false (also yes, no, on, off, 1 or 0)"),
        ("count", "11", "must be an integer of at least 1 and at most 10"),
        ("count", "0", "must be an integer of at least 1 and at most 10"),
        ("count", "1.5", "must be an integer of at least 1 and at most 10"),
        ("count", "", "must be an integer of at least 1 and at most 10"),
        ("count", "1_0", "must be an integer of at least 1 and at most 10"),
        ("count", "9" * 5000, "must be an integer of at least 1 and at most 10"),
        ("limit", "5", "must be an integer of less than 5"),
        ("delay", "nan", "must be a number of greater than 0"),
        ("delay", "0", "must be a number of greater than 0"),
        ("delay", "soon", "must be a number of greater than 0"),
        ("source", "github", "must be one of moonraker, memberOf"),
        ("folder", "a\0b", "must be a path"),
    ],
)
def test_broken_rules(name: str, text: str, rule: str) -> None:
    """A value that breaks a rule is refused, naming file, line, section, option, value and rule."""
    with pytest.raises(ConfigError) as caught:
        value(name, text)
    error = caught.value
    assert (error.file, error.line, error.section, error.option) == ("a.conf", 7, "sample", name)
    assert (error.value, error.rule) == (text, rule)
    assert str(error).startswith(f"a.conf, line 7: option '{name}' in section [sample] is '")
    assert str(error).endswith(f": it {rule}")
    assert len(str(error)) < 300


def test_missing_option() -> None:
    """A required option that is missing is an error that names the main file."""
    with pytest.raises(
        ConfigError, match=r"^main\.conf: option 'url' in section \[notifier a\] must be given$"
    ):
        read(Strict, {}, section="notifier a", file="main.conf", expand=lambda option, section: option.value)


def test_clean() -> None:
    """A `clean` function normalises text, and the rule it raises ends up in the error without the secret."""

    def locked(text: str) -> Locked:
        options = {"pin": ParsedOption("pin", text, "a.conf", 1)}
        return read(
            Locked, options, section="s", file=None, expand=lambda option, section: option.value
        ).options

    assert locked(" 12 ").pin == "12"
    with pytest.raises(ConfigError, match="must be digits") as caught:
        locked("hunter2")
    assert caught.value.value == "****"
    assert "hunter2" not in str(caught.value)


def test_report() -> None:
    """Values are reported as cast; templates as they are written; secrets as `****`."""
    assert reading(password="{secrets.a.b}", pin="1234", folder="/a", flag="yes").reported == {
        "name": "x",
        "flag": True,
        "count": 2,
        "delay": 1.5,
        "limit": None,
        "lines": [],
        "events": [],
        "folder": "/a",
        "source": "moonraker",
        "password": "{secrets.a.b}",
        "pin": "****",
        "later": 3,
        "address": "/tmp/socket",
    }
    assert reading(password="hunter2").reported["password"] == "****"


def test_marks() -> None:
    """A reading names the options a schema declares, those that are secret, and those set without effect."""
    result = reading(later="4", flag="yes", unknown="x")
    assert result.unsupported == {"later"}
    assert result.secret == {"pin"}
    assert "unknown" not in result.declared
    assert {"flag", "later"} <= result.declared


def test_no_options() -> None:
    """A section without options reads as an empty struct."""
    result = read(NoOptions, {}, section="history", file=None, expand=lambda option, section: option.value)
    assert (result.options, result.reported) == (NoOptions(), {})


def test_bad_schema() -> None:
    """A schema with a type no option can have is a mistake of the programmer, found at the first reading."""

    class Nested(msgspec.Struct, frozen=True, kw_only=True):
        table: dict[str, str] = {}

    class Either(msgspec.Struct, frozen=True, kw_only=True):
        both: int | str = 1

    for schema in (Nested, Either):
        with pytest.raises(TypeError, match="option '"):
            read(schema, {}, section="s", file=None, expand=lambda option, section: option.value)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(Sample.__struct_fields__)), text=st.text())
def test_any_value(name: str, text: str) -> None:
    """Any text is either read as the declared type or refused with a ConfigError."""
    with contextlib.suppress(ConfigError):
        assert isinstance(reading(**{name: text}).options, Sample)
