"""Who is behind sockets and ports."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path

import pytest
from attrs import evolve

from tests.install.fakes import INSTALLATION
from txraker.config.options import ServerOptions
from txraker.install.doctor.finding import bad, good, unknown, warning
from txraker.install.doctor.ports import PortFacts, port_findings, read_port, wanted_ports
from txraker.install.doctor.processes import Listener, Process, Processes
from txraker.install.doctor.sockets import (
    Dialled,
    SocketFacts,
    klippy_findings,
    own_socket_findings,
    read_socket,
)
from txraker.install.unit_command import own_words

DATA = Path("/home/pi/printer_data")
MOONRAKER = Process(812, ("/home/pi/moonraker-env/bin/python", "-m", "moonraker"), "moonraker.service")
OURS = Process(900, ("/env/bin/python3", "/env/bin/twistd", "--nodaemon", "txraker"), None)
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def process(root: Path, number: int, words: str = "", cgroup: str = "", inode: int | None = None) -> None:
    """Put a process into a tree like ``/proc``."""
    folder = root / "proc" / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_text(words.replace(" ", "\0") + "\0")
    (folder / "comm").write_text("comm\n")
    (folder / "cgroup").write_text(cgroup)
    (folder / "fd" / "0").symlink_to("/dev/null")
    if inode is not None:
        (folder / "fd" / "7").symlink_to(f"socket:[{inode}]")


def table(root: Path, name: str, *lines: str) -> None:
    """Put a table of sockets into a tree like ``/proc``."""
    path = root / "proc" / "net" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))


def line(address: bytes, port: int, inode: int, state: str = "0A", user_id: int = 0) -> str:
    """Return a line of such a table, with an address as the kernel writes it on this machine."""
    words = "".join(f"{word:08X}" for word in struct.unpack(f"={len(address) // 4}I", address))
    between = "00000000:00000000 00:00000000 00000000"
    return f"   0: {words}:{port:04X} 00000000:0000 {state} {between} {user_id} 0 {inode} 1"


def test_listeners(tmp_path: Path) -> None:
    """Who listens on a port is found by the socket's number, over IPv4 and IPv6; others aren't."""
    table(
        tmp_path,
        "tcp",
        line(b"\x7f\0\0\1", 7125, 11),
        line(b"\0\0\0\0", 7126, 12),
        line(b"\x7f\0\0\1", 7125, 13, state="01"),
        "nonsense",
        "1: ZZ:1BD5 0:0 0A 0 0 0 0 0 99",
    )
    table(tmp_path, "tcp6", line(b"\0" * 15 + b"\1", 7125, 14, user_id=3_999_999))
    process(tmp_path, 812, "/usr/bin/python3 -m moonraker", "0::/system.slice/moonraker.service\n", 11)
    process(tmp_path, 813, "other")
    (tmp_path / "proc" / "self").mkdir()
    found = Processes(tmp_path).listeners(7125)
    moonraker = Process(812, ("/usr/bin/python3", "-m", "moonraker"), "moonraker.service")
    assert found == (Listener("127.0.0.1", "root", moonraker), Listener("::1", "3999999", None))
    assert Processes(tmp_path / "nothing").listeners(7125) == ()


def test_process_that_may_not_be_seen(tmp_path: Path) -> None:
    """A process without a command line, as the kernel's, has its short name, or none."""
    process(tmp_path, 5)
    assert Processes(tmp_path).named(5) == Process(5, ("comm",))
    assert str(Processes(tmp_path).named(6)) == "a program (process 6)"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("/usr/sbin/nginx:", "master"), "nginx:"),
        (("/env/bin/python3.11", "/home/pi/moonraker/moonraker.py", "-d", "x"), "moonraker.py"),
        (("python", "-m", "moonraker"), "moonraker"),
        (("python3",), "python3"),
        ((), "a program"),
    ],
)
def test_process_names(words: tuple[str, ...], name: str) -> None:
    """A process is called what it runs."""
    assert Process(1, words).name == name


def test_ours() -> None:
    """A server of ours is known by its command line."""
    assert OURS.is_txraker
    assert not MOONRAKER.is_txraker
    assert not Process(1, ("vim", "txraker")).is_txraker


@pytest.mark.parametrize(
    ("host", "address", "collides"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("all", "::1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "192.0.2.1", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("localhost", "127.0.0.1", True),
    ],
)
def test_addresses(tmp_path: Path, host: str, address: str, collides: bool) -> None:
    """Who listens elsewhere on the same port isn't in the way."""

    class Listening(Processes):
        def listeners(self, port: int) -> tuple[Listener, ...]:
            return (Listener(address, "root", None),)

    assert bool(read_port(7125, host, Listening(tmp_path)).listeners) is collides


def test_ports() -> None:
    """A port is free, ours, or taken by somebody, who is named with what ends it, or moves it."""
    taken = PortFacts(7125, (Listener("::", "pi", None), Listener("0.0.0.0", "pi", MOONRAKER)))
    assert list(port_findings(PortFacts(7125, ()), INSTALLATION)) == [good("Port 7125 is free")]
    assert list(port_findings(taken, INSTALLATION)) == [
        bad(
            "Port 7125 is taken by moonraker (process 812, moonraker.service)",
            "/home/pi/env/bin/txraker migrate --dry-run",
        )
    ]
    for unit, mend in {
        "moonraker-2.service": "/home/pi/env/bin/txraker migrate --service moonraker-2 --dry-run",
        "a;b.service": "sudo systemctl disable --now 'a;b.service'",
        "moonraker-obico.service": "sudo systemctl disable --now moonraker-obico.service",
    }.items():
        other = PortFacts(7125, (Listener("::", "pi", evolve(MOONRAKER, unit=unit)),))
        assert next(iter(port_findings(other, INSTALLATION))).mend == mend
    by_hand = PortFacts(7125, (Listener("::", "pi", evolve(MOONRAKER, unit=None)),))
    assert next(iter(port_findings(by_hand, INSTALLATION))).mend == "sudo kill 812"
    unseen = PortFacts(7125, taken.listeners[:1])
    assert list(port_findings(unseen, INSTALLATION)) == [
        bad("Port 7125 is taken by a program of pi's", "sudo ss -ltnp sport = :7125")
    ]
    for process in (OURS, Process(900, (), "txraker.service")):
        ours = PortFacts(7125, (Listener("::", "pi", process),))
        assert list(port_findings(ours, INSTALLATION)) == [good("txraker answers at port 7125 (process 900)")]


def test_wanted_ports(tmp_path: Path) -> None:
    """The port for HTTPS is wanted where there is a certificate."""
    assert wanted_ports(ServerOptions(), tmp_path) == (7125,)
    assert wanted_ports(ServerOptions(enable_http=False), tmp_path) == (7130,)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "moonraker.cert").touch()
    assert wanted_ports(ServerOptions(port=80, ssl_port=443), tmp_path) == (80, 443)


def refused_by_kernel(_: Path) -> Dialled:
    """Be a socket that may not be connected to."""
    return Dialled(error=errno.EACCES)


def test_socket_is_read(tmp_path: Path) -> None:
    """What is at a socket's path is seen, and who answers; nothing is dialled that is no socket."""
    path = tmp_path / "klippy.sock"
    processes = Processes(tmp_path)
    assert read_socket(path, refused_by_kernel, processes) == SocketFacts(path, errno.ENOENT)
    path.touch()
    assert read_socket(path, refused_by_kernel, processes).error == errno.ENOTSOCK
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o660)
    facts = read_socket(path, refused_by_kernel, processes)
    assert (facts.error, stat.S_IMODE(facts.mode)) == (errno.EACCES, 0o660 & ~_umask())
    process(tmp_path, 5, "/klippy-env/bin/python klippy.py")
    answered = read_socket(path, lambda _: Dialled(5), processes)
    assert (answered.error, str(answered.process)) == (None, "klippy.py (process 5)")
    assert read_socket(path, lambda _: Dialled(), processes).process is None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


KLIPPY = SocketFacts(Path("/tmp/klippy_uds"), None, None, "klipper", "klipper", stat.S_IFSOCK | 0o660)


@pytest.mark.parametrize(
    ("error", "level", "mend"),
    [
        (None, "good", None),
        (errno.ENOENT, "warning", "sudo systemctl start klipper"),
        (errno.ECONNREFUSED, "warning", "sudo systemctl restart klipper"),
        (errno.EACCES, "bad", "sudo usermod -aG klipper pi"),
        (errno.ENOTSOCK, "bad", "rm /tmp/klippy_uds && sudo systemctl restart klipper"),
        (errno.ETIMEDOUT, "bad", "sudo systemctl restart klipper"),
    ],
)
def test_klippy(error: int | None, level: str, mend: str | None) -> None:
    """Whatever is wrong with Klippy's socket is told with what mends it."""
    (finding,) = klippy_findings(evolve(KLIPPY, error=error), INSTALLATION)
    assert (finding.level, finding.mend) == (level, mend)
    assert "/tmp/klippy_uds" in finding.says


def test_klippy_of_another_user() -> None:
    """Where a group doesn't help, one user has to run both; a folder that is closed has no remedy here."""
    closed = evolve(KLIPPY, error=errno.EACCES, mode=stat.S_IFSOCK | 0o755)
    (finding,) = klippy_findings(closed, INSTALLATION)
    assert finding.mend == own_words(INSTALLATION, "--write", user="klipper")
    (finding,) = klippy_findings(SocketFacts(KLIPPY.path, errno.EACCES), INSTALLATION)
    assert finding == bad("pi may not connect to /tmp/klippy_uds: a folder above it is closed")


def test_klippy_is_named() -> None:
    """The process that answers is named."""
    (finding,) = klippy_findings(evolve(KLIPPY, process=Process(5, ("klippy.py",))), INSTALLATION)
    assert finding == good("Klippy listens at /tmp/klippy_uds: klippy.py (process 5)")


def test_own_socket() -> None:
    """A data path is free, ours, or another server's, who is named with the command that ends it."""
    path = DATA / "comms" / "moonraker.sock"
    cases = {
        SocketFacts(path, errno.ENOENT): good(f"No server uses {DATA} now"),
        SocketFacts(path, errno.ECONNREFUSED): good(f"No server uses {DATA} now"),
        SocketFacts(path, errno.ENOTSOCK): bad(
            f"{path} should be the server's socket, and is something else", f"mv {path} {path}.aside"
        ),
        SocketFacts(path, errno.EACCES): unknown(
            f"Whether a server uses {DATA} can't be seen: {path}: Permission denied"
        ),
        SocketFacts(path): unknown(f"A server uses {DATA} now, which one can't be seen"),
        SocketFacts(path, None, OURS): good(f"txraker serves {DATA} now (process 900)"),
        SocketFacts(path, None, MOONRAKER): bad(
            f"Another server uses {DATA}: moonraker (process 812, moonraker.service)",
            "/home/pi/env/bin/txraker migrate --dry-run",
        ),
    }
    for facts, expected in cases.items():
        assert list(own_socket_findings(facts, DATA, INSTALLATION)) == [expected]


def test_levels() -> None:
    """A warning isn't bad."""
    assert warning("a") != bad("a")
