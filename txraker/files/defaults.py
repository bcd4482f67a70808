"""The roots that every printer has, and what of its data nobody gets to see.

Contract: "File Management" and the data folder's structure in Moonraker's installation document: the folders
may be links, and it doesn't matter where Klippy's ``virtual_sdcard`` says it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from txraker.files.gcodes import GCODES
from txraker.files.places import Root, Roots

CONFIG, LOGS = "config", "logs"

_PRIVATE = ("database", "certs", "audit", "comms", "backup")
_SECRETS = ("moonraker.secrets", "txraker.secrets")

_KLIPPER_FOLDERS = {"config_examples": "config", "docs": "docs"}


def default_roots(data_path: Path, *, config_is_writable: bool) -> Roots:
    """Return the roots below a printer's data path."""
    roots = Roots()
    roots.put(Root(CONFIG, _real(data_path / CONFIG), config_is_writable))
    roots.put(Root(LOGS, _real(data_path / LOGS)))
    roots.put(Root(GCODES, _real(data_path / GCODES), is_writable=True))
    return roots


def klipper_roots(klipper_path: Path) -> list[Root]:
    """Return the roots that are in Klipper's folder, if they are there. It looks at the disk."""
    found = [Root(name, _real(klipper_path / folder)) for name, folder in _KLIPPER_FOLDERS.items()]
    return [root for root in found if root.path.is_dir()]


def reserved_paths(data_path: Path, code: Path, neighbours: Iterable[Path] = ()) -> dict[str, Path]:
    """Return what isn't to be reached by any link: private data, and the ``code`` that we are.

    ``neighbours`` are the data paths of other printers of this process, whose users are others.
    """
    names = (*_PRIVATE, *_SECRETS)
    theirs = {f"{path.name}/{name}": path / name for path in neighbours for name in names}
    return {**theirs, **{name: data_path / name for name in names}, "txraker": code}


def default_link_targets(home: Path) -> tuple[Path, ...]:
    """Return the folders that links may lead to: the user's own, and where disks are mounted.

    Front-ends link their ``mainsail.cfg`` into ``config``, and sticks are linked into ``gcodes``.
    """
    mounts = (Path("/media"), Path("/mnt"), Path("/run/media"))
    return mounts if home == Path("/") else (home, *mounts)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
