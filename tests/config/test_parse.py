"""The dialect: what one configuration file means."""

from __future__ import annotations

import pytest

from txraker.config.errors import ConfigError
from txraker.config.parse import Include, ParsedFile, ParsedSection, parse


def values(text: str) -> dict[str, dict[str, str]]:
    """Parse `text` into values by option, by section."""
    sections = [item for item in parse(text, "test.conf").items if isinstance(item, ParsedSection)]
    return {section.name: {option.name: option.value for option in section.options} for section in sections}


def value(lines: str) -> str:
    """Parse the one option that `lines` hold."""
    [found] = values(f"[section]\n{lines}")["section"].values()
    return found


@pytest.mark.parametrize("separator", [":", "=", ": ", " = ", " : ", "   =\t"])
def test_separators(separator: str) -> None:
    """Name and value are separated by a colon or an equals sign, with or without spaces."""
    assert values(f"[server]\nport{separator}7125") == {"server": {"port": "7125"}}


def test_first_separator_counts() -> None:
    """A separator inside a value belongs to the value."""
    assert value("url: http://printer.local:7125/?a=b") == "http://printer.local:7125/?a=b"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("opt_one: http://this.is/#not-a-comment", "http://this.is/#not-a-comment"),
        ("opt_two: This is also \\# not a comment", "This is also # not a comment"),
        ("opt_three: This is the value # this is a comment", "This is the value"),
        ("opt_four: Once again\\# not a comment", "Once again\\# not a comment"),
        ("opt: one \\; two ; three", "one ; two"),
        ("opt: # nothing but a comment", ""),
        ("opt:#value", "#value"),
        ("opt: \\#ffffff", "#ffffff"),
        ("opt: one\t# comment", "one"),
        ("opt:\n  one # comment\n  \\# two", "\none\n# two"),
    ],
)
def test_inline_comments(written: str, meant: str) -> None:
    """A comment starts at a `#` or `;` after whitespace, unless a backslash escapes it there."""
    assert value(written) == meant


def test_comment_lines() -> None:
    """Whole lines of comment mean nothing, wherever they are and however they are indented."""
    text = "# a\n; b\n[server] # c\n  # d\nhost: x\n# e\n\n; f\nport: 1 ; g\n"
    assert values(text) == {"server": {"host": "x", "port": "1"}}


def test_comment_within_value() -> None:
    """A line of comment inside a value leaves no trace and doesn't end the value."""
    assert value("list:\n  one\n# comment\n  # another\n  two") == "\none\ntwo"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("list:\n 192.168.1.0/24", "\n192.168.1.0/24"),
        ("list:\n\t*.home\n\thttp://my.mainsail.xyz", "\n*.home\nhttp://my.mainsail.xyz"),
        ("list: one\n  two", "one\ntwo"),
        ("list:\n  {% if a %}\n    b\n  {% endif %}", "\n{% if a %}\n  b\n{% endif %}"),
        ("list:\n    b\n  a", "\n  b\na"),
        ("list:\n  one\n\n  two\n\n\n", "\none\n\ntwo"),
        ("list:\n\n  one", "\n\none"),
        (
            "list:\n  key=value\n  [not a section]\n  other: value",
            "\nkey=value\n[not a section]\nother: value",
        ),
        ("list:   \n  one   \n", "\none"),
    ],
)
def test_values_of_several_lines(written: str, meant: str) -> None:
    """Indented lines continue a value, keep their relative indentation and lose blank lines at the end."""
    assert value(written) == meant


def test_indented_options() -> None:
    """Options may be indented: what continues a value is indented further than the option is."""
    text = "[server]\n  host: x\n  port: 1\n    2\n[other]"
    assert values(text) == {"server": {"host": "x", "port": "1\n2"}, "other": {}}


def test_names() -> None:
    """Option names are lower-cased, section names are kept, spaces around both go."""
    assert values("[ power Printer ]\nOff_When_SHUTDOWN : True") == {
        "power Printer": {"off_when_shutdown": "True"}
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_byte_order_mark(end: str) -> None:
    """Files from any editor are read alike: every kind of line end, with or without a byte order mark."""
    text = end.join(["\ufeff[server]", "port: 7125", "list:", "  one", "  two", ""])
    assert values(text) == {"server": {"port": "7125", "list": "\none\ntwo"}}


def test_positions() -> None:
    """Sections, options and includes know the line they are written in, and options their file."""
    parsed = parse("\n[a]\nx: 1\n  2\ny: 3\n[include b.conf]\n", "a.conf")
    section, include = parsed.items
    assert isinstance(section, ParsedSection)
    assert (section.line, [(option.line, option.file) for option in section.options]) == (
        2,
        [(3, "a.conf"), (5, "a.conf")],
    )
    assert include == Include("b.conf", 6)


def test_includes_stay_in_place() -> None:
    """Include directives are kept where they are among the sections, wildcards and all."""
    parsed = parse("[a]\n[include x/*.conf]\n[b]\n[include  my file[12].conf ] # c\n", "f")
    named = [item.pattern if isinstance(item, Include) else item.name for item in parsed.items]
    assert named == ["a", "x/*.conf", "b", "my file[12].conf"]


def test_empty_file() -> None:
    """A file without anything in it is a file without sections."""
    assert parse("\n  \n# only a comment", "empty.conf") == ParsedFile("empty.conf", ())


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("port: 7125\n[server]", 1, "before the first section"),
        ("[include a.conf]\nport: 7125", 2, "after an include"),
        ("[server]\nport 7125", 2, "name: value"),
        ("[server]\n: 7125", 2, "name: value"),
        ("[server\nport: 7125", 1, "[name]"),
        ("[]\nport: 7125", 1, "[name]"),
        ("[a]b]", 1, "[name]"),
        ("[server]#comment", 1, "[name]"),
        ("[server] port: 1", 1, "[name]"),
        ("[include]", 1, "[include file.conf]"),
        ("[server]\nport: \0", 2, "not a text file"),
    ],
)
def test_what_is_refused(text: str, line: int, says: str) -> None:
    """What is neither section nor option nor value is refused, with the file and the line."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "bad.conf")
    assert (caught.value.file, caught.value.line) == ("bad.conf", line)
    assert "bad.conf" in str(caught.value)
    assert says in str(caught.value)


def test_refused_lines_are_not_shown() -> None:
    """A line that can't be understood isn't quoted: it may be part of a secret."""
    with pytest.raises(ConfigError) as caught:
        parse("[mqtt]\npassword:\nhunter2", "bad.conf")
    assert "hunter2" not in str(caught.value)


def test_duplicate_section() -> None:
    """A section that occurs twice in a file is refused, naming both lines."""
    with pytest.raises(ConfigError, match=r"bad\.conf, line 4: section \[server\].* line 1$"):
        parse("[server]\nport: 1\n\n[server]", "bad.conf")


def test_duplicate_option() -> None:
    """An option that occurs twice in a section is refused whatever its case, naming both lines."""
    with pytest.raises(ConfigError, match=r"line 4: option 'port' in section \[server\].* line 2$"):
        parse("[server]\nport: 1\nhost: x\nPORT: 2", "bad.conf")
