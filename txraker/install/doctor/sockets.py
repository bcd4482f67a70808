"""Who is behind a unix socket: Klippy behind its own, and perhaps a Moonraker behind ours."""

from __future__ import annotations

import errno
import grp
import os
import shlex
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from txraker.install.doctor.finding import Finding, bad, good, unknown, warning
from txraker.install.doctor.interpreter import user_name
from txraker.install.doctor.processes import Process, Processes
from txraker.install.installation import Installation
from txraker.install.unit_command import own_words
from txraker.system.listener import process_behind

_PATIENCE: Final = 2.0


@frozen
class Dialled:
    """What came of connecting: the process at the other end, if that is known, or an error number."""

    process_id: int | None = None
    error: int | None = None


Dial = Callable[[Path], Dialled]
"""Connects to a unix socket, and ends the connection. Raises nothing."""


def dial(path: Path) -> Dialled:
    """Connect to a unix socket, on this machine."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(os.fsencode(path))
            process_id = process_behind(client)
        except OSError as problem:
            is_too_long = problem.errno is None and not isinstance(problem, TimeoutError)
            return Dialled(error=errno.ENAMETOOLONG if is_too_long else problem.errno or errno.ETIMEDOUT)
    return Dialled(process_id or None)


@frozen
class SocketFacts:
    """A unix socket. ``error`` is None when somebody answers, who is ``process`` as far as we may see.

    ``owner``, ``group`` and ``mode`` are those of what is at the path, if anything is.
    """

    path: Path
    error: int | None = None
    process: Process | None = None
    owner: str = ""
    group: str = ""
    mode: int = 0

    @property
    def is_dead(self) -> bool:
        """Whether nobody is there: no socket, or nobody who listens."""
        return self.error in (errno.ENOENT, errno.ECONNREFUSED)

    @property
    def reason(self) -> str:
        """Why nobody answers."""
        return os.strerror(self.error or 0)


def read_socket(path: Path, dial: Dial, processes: Processes) -> SocketFacts:
    """Return who is behind a socket."""
    try:
        facts = path.stat()
    except OSError as problem:
        return SocketFacts(path, problem.errno)
    owner, group = user_name(facts.st_uid), _group_name(facts.st_gid)
    if not stat.S_ISSOCK(facts.st_mode):
        return SocketFacts(path, errno.ENOTSOCK, None, owner, group, facts.st_mode)
    dialled = dial(path)
    process = None if dialled.process_id is None else processes.named(dialled.process_id)
    return SocketFacts(path, dialled.error, process, owner, group, facts.st_mode)


def klippy_findings(facts: SocketFacts, installation: Installation) -> Iterator[Finding]:
    """Judge Klippy's socket."""
    path = facts.path
    if facts.error is None:
        yield good(f"Klippy listens at {path}{f': {facts.process}' if facts.process else ''}")
    elif facts.error == errno.ENOENT:
        says = f"There is no {path}: Klipper doesn't run, or wasn't given `-a {path}`"
        yield warning(says, "sudo systemctl start klipper")
    elif facts.error == errno.ECONNREFUSED:
        yield warning(f"Nobody listens at {path}: Klipper has ended", "sudo systemctl restart klipper")
    elif facts.error in (errno.EACCES, errno.EPERM):
        yield _forbidden(facts, installation)
    elif facts.error == errno.ENOTSOCK:
        mend = f"rm {shlex.quote(str(path))} && sudo systemctl restart klipper"
        yield bad(f"{path} should be Klippy's socket, and is something else", mend)
    else:
        yield bad(f"Klippy can't be reached at {path}: {facts.reason}", "sudo systemctl restart klipper")


def own_socket_findings(facts: SocketFacts, data_path: Path, installation: Installation) -> Iterator[Finding]:
    """Judge the socket that a server of this data path listens at."""
    process = facts.process
    if facts.is_dead:
        yield good(f"No server uses {data_path} now")
    elif facts.error == errno.ENOTSOCK:
        mend = f"mv {shlex.quote(str(facts.path))} {shlex.quote(f'{facts.path}.aside')}"
        yield bad(f"{facts.path} should be the server's socket, and is something else", mend)
    elif facts.error is not None:
        yield unknown(f"Whether a server uses {data_path} can't be seen: {facts.path}: {facts.reason}")
    elif process is None:
        yield unknown(f"A server uses {data_path} now, which one can't be seen")
    elif process.is_txraker or process.unit == installation.unit:
        yield good(f"txraker serves {data_path} now (process {process.number})")
    else:
        yield bad(f"Another server uses {data_path}: {process}", process.end(installation))


def _forbidden(facts: SocketFacts, installation: Installation) -> Finding:
    says = f"{installation.user} may not connect to {facts.path}"
    if not facts.owner:
        return bad(f"{says}: a folder above it is closed")
    says = f"{says}, which belongs to {facts.owner} and the group {facts.group}"
    if facts.mode & stat.S_IWGRP and facts.group != "root":
        mend = f"sudo usermod -aG {shlex.quote(facts.group)} {shlex.quote(installation.user)}"
        return bad(f"{says}; after the command, log in again", mend)
    return bad(f"{says}: let one user run both", own_words(installation, "--write", user=facts.owner))


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
