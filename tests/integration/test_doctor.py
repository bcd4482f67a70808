"""What the doctor asks the kernel, with real sockets."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from txraker.install.doctor.processes import Processes
from txraker.install.doctor.sockets import Dialled, dial


def test_dial(tmp_path: Path) -> None:
    """Who listens at a unix socket is known; of one where nobody does, the reason is."""
    path = tmp_path / "a.sock"
    assert dial(path) == Dialled(error=errno.ENOENT)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert dial(path) == Dialled(error=errno.ECONNREFUSED)
        server.listen()
        assert dial(path) == Dialled(os.getpid())
    assert dial(tmp_path / ("x" * 200)) == Dialled(error=errno.ENAMETOOLONG)


def test_listeners() -> None:
    """Who listens on a TCP port of this machine is found, over IPv4 and IPv6."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((address, 0), family=family) as server:
            port = server.getsockname()[1]
            (listener,) = Processes(Path("/")).listeners(port)
            assert listener.address == address
            assert listener.process is not None
            assert listener.process.number == os.getpid()
        assert Processes(Path("/")).listeners(port) == ()
