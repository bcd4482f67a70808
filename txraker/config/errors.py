"""The one error of configuration: what is wrong, where, and which rule it breaks."""

from __future__ import annotations

from txraker.config.masking import masked

_SHOWN = 80


class ConfigError(Exception):
    """A configuration that can't be used.

    `rule` is the end of a sentence, such as "must be an integer". `file` is the path of the file, `line`
    counts from 1. `value` is the text as written in the file; it is kept and shown as `****` when it holds a
    secret.
    """

    def __init__(
        self,
        rule: str,
        *,
        file: str | None = None,
        line: int | None = None,
        section: str | None = None,
        option: str | None = None,
        value: str | None = None,
    ) -> None:
        self.rule = rule
        self.file = file
        self.line = line
        self.section = section
        self.option = option
        self.value = None if value is None else masked(section or "", option or "", value)
        super().__init__(self._message())

    def _message(self) -> str:
        parts = (
            []
            if self.file is None
            else [self.file if self.line is None else f"{self.file}, line {self.line}"]
        )
        if self.option is not None:
            subject = f"option '{self.option}' in section [{self.section}]"
            if self.value is not None:
                shown = self.value if len(self.value) <= _SHOWN else self.value[:_SHOWN] + "..."
                subject += f" is {shown!r}: it"
            parts.append(f"{subject} {self.rule}")
        elif self.section is not None:
            parts.append(f"section [{self.section}] {self.rule}")
        else:
            parts.append(self.rule)
        return ": ".join(parts)
