"""Files on their way to their places: hidden until they are whole, and nothing left when they never are."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.files.bench import FileServer
from tests.tools import caller, result_of, start
from txraker.api.caller import NOBODY, Caller, Role, Transport, Who
from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InsufficientStorage,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
)
from txraker.files import ufp as ufp_module
from txraker.files.guard import FileInUseUnknown
from txraker.files.partial import (
    SURELY_OLD,
    SYNC_EVERY,
    PartialFile,
    check_space,
    is_partial,
    make_folders,
    partial_folder,
    remove_leftovers,
)
from txraker.files.turns import Turns
from txraker.files.uploads import Uploaded

LEFTOVER = ".txraker-0123456789abcdef.part"
OPERATOR = Who("oscar", Role.OPERATOR)
VIEWER = Who("vera", Role.VIEWER)


@pytest.fixture
def server(tmp_path: Path) -> FileServer:
    """Receive files in folders."""
    return FileServer(tmp_path, MemoryReactorClock())


def send(server: FileServer, content: bytes, name: str, by: Caller | None = None, **fields: str) -> Uploaded:
    """Upload a file."""
    upload = server.uploads.upload(by or caller(Transport.HTTP), len(content))
    try:
        upload.begin(name, {}).write(content)
        return result_of(upload.complete(fields))
    finally:
        upload.discard()


def failing(monkeypatch: pytest.MonkeyPatch, function: str, number: int, after: int = 0) -> None:
    """Let a function of the system fail, after it has worked a few times."""
    real = getattr(os, function)
    calls = iter(range(1000))

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(calls) < after:
            return real(*arguments, **options)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)


def test_partial_file(tmp_path: Path) -> None:
    """A file is hidden while it is written, and is put in place as a whole, for all to read."""
    previous = os.umask(0o077)
    try:
        file = PartialFile.create(tmp_path)
    finally:
        os.umask(previous)
    file.write(b"G28\n")
    file.write(b"M84\n")
    (name,) = os.listdir(tmp_path)
    assert is_partial(name)
    assert (file.size, file.checksum) == (8, hashlib.sha256(b"G28\nM84\n").hexdigest())
    about = file.publish(tmp_path / "a.gcode")
    file.discard()
    assert os.listdir(tmp_path) == ["a.gcode"]
    assert (tmp_path / "a.gcode").read_bytes() == b"G28\nM84\n"
    assert (about.st_size, stat.S_IMODE(about.st_mode)) == (8, 0o644)


def test_discarded(tmp_path: Path) -> None:
    """A file that is discarded is gone, and may be so twice."""
    file = PartialFile.create(tmp_path)
    file.discard()
    file.discard()
    assert os.listdir(tmp_path) == []


def test_order_of_safety(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's content is on the disk before it gets its name, and its name before it is told of."""
    done: list[str] = []

    def noting(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def note(*arguments: object) -> object:
            done.append(name)
            return real(*arguments)

        return note

    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, noting(name))
    PartialFile.create(tmp_path).publish(tmp_path / "a")
    assert done == ["fsync", "rename", "fsync"]


def test_synced_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written goes to the disk from time to time, not all of it at the end."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    file = PartialFile.create(tmp_path)
    for _ in range(5):
        file.write(b"x" * (SYNC_EVERY // 2))
    file.discard()
    assert len(synced) == 2


def test_other_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written on another disk than where it belongs is put in place as a whole, too."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    failing_once = iter([True])
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if next(failing_once, False):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    file = PartialFile.create(tmp_path / "here")
    file.write(b"G28\n")
    file.publish(tmp_path / "there" / "a")
    assert (tmp_path / "there" / "a").read_bytes() == b"G28\n"
    assert os.listdir(tmp_path / "here") == []
    assert os.listdir(tmp_path / "there") == ["a"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, InsufficientStorage),
        (errno.EDQUOT, InsufficientStorage),
        (errno.EROFS, Forbidden),
        (errno.EIO, Unavailable),
    ],
)
@pytest.mark.parametrize("function", ["open", "write", "fsync", "rename"])
def test_failing_disk(
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[ApiError],
    function: str,
) -> None:
    """Whatever the disk refuses, and whenever, is told as what it is and leaves nothing behind."""
    failing(monkeypatch, function, number)
    with pytest.raises(kind):
        send(server, b"G28\n", "a.gcode")
    monkeypatch.undo()
    assert server.names() == []


def test_space(tmp_path: Path) -> None:
    """What doesn't fit on the disk is refused before it is written."""
    check_space(tmp_path, 1)
    with pytest.raises(InsufficientStorage, match="bytes are needed"):
        check_space(tmp_path, 2**62)


def test_folders(tmp_path: Path) -> None:
    """Folders are made with those they are in, readable by all, and may be there."""
    previous = os.umask(0o077)
    try:
        make_folders(tmp_path / "a" / "b")
        make_folders(tmp_path / "a" / "b")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o755
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRequest):
        make_folders(tmp_path / "file" / "x")


def test_leftovers(tmp_path: Path) -> None:
    """What a crash has left is removed wherever it is; files of others, and those being written, stay."""
    (tmp_path / "sub").mkdir()
    for name in (LEFTOVER, f"sub/{LEFTOVER}", "a.gcode", ".txraker-x.part", f"{LEFTOVER}.gcode"):
        (tmp_path / name).write_text("x")
    written = PartialFile.create(tmp_path)
    assert sorted(remove_leftovers([tmp_path], 0.0)) == [tmp_path / LEFTOVER, tmp_path / "sub" / LEFTOVER]
    assert written.path.exists()
    written.discard()
    assert remove_leftovers([tmp_path, tmp_path / "nope"], 0.0) == []
    assert len(list(tmp_path.rglob("*part*"))) == 2


def test_leftovers_that_are_folders(tmp_path: Path) -> None:
    """Half a copy of a folder is removed with all that is in it; one that is being made stays."""
    (tmp_path / "sub" / LEFTOVER / "inner").mkdir(parents=True)
    (tmp_path / "sub" / LEFTOVER / "inner" / "a.gcode").write_text("x")
    with partial_folder(tmp_path) as made:
        (made / "a.gcode").write_text("x")
        assert remove_leftovers([tmp_path], 0.0) == [tmp_path / "sub" / LEFTOVER]
        assert (made / "a.gcode").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["sub"]


def test_leftovers_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk knows no locks, only what is old is removed."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    written = PartialFile.create(tmp_path)
    now = written.path.stat().st_mtime
    assert remove_leftovers([tmp_path], now + SURELY_OLD - 1) == []
    assert remove_leftovers([tmp_path], now + SURELY_OLD + 1) == [written.path]


def test_leftover_that_is_a_link(tmp_path: Path) -> None:
    """A link of such a name is left alone, and so is what it points to."""
    (tmp_path / "precious").write_text("x")
    (tmp_path / LEFTOVER).symlink_to(tmp_path / "precious")
    assert remove_leftovers([tmp_path], 0.0) == []
    assert (tmp_path / "precious").exists()


def test_at_start(server: FileServer, tmp_path: Path) -> None:
    """Leftovers are looked for in every root that is written to."""
    for root in ("gcodes", "config", "logs"):
        (tmp_path / root / LEFTOVER).write_text("x")
    removed = result_of(server.uploads.remove_leftovers())
    assert {path.parent.name for path in removed} == {"gcodes", "config"}


def test_who_may(server: FileServer) -> None:
    """Operators send what is to be printed, admins all else; who may not is noted."""
    with pytest.raises(Unauthorized):
        server.uploads.upload(caller(Transport.HTTP, who=NOBODY), 1)
    with pytest.raises(Forbidden):
        server.uploads.upload(caller(Transport.HTTP, who=VIEWER), 1)
    operator = caller(Transport.HTTP, who=OPERATOR)
    assert send(server, b"x", "a.gcode", operator).item.path == "a.gcode"
    with pytest.raises(Forbidden, match="needs the role admin"):
        send(server, b"x", "printer.cfg", operator, root="config")
    assert [(entry.outcome, entry.who) for entry in server.noted] == [
        ("asked", "oscar"),
        ("refused", "oscar"),
    ]
    assert server.names("config") == []


def test_links_into_other_roots(server: FileServer, tmp_path: Path) -> None:
    """By a link in one root nobody writes to another where they may not, be it into new folders."""
    (tmp_path / "gcodes" / "way").symlink_to(tmp_path / "config")
    (tmp_path / "gcodes" / "logs").symlink_to(tmp_path / "logs")
    operator = caller(Transport.HTTP, who=OPERATOR)
    for path in ("way", "way/new", "logs"):
        with pytest.raises(Forbidden, match="where you can't write"):
            send(server, b"x", "printer.cfg", operator, path=path)
    send(server, b"x", "printer.cfg", path="way")
    assert server.names("config") == ["printer.cfg"]
    assert server.names("logs") == []


def test_links_to_the_loaded_file(server: FileServer, tmp_path: Path) -> None:
    """What the printer has loaded isn't overwritten under another name either."""
    (tmp_path / "gcodes" / "a.gcode").write_text("G28")
    (tmp_path / "gcodes" / "b.gcode").symlink_to("a.gcode")
    (tmp_path / "config" / "jobs").symlink_to(tmp_path / "gcodes")
    server.guard.loaded = "a.gcode"
    for name, fields in (("a.gcode", {}), ("b.gcode", {}), ("a.gcode", {"root": "config", "path": "jobs"})):
        with pytest.raises(Forbidden, match="File is loaded"):
            send(server, b"x", name, None, **fields)
    assert (tmp_path / "gcodes" / "a.gcode").read_text() == "G28"


def test_told_in_order(server: FileServer) -> None:
    """Folders that are made for a file are told of before it, each once."""
    send(server, b"x", "a.gcode", path="new/inner")
    send(server, b"x", "b.gcode", path="new/inner")
    assert [(change.action, change.item.path) for change in server.changes] == [
        ("create_dir", "new"),
        ("create_dir", "new/inner"),
        ("create_file", "new/inner/a.gcode"),
        ("create_file", "new/inner/b.gcode"),
    ]


def test_control_characters(server: FileServer) -> None:
    """A name that breaks lines wherever it is shown is refused."""
    with pytest.raises(BadRequest, match="another name"):
        send(server, b"x", "a\r\nb.gcode")


def test_klippy_that_cannot_say(server: FileServer) -> None:
    """While it isn't known what the printer uses, jobs aren't overwritten, and its configuration can be."""
    server.guard.problem = FileInUseUnknown("it hangs")
    with pytest.raises(Unavailable):
        send(server, b"x", "a.gcode")
    assert send(server, b"x", "printer.cfg", root="config").item.path == "printer.cfg"


def test_turns() -> None:
    """So many at once have their turn, fewer of them for one address; others follow in order."""
    turns = Turns(3, 2, 10)
    waiting = [(who, start(turns.wait(who))) for who in ("a", "a", "a", "b", "c")]
    assert [turn.done for _, turn in waiting] == [True, True, False, True, False]
    turns.leave("a")
    assert [turn.done for _, turn in waiting] == [True, True, True, True, False]
    turns.leave("b")
    assert waiting[4][1].done


def test_one_who_takes_all_turns() -> None:
    """However many somebody has waiting, others have their turns, and may wait for them."""
    turns = Turns(4, 2, 8, 3)
    for _ in range(5):
        turns.wait("a")
    with pytest.raises(Unavailable):
        turns.wait("a")
    assert [start(turns.wait("b")).done for _ in range(3)] == [True, True, False]
    turns.leave("a")
    assert [start(turns.wait("b")).done for _ in range(2)] == [False, False]


def test_turns_of_nobody_in_particular() -> None:
    """Those who can't be told apart don't stand in each other's way."""
    turns = Turns(3, 1, 10)
    assert [start(turns.wait(None)).done for _ in range(4)] == [True, True, True, False]


def package(model: bytes | None = b"G28\n", name: str = "/3D/model.gcode", **options: Any) -> bytes:
    """Return a package as Cura writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **{"compression": zipfile.ZIP_DEFLATED, **options}) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("/Metadata/thumbnail.png", b"\x89PNG")
        if model is not None:
            archive.writestr(name, model)
    return file.getvalue()


@pytest.mark.parametrize("name", ["/3D/model.gcode", "3D/model.gcode"])
def test_package(server: FileServer, tmp_path: Path, name: str) -> None:
    """Of a package its gcode is kept under its name, with its picture beside."""
    uploaded = send(server, package(name=name), "Würfel 1.UFP", path="x", print="true")
    assert uploaded.item.path == "x/Würfel 1.gcode"
    assert uploaded.item.size == 4
    assert uploaded.print_started is True
    assert server.names() == ["x", "x/.thumbs", "x/.thumbs/Würfel 1.png", "x/Würfel 1.gcode"]
    assert (tmp_path / "gcodes/x/.thumbs/Würfel 1.png").read_bytes() == b"\x89PNG"


def test_package_with_a_broken_picture(server: FileServer) -> None:
    """A package whose picture can't be read is as good as one without."""
    broken = package(compression=zipfile.ZIP_STORED).replace(b"\x89PNG", b"\x88PNG")
    assert send(server, broken, "a.ufp", print="true").print_started is True
    assert server.names() == ["a.gcode"]


def test_package_elsewhere(server: FileServer) -> None:
    """In another root than ``gcodes`` a package is a file like any other."""
    assert send(server, package(), "a.ufp", root="config").item.path == "a.ufp"


def test_package_of_loaded_file(server: FileServer) -> None:
    """A package doesn't overwrite the gcode that the printer has loaded."""
    server.guard.loaded = "a.gcode"
    with pytest.raises(Forbidden, match="File is loaded"):
        send(server, package(), "a.ufp")


def claiming_less(content: bytes) -> bytes:
    """Return a package that says its gcode is shorter than it is."""
    place = content.rindex(b"PK\x01\x02")
    return content[: place + 24] + (10).to_bytes(4, "little") + content[place + 28 :]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", BadRequest),
        (b"G28\n", BadRequest),
        (package()[:-30], BadRequest),
        (package(None), BadRequest),
        (package(name="../../3D/model.gcode"), BadRequest),
        (package(compression=zipfile.ZIP_LZMA), BadRequest),
        (package(b"\0" * (17 * 1024 * 1024)), PayloadTooLarge),
        (claiming_less(package(b"\0" * (17 * 1024 * 1024))), ApiError),
        (package(compression=zipfile.ZIP_STORED).replace(b"G28\n", b"G29\n"), BadRequest),
    ],
)
def test_bad_packages(server: FileServer, content: bytes, kind: type[ApiError]) -> None:
    """A package that is broken, unusual or too large unpacked is refused and leaves nothing behind."""
    with pytest.raises(kind):
        send(server, content, "a.ufp")
    assert server.names() == []


def test_package_with_many_files(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose list of files is long is refused before that is read."""
    monkeypatch.setattr(ufp_module, "LONGEST_DIRECTORY", 100)
    with pytest.raises(BadRequest, match="directory is too long"):
        send(server, package(), "a.ufp")
