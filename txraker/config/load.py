"""Reading configuration files from disk: the only part of this package that opens a file."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import Final

import attrs

from txraker.config.configuration import ConfigFile, Configuration
from txraker.config.errors import ConfigError
from txraker.config.parse import Include, ParsedFile, ParsedOption, parse
from txraker.config.templates import SECRETS_FILE, SecretsError, parse_secrets

MAX_FILE_BYTES: Final = 1_000_000
MAX_FILES: Final = 250
_DEFAULT_NAMES: Final = ("txraker.conf", "moonraker.conf")


def load(data_path: Path, config_path: Path | None) -> Configuration:
    """Load the configuration with everything it includes, and the secrets file.

    Without `config_path` the file is `config/txraker.conf` in the data folder, else `config/moonraker.conf`;
    with none of the two the result has `has_file` False. Raises ConfigError, which names the file, for one
    that is missing, unreadable, too large, not UTF-8, not valid in the dialect, or that includes itself.
    """
    secrets, problems = _load_secrets(data_path / SECRETS_FILE)
    path = _default_path(data_path / "config") if config_path is None else config_path
    if path is None:
        return attrs.evolve(Configuration.defaults(data_path), problems=problems)
    loader = _Loader(path.parent)
    loader.load(path, chain=())
    return Configuration(
        data_path=data_path,
        path=path,
        files=loader.files,
        problems=problems,
        sections=loader.sections,
        secrets=secrets,
    )


@attrs.define(repr=False)
class _Loader:
    """Merges files in the order in which their sections come up."""

    folder: Path
    files: list[ConfigFile] = attrs.field(factory=list)
    sections: dict[str, dict[str, ParsedOption]] = attrs.field(factory=dict)
    opened: int = 0

    def load(self, path: Path, chain: tuple[Path, ...]) -> None:
        """Read one file; `chain` holds the resolved paths of the files that led to it."""
        parsed = self.parse(path)
        chain = (*chain, Path(os.path.realpath(path)))
        for item in parsed.items:
            if isinstance(item, Include):
                self.include(item, path, chain)
            else:
                merged = self.sections.setdefault(item.name, {})
                merged.update((option.name, option) for option in item.options)

    def parse(self, path: Path) -> ParsedFile:
        self.opened += 1
        if self.opened > MAX_FILES:
            raise ConfigError(f"more than {MAX_FILES} files are included", file=str(path))
        parsed = parse(_text(path), str(path))
        # Listed when it is opened, so that a file comes before those it includes.
        entry = ConfigFile(
            filename=os.path.relpath(path, self.folder),
            sections=[item.name for item in parsed.items if not isinstance(item, Include)],
        )
        if entry not in self.files:
            self.files.append(entry)
        return parsed

    def include(self, directive: Include, includer: Path, chain: tuple[Path, ...]) -> None:
        for path in _matches(directive, includer):
            if Path(os.path.realpath(path)) in chain:
                rule = f"includes {path}, which leads back to itself"
                raise ConfigError(rule, file=str(includer), line=directive.line)
            self.load(path, chain)


def _matches(directive: Include, includer: Path) -> list[Path]:
    folder = includer.parent
    if any(character in directive.pattern for character in "*?["):
        found = sorted(glob.glob(directive.pattern, root_dir=folder))
        return [folder / name for name in found if not os.path.isdir(folder / name)]
    path = folder / directive.pattern
    if not os.path.lexists(path):
        rule = f"includes {path}, which does not exist or is out of reach"
        raise ConfigError(rule, file=str(includer), line=directive.line)
    return [path]


def _default_path(folder: Path) -> Path | None:
    for name in _DEFAULT_NAMES:
        path = folder / name
        try:
            # A dangling link is a file that can't be read, not one that was never there.
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(f"can't be read: {error.strerror}", file=str(path)) from None
        return path
    return None


def _text(path: Path) -> str:
    """Return the text of one file, or raise ConfigError saying why that is impossible."""
    try:
        data = _content(path)
        return data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", file=str(path), line=line) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"can't be read: {reason}", file=str(path)) from None


def _content(path: Path) -> bytes:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ConfigError("can't be read: it is a folder", file=str(path))
    if not stat.S_ISREG(mode):
        # A pipe or a device could keep us waiting for ever.
        raise ConfigError("can't be read: it is not a regular file", file=str(path))
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError("can't be read: it is larger than 1 MB", file=str(path))
    return data


def _load_secrets(path: Path) -> tuple[dict[str, object], list[str]]:
    """Return the secrets, and the warnings about a file that exists and can't be used."""
    if not os.path.lexists(path):
        return {}, []
    try:
        return dict(parse_secrets(_text(path))), []
    except (ConfigError, SecretsError) as error:
        reason = error.rule if isinstance(error, ConfigError) else str(error)
        return {}, [f"Secrets file {path}: {reason}; none of its secrets are known."]
