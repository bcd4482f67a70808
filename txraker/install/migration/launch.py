"""How a Moonraker is started: which data path and which configuration it has by that.

Contract: "Command line usage" and "The environment file" of Moonraker's installation document, and
systemd.service(5), "Command lines", systemd.exec(5), ``EnvironmentFile=``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from attrs import frozen

DEFAULT_DATA_FOLDER: Final = "printer_data"

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_WORD: Final = re.compile(r"\$(\w+)")


@frozen
class Launch:
    """What a Moonraker is started with. ``config_path`` is None when nothing is said about it."""

    data_path: Path
    config_path: Path | None = None


def launch_of(words: Sequence[str], variables: Mapping[str, str], folder: Path, home: Path) -> Launch:
    """Return what a command line and its environment say; ``folder`` is where it is started."""
    data_path = _option(words, "-d", "--datapath") or variables.get("MOONRAKER_DATA_PATH")
    config_path = _option(words, "-c", "--configfile") or variables.get("MOONRAKER_CONFIG_PATH")
    return Launch(
        _path(data_path, folder, home) if data_path else home / DEFAULT_DATA_FOLDER,
        _path(config_path, folder, home) if config_path else None,
    )


def command_of(shown: str) -> list[str]:
    """Return the words of a unit's command as ``systemctl show --property=ExecStart`` has it."""
    found = re.search(r"argv\[\]=(.*?) ; ignore_errors=", shown, re.DOTALL)
    return _split(found[1]) if found else []


def expanded(words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return words with their variables replaced: ``$NAME`` may be several, ``${NAME}`` is part of one."""
    return [part for word in words for part in _expanded(word, variables)]


def variables_in(text: str) -> dict[str, str]:
    """Return what an environment file says."""
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        name, is_set, value = line.strip().partition("=")
        if is_set and not name.startswith(("#", ";")):
            found[name.strip()] = " ".join(_split(value))
    return found


def environment_files(shown: str) -> Iterator[str]:
    """Yield the paths of ``systemctl show --property=EnvironmentFiles``."""
    for line in shown.splitlines():
        path = line.rpartition(" (ignore_errors=")[0]
        if path:
            yield path


def _option(words: Sequence[str], short: str, long: str) -> str | None:
    """Return an option's value as argparse understands it: the last that is given."""
    found = None
    for word, following in zip_longest(words, words[1:]):
        if word in (short, long):
            found = following
        elif word.startswith(f"{long}="):
            found = word.removeprefix(f"{long}=")
        elif word.startswith(short) and not word.startswith("--"):
            found = word.removeprefix(short)
    return found


def _path(text: str, folder: Path, home: Path) -> Path:
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    return folder / text


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that isn't closed
        return text.split()


def _expanded(word: str, variables: Mapping[str, str]) -> list[str]:
    alone = _WORD.fullmatch(word)
    if alone:
        return _split(variables.get(alone[1], ""))
    return [_VARIABLE.sub(lambda found: variables.get(found[1], ""), word)]
