"""Whether the user may work in a data path: its folders, the database, the logs and the configuration."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from attrs import frozen

from txraker.install.doctor.finding import Finding, bad, good, warning
from txraker.install.doctor.interpreter import own, user_name
from txraker.install.installation import Installation
from txraker.system.host.files import children

FOLDERS: Final = ("config", "gcodes", "logs", "comms", "database", "backup", "certs", "audit")
_WITH_FILES: Final = ("config", "database", "logs", "audit")
"""Folders whose files are looked at as well: the server writes them, or front-ends do."""

Kind = Literal["folder", "file", "other", "missing", "dangling", "closed"]
"""What is at a path; ``closed`` is what we may not even look at."""

May = Callable[[Path, int], bool]
"""Says whether we may do something to a path, as ``os.access``."""


@frozen
class Entry:
    """Something in a data path, where ``wanted`` should be; ``is_usable`` says that we may work with it."""

    path: Path
    wanted: Literal["folder", "file"]
    kind: Kind
    owner: str = ""
    is_usable: bool = True


@frozen
class DataPathFacts:
    """A data path; ``may_be_made`` matters only when it isn't there."""

    path: Path
    entries: tuple[Entry, ...]
    may_be_made: bool = False


def read_data_path(path: Path, may: May = os.access) -> DataPathFacts:
    """Return what is in a data path, and what we may do with it. What is missing is only named for itself."""
    top = _entry(path, "folder", may)
    entries = [top]
    if top.kind == "folder":
        for name in FOLDERS:
            entries += _look(path / name, may, with_files=name in _WITH_FILES)
    return DataPathFacts(path, tuple(entries), may(_nearest(path), os.W_OK | os.X_OK))


def data_path_findings(facts: DataPathFacts, installation: Installation) -> Iterator[Finding]:
    """Judge a data path."""
    top = facts.entries[0]
    if top.kind == "missing":
        yield _missing(facts, installation)
        return
    wrong = [entry for entry in facts.entries if entry.kind not in (entry.wanted, "missing")]
    for entry in wrong:
        yield _wrong(entry)
    closed = [entry for entry in facts.entries if entry.kind == entry.wanted and not entry.is_usable]
    yield from _closed(facts.path, closed, installation)
    if not (wrong or closed):
        yield good(f"{installation.user} may work in {facts.path}")


def _look(folder: Path, may: May, *, with_files: bool) -> Iterator[Entry]:
    """Yield a folder that is there, and perhaps its files."""
    entry = _entry(folder, "folder", may)
    if entry.kind == "missing":
        return
    yield entry
    if entry.kind == "folder" and with_files:
        found = (_entry(child, "file", may) for child in children(folder))
        yield from (child for child in found if child.kind == "file")


def _entry(path: Path, wanted: Literal["folder", "file"], may: May) -> Entry:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return Entry(path, wanted, "dangling" if path.is_symlink() else "missing")
    except OSError:
        return Entry(path, wanted, "closed")
    is_folder = stat.S_ISDIR(facts.st_mode)
    kind: Kind = "folder" if is_folder else "file" if stat.S_ISREG(facts.st_mode) else "other"
    needed = os.R_OK | os.W_OK | (os.X_OK if is_folder else 0)
    return Entry(path, wanted, kind, user_name(facts.st_uid), may(path, needed))


def _nearest(path: Path) -> Path:
    """Return the folder that is there and is nearest above a path."""
    return next((parent for parent in path.parents if os.path.isdir(parent)), Path("/"))


def _missing(facts: DataPathFacts, installation: Installation) -> Finding:
    says = f"There is no folder {facts.path}"
    if facts.may_be_made:
        return warning(f"{says}; the server makes it when it starts")
    owner = f"-o {shlex.quote(installation.user)} -g {shlex.quote(installation.group)}"
    return bad(
        f"{says}, and {installation.user} may not make it", f"sudo install -d {owner} {_word(facts.path)}"
    )


def _wrong(entry: Entry) -> Finding:
    if entry.kind == "closed":
        return bad(f"{entry.path} can't be looked at", f"ls -ld {' '.join(map(_word, _steps(entry.path)))}")
    what = "a link to what isn't there" if entry.kind == "dangling" else f"no {entry.wanted}"
    return bad(f"{entry.path} is {what}", f"mv {_word(entry.path)} {_word(f'{entry.path}.aside')}")


def _closed(path: Path, entries: Sequence[Entry], installation: Installation) -> Iterator[Finding]:
    """Yield whose things those are that the user may not work with."""
    for owner in sorted({entry.owner for entry in entries}):
        paths = [entry.path for entry in entries if entry.owner == owner]
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        says = f"{installation.user} may not read and write {paths[0]}{more}"
        if owner == installation.user:
            yield bad(says, f"chmod -R u+rwX {' '.join(map(_word, paths))}")
        else:
            top = path if path in paths else paths[0] if len(paths) == 1 else path
            yield bad(f"{says}, which {owner} owns", own(installation, top))


def _steps(path: Path) -> list[Path]:
    return [*reversed(path.parents), path][1:]


def _word(path: Path | str) -> str:
    return shlex.quote(str(path))
