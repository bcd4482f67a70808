"""One configuration as loaded: sections read on demand into typed options, and what nobody read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from txraker.config.documented import MOVED, is_documented_option, is_documented_section
from txraker.config.masking import masked
from txraker.config.parse import ParsedOption
from txraker.config.schema import NoOptions, Reading, Reportable, SchemaT, read
from txraker.config.templates import TemplateContext, expand

Sections = Mapping[str, Mapping[str, ParsedOption]]
"""Options by name, by full section name; both in the order they are first written."""

# Without a file nobody chose to open this printer to a network, so only this machine gets in.
_WITHOUT_FILE: Final = {
    "server": {"host": "127.0.0.1"},
    "authorization": {
        "trusted_clients": "\n127.0.0.0/8\n::1",
        "cors_domains": "\n*://localhost\n*://localhost:*",
    },
}


class ConfigFile(msgspec.Struct, frozen=True):
    """A file that was read; `filename` is relative to the folder of the main file (`server.config`)."""

    filename: str
    sections: list[str]


class ServerConfig(msgspec.Struct, frozen=True):
    """The result of `server.config`; secrets are `****` in both mappings."""

    config: dict[str, dict[str, Reportable]]
    orig: dict[str, dict[str, str]]
    files: list[ConfigFile]


@attrs.define(kw_only=True, repr=False)
class Configuration:
    """What the configuration files say, and which of it has been read.

    `path` is the main file, None when there is none. `files` are in the order they were opened. `problems`
    are warnings from loading.
    """

    data_path: Path
    path: Path | None = None
    files: Sequence[ConfigFile] = ()
    problems: Sequence[str] = ()
    _sections: Sections = attrs.field(factory=dict, alias="sections")
    _secrets: Mapping[str, object] = attrs.field(factory=dict, alias="secrets", repr=False)
    _builtin: Sections = attrs.field(factory=dict, alias="builtin")
    _taken: set[str] = attrs.field(factory=set, init=False)
    _reported: dict[str, dict[str, Reportable]] = attrs.field(factory=dict, init=False)
    _declared: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    _unsupported: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    _secret: dict[str, set[str]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        # The secrets file is read whether or not this section, which once said where it is, exists.
        if self.has("secrets"):
            self.read("secrets", NoOptions)

    @classmethod
    def defaults(cls, data_path: Path) -> Configuration:
        """Return what holds without any file: defaults, reachable from and trusting only this machine."""
        builtin = {
            section: {name: ParsedOption(name, value, "defaults", 0) for name, value in options.items()}
            for section, options in _WITHOUT_FILE.items()
        }
        return cls(data_path=data_path, builtin=builtin)

    @property
    def has_file(self) -> bool:
        """Whether there is a configuration file."""
        return self.path is not None

    def has(self, section: str) -> bool:
        """Say whether the files hold the section with this full name."""
        return section in self._sections

    def has_option(self, section: str, option: str) -> bool:
        """Say whether an option is written in a section."""
        return option in self._sections.get(section, {})

    def named(self, kind: str) -> list[str]:
        """List the sections of a kind by full name, in order: `power` -> `["power a", "power b"]`."""
        return [section for section in self._sections if section.split()[0] == kind and section != kind]

    def read(self, section: str, schema: type[SchemaT]) -> SchemaT:
        """Read a section, which may be absent, into an instance of `schema`.

        Afterwards the section counts as used, and `report` shows its values. Raises ConfigError naming file,
        section, option, value and rule.
        """
        self.failed(section)
        options = self._sections.get(section, self._builtin.get(section, {}))
        reading: Reading[SchemaT] = read(
            schema, options, section=section, file=self._main_file(), expand=self._expand
        )
        self._reported.setdefault(section, {}).update(reading.reported)
        self._declared.setdefault(section, set()).update(reading.declared)
        self._unsupported.setdefault(section, set()).update(reading.unsupported)
        self._secret.setdefault(section, set()).update(reading.secret)
        return reading.options

    def failed(self, section: str) -> None:
        """Note that a component was there for this section and failed: it is not reported as unknown.

        A section whose `read` raised is noted without this.
        """
        self._taken.add(section)

    def warnings(self) -> list[str]:
        """Say what in the files has no effect, in the words of `server.info`.

        Complete once every component is loaded. One warning for each undocumented option and section, one for
        all that is documented but not supported yet.
        """
        return [
            *self._invalid_options(),
            *self._unparsed_sections(),
            *self._moved_options(),
            *self._not_supported_yet(),
            *self.problems,
        ]

    def report(self) -> ServerConfig:
        """Return the result of `server.config`: the values in use, the text they come from, and the files."""
        orig: dict[str, dict[str, str]] = {"DEFAULT": {}}
        for section, options in self._sections.items():
            orig[section] = {name: self._shown(section, option) for name, option in options.items()}
        config = {section: dict(values) for section, values in self._reported.items()}
        return ServerConfig(config=config, orig=orig, files=list(self.files))

    def masked_lines(self) -> Iterator[str]:
        """Yield the configuration as it is written, files put together, without comments and secrets."""
        for section, options in self._sections.items():
            yield f"[{section}]"
            for name, option in options.items():
                first, *more = self._shown(section, option).split("\n")
                yield f"{name}: {first}"
                yield from (f"    {line}" for line in more)

    def _main_file(self) -> str | None:
        return None if self.path is None else str(self.path)

    def _expand(self, option: ParsedOption, section: str) -> str:
        return expand(option, section, TemplateContext(str(self.data_path), self._secrets))

    def _shown(self, section: str, option: ParsedOption) -> str:
        secret = option.name in self._secret.get(section, ())
        return masked(section, option.name, option.value, secret=secret)

    def _undeclared(self) -> Iterator[tuple[str, str]]:
        for section, options in self._sections.items():
            declared = self._declared.get(section)
            if declared is not None:
                yield from ((section, name) for name in options if name not in declared)

    def _unread(self) -> Iterator[str]:
        return (section for section in self._sections if section not in self._taken)

    def _invalid_options(self) -> Iterator[str]:
        for section, name in self._undeclared():
            if not is_documented_option(section, name) and (section, name) not in MOVED:
                yield (
                    f"Invalid config option '{name}' detected in section [{section}]. Remove the option to "
                    "resolve this issue. In the future this will result in a startup error."
                )

    def _unparsed_sections(self) -> Iterator[str]:
        for section in self._unread():
            if not is_documented_section(section):
                yield (
                    f"Unparsed config section [{section}] detected.  This may be the result of a component "
                    "that failed to load.  In the future this will result in a startup error."
                )

    def _moved_options(self) -> Iterator[str]:
        for section, name in self._undeclared():
            if (section, name) in MOVED:
                yield (
                    f"Option '{name}' of section [{section}] has moved to section "
                    f"[{MOVED[section, name]}] and has no effect where it is."
                )

    def _not_supported_yet(self) -> Iterator[str]:
        found = [f"section [{section}]" for section in self._unread() if is_documented_section(section)]
        for section, options in self._sections.items():
            names = [name for name in options if name in self._unsupported.get(section, ())]
            found += [f"option '{name}' in [{section}]" for name in names]
        found += [
            f"option '{name}' in [{section}]"
            for section, name in self._undeclared()
            if is_documented_option(section, name)
        ]
        if found:
            yield f"Valid, but not supported by txraker yet and without effect: {', '.join(found)}."
