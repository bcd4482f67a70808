"""Properties of the parser that hold for any text."""

from __future__ import annotations

import re
from textwrap import indent

from hypothesis import given, settings
from hypothesis import strategies as st

from txraker.config.errors import ConfigError
from txraker.config.parse import ParsedFile, ParsedSection, parse

Written = dict[str, dict[str, str]]

words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
plain_words = words.filter(lambda word: not set(word) & set("[]:=#;\\"))


def spaced(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Make lines of words with single spaces, none of which starts with an escaped comment mark."""
    lines = st.lists(parts, min_size=1, max_size=5).map(" ".join)
    return lines.filter(lambda line: not re.search(r"(^|\s)\\[#;]", line))


section_names = spaced(plain_words).filter(lambda name: name.split()[0] != "include")
option_names = spaced(plain_words).map(str.lower).filter(lambda name: not set(name) & set("[]:=#;\\"))


@st.composite
def values(draw: st.DrawFn) -> str:
    """Make the value of an option: one line, several, or none."""
    first = draw(st.just("") | spaced(words))
    more = draw(st.lists(st.tuples(st.integers(0, 3), st.just("") | spaced(words)), max_size=5))
    while more and not more[-1][1]:
        more.pop()
    margin = min((depth for depth, line in more if line), default=0)
    return "\n".join([first, *(" " * (depth - margin) * bool(line) + line for depth, line in more)])


written = st.dictionaries(section_names, st.dictionaries(option_names, values(), max_size=4), max_size=4)


def write(sections: Written, separator: str, margin: str, comment: str) -> str:
    """Write sections down in the dialect, with comments between the lines."""
    out = []
    for section, options in sections.items():
        out.append(f"[{section}]{comment}")
        for name, value in options.items():
            escaped = re.sub(r"(^|\s)([#;])", r"\1\\\2", value, flags=re.MULTILINE)
            first, *more = escaped.split("\n")
            out.append(f"{name}{separator} {first}{comment}")
            # A blank line is part of the value, a line of comment is not.
            out += [indent(line, margin) + comment if line else "" for line in more]
            out.append("# comment")
    return "\n".join(out)


def read(parsed: ParsedFile) -> Written:
    """Return the values of a parsed file."""
    sections = [item for item in parsed.items if isinstance(item, ParsedSection)]
    return {section.name: {option.name: option.value for option in section.options} for section in sections}


@settings(deadline=None)
@given(
    sections=written,
    separator=st.sampled_from([":", "=", " :", " ="]),
    margin=st.sampled_from([" ", "\t", "    "]),
    comment=st.sampled_from(["", " # comment", "\t; key: value"]),
)
def test_round_trip(sections: Written, separator: str, margin: str, comment: str) -> None:
    """Whatever is written in the dialect is read back as it was meant."""
    assert read(parse(write(sections, separator, margin, comment), "test.conf")) == sections


dialect = st.lists(
    st.sampled_from(
        ["[", "]", "include ", "a", "b", ":", "=", "#", ";", "\\", " ", "\t", "\n", "\r", "\ufeff", "\0"]
    )
    | st.characters()
).map("".join)


@settings(deadline=None)
@given(st.text() | dialect)
def test_any_text(text: str) -> None:
    """Any text is either parsed or refused with a ConfigError, never anything else."""
    try:
        parsed = parse(text, "test.conf")
    except ConfigError as error:
        refusal = error
    else:
        assert all(name == name.lower().strip() for options in read(parsed).values() for name in options)
        return
    assert refusal.file == "test.conf"
    assert refusal.line is not None
