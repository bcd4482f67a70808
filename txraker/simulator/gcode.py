"""Pure: one line of gcode, classic (``G1 X10``) or extended (``SET_PIN PIN=x VALUE=1``)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from txraker.simulator.errors import CommandError

_CLASSIC: Final = re.compile(r"([A-Za-z]\d+(?:\.\d+)?)(?![A-Za-z_]{2}|_)")
_LINE_NUMBER: Final = re.compile(r"\s*[Nn]\d+\s+")
_WORD: Final = re.compile(r"([A-Za-z*])\s*([^A-Za-z*]*)")

#: Commands whose arguments are free text.
_FREE_TEXT: Final = frozenset({"M117", "M118", "M23", "ECHO"})


@frozen
class Command:
    """A parsed line: its upper-case name, its parameters (upper-case keys) and its original text."""

    name: str
    params: Mapping[str, str]
    line: str
    text: str
    """What follows the name, as written."""
    malformed: bool = False
    """True when the parameters of an extended command could not be read."""

    def get(self, key: str, default: str | None = None) -> str:
        """The parameter as text; without a default it is required."""
        value = self.params.get(key, default)
        if value is None:
            raise CommandError(f"Error on '{self.line}': missing {key}")
        return value

    def maybe(self, key: str) -> str | None:
        """The parameter as text, or None when it is absent."""
        return self.params.get(key)

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
    ) -> float:
        """The parameter as a number within bounds."""
        if key not in self.params and default is not None:
            return default
        value = self._parse(key)
        if minimum is not None and value < minimum:
            raise CommandError(f"Error on '{self.line}': {key} must have minimum of {minimum}")
        if maximum is not None and value > maximum:
            raise CommandError(f"Error on '{self.line}': {key} must have maximum of {maximum}")
        if above is not None and value <= above:
            raise CommandError(f"Error on '{self.line}': {key} must be above {above}")
        return value

    def maybe_number(self, key: str) -> float | None:
        """The parameter as a number, or None when it is absent."""
        return self._parse(key) if key in self.params else None

    def integer(self, key: str, default: int | None = None, *, minimum: int | None = None) -> int:
        """The parameter as a whole number."""
        return int(self.number(key, default, minimum=minimum))

    def one_of(self, key: str, choices: Mapping[str, str], default: str | None = None) -> str:
        """Look the parameter up in ``choices`` (what may be written -> what it stands for)."""
        value = self.get(key, default)
        if value not in choices:
            raise CommandError(f"The value '{value}' is not valid for {key}")
        return choices[value]

    def _parse(self, key: str) -> float:
        text = self.get(key)
        try:
            return float(text)
        except ValueError:
            raise CommandError(f"Error on '{self.line}': unable to parse {text}") from None


def parse_line(line: str) -> Command | None:
    """Parse one line; None when it holds nothing but comments and white space."""
    stripped = _LINE_NUMBER.sub("", line, count=1).strip()
    if not stripped or stripped[0] in ";#":
        return None
    classic = _CLASSIC.match(stripped)
    name = classic.group(1) if classic else re.split(r"[\s;]", stripped, maxsplit=1)[0]
    rest = stripped[len(name) :].strip()
    if name.upper() in _FREE_TEXT:
        return Command(name.upper(), {}, stripped, rest)
    if classic and "=" not in rest:
        rest = rest.partition(";")[0].strip()
        params = {key.upper(): value.strip() for key, value in _WORD.findall(rest)}
    else:
        extended = _extended_params(rest)
        if extended is None:
            return Command(name.upper(), {}, stripped, rest, malformed=True)
        params = extended
    return Command(name.upper(), params, stripped.partition(";")[0].strip(), rest)


def _extended_params(rest: str) -> dict[str, str] | None:
    lexer = shlex.shlex(rest, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = "#;"
    lexer.escape = ""
    try:
        pairs = [word.partition("=") for word in lexer]
    except ValueError:
        return None
    if not all(equals for _, equals, _ in pairs):
        return None
    return {key.upper(): value for key, _, value in pairs}
