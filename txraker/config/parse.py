"""Moonraker's INI dialect: text in, sections with raw string values out.

The dialect is the one Moonraker's configuration documentation describes; where that is silent (indentation,
blank lines) lines are understood as Python's `configparser` understands them, except that the lines of a
value keep the indentation they have relative to one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs
import msgspec

from txraker.config.errors import ConfigError

_DELIMITER: Final = re.compile(r"[:=]")
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))[#;]")
_ESCAPE: Final = re.compile(r"(?<=\s)\\([#;])")


class ParsedOption(msgspec.Struct, frozen=True):
    """One option: lower-case name, raw text, and where it is written (`line` counts from 1).

    A value that goes on over several lines keeps its line breaks: one that starts below its name starts with
    "\\n".
    """

    name: str
    value: str
    file: str
    line: int


class ParsedSection(msgspec.Struct, frozen=True):
    """One section with its options in the order of the file."""

    name: str
    line: int
    options: tuple[ParsedOption, ...]


class Include(msgspec.Struct, frozen=True):
    """An include directive: a path or wildcard relative to the folder of the file that holds it."""

    pattern: str
    line: int


class ParsedFile(msgspec.Struct, frozen=True):
    """One file: sections and include directives in the order they are written."""

    filename: str
    items: tuple[ParsedSection | Include, ...]


def parse(text: str, filename: str) -> ParsedFile:
    """Parse the text of one configuration file; `filename` is only used in errors and in the result.

    Accepts a byte order mark and any line ends. Raises ConfigError for text before the first section, a line
    that is neither a section nor an option nor part of a value, and sections or options that occur twice.
    """
    reader = _Reader(filename)
    if "\0" in text:
        raise ConfigError("is not a text file", file=filename, line=text.count("\n", 0, text.index("\0")) + 1)
    for number, raw in _lines(text):
        reader.feed(number, raw)
    return reader.finish()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    unified = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return enumerate(unified.split("\n"), start=1)


def _without_comment(line: str) -> str:
    comment = _COMMENT.search(line)
    return (line if comment is None else line[: comment.start()]).rstrip()


def _unescaped(line: str) -> str:
    return _ESCAPE.sub(r"\1", line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _OpenOption(msgspec.Struct):
    """An option whose value may go on in the next line."""

    name: str
    line: int
    indent: int
    first: str
    more: list[str] = msgspec.field(default_factory=list)

    def close(self, filename: str) -> ParsedOption:
        while self.more and not self.more[-1]:
            self.more.pop()
        margin = min((_indent(line) for line in self.more if line), default=0)
        value = "\n".join([self.first, *(_unescaped(line)[margin:] for line in self.more)])
        return ParsedOption(self.name, value, filename, self.line)


class _OpenSection(msgspec.Struct):
    """A section that may get more options."""

    name: str
    line: int
    options: dict[str, ParsedOption] = msgspec.field(default_factory=dict)


@attrs.define(repr=False)
class _Reader:
    """What has been read so far; fed one line at a time."""

    filename: str
    items: list[ParsedSection | Include] = attrs.field(factory=list)
    seen: dict[str, int] = attrs.field(factory=dict)
    section: _OpenSection | None = None
    option: _OpenOption | None = None

    def feed(self, number: int, raw: str) -> None:
        line = _without_comment(raw)
        if not line:
            # A blank line may be part of a value; a line with nothing but a comment is not.
            if self.option is not None and not raw.strip():
                self.option.more.append("")
        elif self.option is not None and _indent(line) > self.option.indent:
            self.option.more.append(line)
        elif line.lstrip().startswith("["):
            self.open_section(number, line.strip())
        else:
            self.open_option(number, line)

    def open_section(self, number: int, line: str) -> None:
        self.close_section()
        name = line[1:-1].strip() if line.endswith("]") else ""
        word, *rest = name.split(maxsplit=1) or [""]
        if word == "include" and rest:
            self.items.append(Include(rest[0], number))
        elif word == "include":
            raise self.error("an include must name a file, as in [include file.conf]", number)
        elif not name or "[" in name or "]" in name:
            raise self.error("a section must be written as [name]", number)
        elif name in self.seen:
            rule = f"must occur once in a file; it is already at line {self.seen[name]}"
            raise self.error(rule, number, section=name)
        else:
            self.seen[name] = number
            self.section = _OpenSection(name, number)

    def open_option(self, number: int, line: str) -> None:
        if self.section is None:
            where = "after an include" if self.items else "before the first section"
            raise self.error(f"only comments are allowed {where}", number)
        self.close_option()
        text = _unescaped(line)
        delimiter = _DELIMITER.search(text)
        name = "" if delimiter is None else text[: delimiter.start()].strip().lower()
        if delimiter is None or not name:
            raise self.error(
                "expected a section, an option written as 'name: value', or an indented line of a value",
                number,
            )
        if name in self.section.options:
            rule = f"must occur once in a section; it is already at line {self.section.options[name].line}"
            raise self.error(rule, number, section=self.section.name, option=name)
        self.option = _OpenOption(name, number, _indent(line), text[delimiter.end() :].strip())

    def error(
        self, rule: str, line: int, section: str | None = None, option: str | None = None
    ) -> ConfigError:
        return ConfigError(rule, file=self.filename, line=line, section=section, option=option)

    def close_option(self) -> None:
        if self.option is not None and self.section is not None:
            self.section.options[self.option.name] = self.option.close(self.filename)
            self.option = None

    def close_section(self) -> None:
        self.close_option()
        if self.section is not None:
            options = tuple(self.section.options.values())
            self.items.append(ParsedSection(self.section.name, self.section.line, options))
            self.section = None

    def finish(self) -> ParsedFile:
        self.close_section()
        return ParsedFile(self.filename, tuple(self.items))
