"""The process that reads gcode files: ``python -m txraker.metadata.worker``, told what to do on its input.

It gives way to everything else on the machine, and takes no more memory and time than it is allowed: files
are somebody else's. It ends when its input does.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from txraker.metadata.messages import Hello, Reply, Request, Unreadable
from txraker.metadata.objects import command
from txraker.metadata.reader import findings

MEMORY: Final = 512 * 1024 * 1024
"""Bytes of address space."""

LARGEST_FILE: Final = 4 * 1024 * 1024 * 1024
"""Bytes of a file that it may write."""

NICE: Final = 15

_IOPRIO_SET: Final = {
    ("x86_64", True): 251,
    ("aarch64", True): 30,
    ("riscv64", True): 30,
    ("aarch64", False): 314,
    ("armv7l", False): 314,
    ("armv6l", False): 314,
    ("i686", False): 289,
}
"""The number of a system call that libc has no function for, by the machine and whether we are 64 bit."""

_IDLE: Final = 3 << 13


def main() -> None:
    """Work off requests, one after the other."""
    humble()
    serve(sys.stdin.buffer, sys.stdout.buffer, allow)


def humble() -> None:
    """Give way to others, and end with all that we start if we are killed as a group."""
    with suppress(OSError):
        os.setpgid(0, 0)
    with suppress(OSError):
        os.nice(NICE)
    _idle_disk()
    for limit, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, LARGEST_FILE)):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _idle_disk() -> None:
    """Read and write only when nobody else does, where that can be asked for."""
    call = _IOPRIO_SET.get((platform.machine(), sys.maxsize > 2**32))
    if call is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syscall(call, 1, 0, _IDLE)


def serve(requests: BinaryIO, replies: BinaryIO, allow: Callable[[int], None]) -> None:
    """Answer each request with one or more replies; ``allow`` is told its CPU time before."""
    _say(replies, Hello())
    program = command()
    for line in requests:
        request = msgspec.json.decode(line, type=Request)
        allow(request.cpu_seconds)
        try:
            for found in findings(Path(request.path), program if request.mark_objects else None):
                _say(replies, msgspec.structs.replace(found, memory=_memory()))
        except (OSError, ValueError, MemoryError) as problem:
            reason = str(problem) or type(problem).__name__
            _say(replies, Unreadable(reason, may_pass=not isinstance(problem, ValueError)))


def _say(replies: BinaryIO, reply: Reply) -> None:
    replies.write(msgspec.json.encode(reply) + b"\n")
    replies.flush()


def allow(seconds: int) -> None:
    """Let the kernel end us when we have used so much more of a core."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + seconds
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _memory() -> int:
    """Return the most memory used so far, in KiB; what ``getrusage`` says includes who started us."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
