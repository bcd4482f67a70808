"""Which processes there are, and which of them listen on a TCP port. Contract: proc(5)."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.doctor.interpreter import user_name
from txraker.install.installation import DEFAULT_NAME, Installation
from txraker.system.cgroups import unit_of_cgroups
from txraker.system.host.files import children, read_text
from txraker.system.services import DEFAULT_ALLOWED, service_name

_LISTENING: Final = "0A"
_PYTHON: Final = re.compile(r"python[0-9.]*")
_NAMED_LIKE_IT: Final = tuple(service for service in DEFAULT_ALLOWED if service.startswith("moonraker"))


def is_moonraker(unit: str) -> bool:
    """Say whether a service is a Moonraker by its name, and not only named like one."""
    return unit.startswith("moonraker") and not unit.startswith(_NAMED_LIKE_IT) and "@." not in unit


def migration_words(installation: Installation, unit: str) -> str:
    """Return the command, for a shell, that shows how to move in from a Moonraker."""
    service = service_name(unit)
    which = [] if service == "moonraker" else ["--service", service]
    name = [] if installation.name == DEFAULT_NAME else ["--name", installation.name]
    return shlex.join([str(installation.twistd.with_name("txraker")), "migrate", *which, *name, "--dry-run"])


@frozen
class Process:
    """A process: its number, its command line (empty if we may not see it) and the service it belongs to."""

    number: int
    words: tuple[str, ...] = ()
    unit: str | None = None

    @property
    def name(self) -> str:
        """What a person calls it: the program, or what Python runs."""
        names = [Path(word).name for word in self.words]
        if names and _PYTHON.fullmatch(names[0]):
            names = [
                name for word, name in zip(self.words[1:], names[1:], strict=True) if word[:1] != "-"
            ] or names
        return names[0] if names else "a program"

    @property
    def is_txraker(self) -> bool:
        """Whether it is a server of ours, by its command line."""
        return "txraker" in self.words and any(Path(word).name == "twistd" for word in self.words)

    def __str__(self) -> str:
        return f"{self.name} (process {self.number}{f', {self.unit}' if self.unit else ''})"

    def end(self, installation: Installation) -> str:
        """Return the command that ends it, for good if it is a service; for a Moonraker how to move in."""
        if self.unit is None:
            return f"sudo kill {self.number}"
        if is_moonraker(self.unit):
            return migration_words(installation, self.unit)
        return f"sudo systemctl disable --now {shlex.quote(self.unit)}"


@frozen
class Listener:
    """Who listens on a TCP port at an address; the process is None when we may not see it."""

    address: str
    user: str
    process: Process | None


@frozen
class Processes:
    """Reads ``/proc`` below ``root``."""

    _root: Path

    def named(self, number: int) -> Process:
        """Return what is known of a process."""
        folder = self._root / "proc" / str(number)
        words = [word for word in read_text(folder / "cmdline").split("\0") if word]
        name = read_text(folder / "comm")
        known = tuple(words) or ((name,) if name else ())
        return Process(number, known, unit_of_cgroups(read_text(folder / "cgroup")))

    def listeners(self, port: int) -> tuple[Listener, ...]:
        """Return who listens on a port."""
        found = [
            listener
            for name in ("tcp", "tcp6")
            for listener in _listening(read_text(self._root / "proc/net" / name), port)
        ]
        owners = self._owners({inode for _, _, inode in found})
        return tuple(
            Listener(address, user_name(user_id), owners.get(inode)) for address, user_id, inode in found
        )

    def _owners(self, inodes: set[int]) -> dict[int, Process]:
        """Return the processes that hold sockets, as far as we may see them."""
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        owners: dict[int, Process] = {}
        for folder in children(self._root / "proc") if wanted else ():
            if not folder.name.isdecimal():
                continue
            for link in children(folder / "fd"):
                with suppress(OSError):
                    inode = wanted.get(os.readlink(link))
                    if inode is not None:
                        owners.setdefault(inode, self.named(int(folder.name)))
        return owners


def _listening(table: str, port: int) -> Iterator[tuple[str, int, int]]:
    """Yield address, user id and inode of the sockets that listen on a port."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        with suppress(IndexError, ValueError, struct.error):
            address, _, number = fields[1].rpartition(":")
            if fields[3] == _LISTENING and int(number, 16) == port:
                yield _address(address), int(fields[7]), int(fields[9])


def _address(text: str) -> str:
    """Return an address that the kernel writes as words of the machine's own byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))
