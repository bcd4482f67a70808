"""What other processes, their sudden deaths and the machine's disks do to a database."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.storage.bench import Server, another_process, kill, line_of, look, read, serving, write
from txraker.storage.database import StorageError


def test_kill(tmp_path: Path) -> None:
    """A process that is killed while it writes loses nothing that it was answered, and the file is whole."""
    for rounds in range(1, 5):
        with another_process("count", tmp_path) as process:
            assert line_of(process) == "open"
            answered = [line_of(process) for _ in range(40 * rounds)]
            answered += kill(process)
        with serving(tmp_path) as server:
            kept = server.run(read)
        assert kept == [str(number) for number in range(len(kept))]
        assert len(kept) - (int(answered[-1]) + 1) in (0, 1)


def test_second_process(tmp_path: Path) -> None:
    """A file that another process has open is refused until that ends, even by being killed."""
    with another_process("hold", tmp_path) as process:
        assert line_of(process) == "open"
        server = Server(tmp_path)
        with pytest.raises(StorageError, match="in use by another server"):
            server.start()
        kill(process)
        with serving(tmp_path) as server:
            assert server.run(write("mine now")) == 1


def test_we_are_first(tmp_path: Path) -> None:
    """Another process can't have a file that we have open, and can after we have stopped."""
    with serving(tmp_path) as server, another_process("try", tmp_path) as process:
        assert line_of(process) == f"{server.database.path}: it is in use by another server"
        assert process.wait() == 0
        assert server.run(write("fine")) == 1
    with another_process("try", tmp_path) as process:
        assert line_of(process) == "open"
        assert process.wait() == 0


def test_child_process(tmp_path: Path) -> None:
    """A program that we start doesn't keep the file from the server after us."""
    with serving(tmp_path):
        child = subprocess.Popen(["sleep", "100"], close_fds=False)
    try:
        with serving(tmp_path) as server:
            assert server.run(write("fine")) == 1
    finally:
        child.kill()
        child.wait()


def ordinary() -> Sequence[str]:
    """Return what starts a program for which permissions count, which they don't for a superuser."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv when run by a superuser")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@pytest.mark.parametrize(
    ("forbid", "expected"),
    [
        (lambda file: file.chmod(0o400), "txraker.db: Permission denied"),
        (lambda file: file.chmod(0), "txraker.db: Permission denied"),
        (lambda file: file.parent.chmod(0o500), "(SQLITE_READONLY_DIRECTORY)"),
        (lambda file: file.parent.chmod(0), "txraker.db.lock: Permission denied"),
        (lambda file: file.with_name("txraker.db.lock").chmod(0o400), "lock: Permission denied"),
    ],
)
def test_not_ours_to_write(tmp_path: Path, forbid: Callable[[Path], None], expected: str) -> None:
    """A file or a folder that we may not read and write is refused, and left as it is."""
    prefix = ordinary()
    with serving(tmp_path) as server:
        server.run(write("precious"))
    file = server.database.path
    forbid(file)
    try:
        with another_process("try", tmp_path, prefix) as process:
            assert line_of(process).endswith(expected)
            assert process.wait() == 0
    finally:
        file.parent.chmod(0o700)
        file.chmod(0o600)
    assert look(file) == (1, ["precious"])


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    """A data path in which nothing can be made is named."""
    prefix = ordinary()
    tmp_path.chmod(0o500)
    try:
        with another_process("try", tmp_path, prefix) as process:
            assert line_of(process) == f"{tmp_path / 'database'}: Permission denied"
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_no_space(tmp_path: Path) -> None:
    """A disk that takes nothing more is told, and what is on it stays."""
    for _ in range(2):
        with another_process("try", tmp_path, sized(0)) as process:
            assert "disk I/O error" in line_of(process)
            assert process.wait() == 0
        with serving(tmp_path) as server:
            server.run(write("precious"))
    with serving(tmp_path) as server:
        assert server.run(read) == ["precious", "precious"]


def test_space_that_runs_out(tmp_path: Path) -> None:
    """When a disk takes nothing more, that is the answer to work, and what was answered before stays."""
    with another_process("count", tmp_path, sized(100_000)) as process:
        assert line_of(process) == "open"
        answered = []
        while (line := line_of(process)).isdecimal():
            answered.append(line)
        assert process.wait() == 0
    assert len(answered) > 3
    assert line.endswith("txraker.db: disk I/O error (SQLITE_IOERR_WRITE)")
    with serving(tmp_path) as server:
        assert server.run(read) == answered


def sized(most: int) -> Sequence[str]:
    """Return what starts a program that may write so many bytes to a file."""
    if shutil.which("prlimit") is None:
        pytest.skip("needs prlimit")
    return ("prlimit", f"--fsize={most}")
