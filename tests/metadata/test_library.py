"""The metadata of all files: found out, kept, carried along and forgotten; and the endpoints that tell it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from tests.components.bench import ComponentBench
from tests.tools import Logged, Outcome, result_of, start
from txraker.components.file_manager.metadata import MetadataEndpoints
from txraker.errors import ApiError, BadRequest, NotFound, Unavailable
from txraker.events import FileAction, FileChange, FileItem, FileListChanged, MetadataUpdate, SourceItem
from txraker.files.disk import Disk
from txraker.files.listing import FileInfo
from txraker.files.places import Place, Root, Roots
from txraker.interfaces import IFileGuard
from txraker.metadata.disk import Files, Version
from txraker.metadata.facts import Facts, Metadata, Thumbnail
from txraker.metadata.library import TIDY_AFTER, Library
from txraker.metadata.messages import Found
from txraker.metadata.scanner import Interrupted, Job, Unreadable
from txraker.metadata.shelf import MOST_UNWRITTEN, NAMESPACE, PAGE, WRITE_AFTER, Shelf
from txraker.testing.namespaces import MemoryNamespaces
from txraker.testing.threads import at_once


@define(eq=False)
class MemoryScans:
    """Reads files as it is told: ``answer`` makes what comes of a job."""

    jobs: list[Job] = field(factory=list)
    urgent: list[bool] = field(factory=list)
    answer: Callable[[Job], Deferred[Found]] = field()
    is_stopped: bool = False
    dropped: list[Path] = field(factory=list)

    @answer.default
    def _found(self) -> Callable[[Job], Deferred[Found]]:
        return lambda job: succeed(Found(job.size, job.modified, Facts(slicer=job.file.name), [], [], True))

    def scan(self, job: Job, *, urgent: bool = False) -> Deferred[Found]:
        """Read a file."""
        self.jobs.append(job)
        self.urgent.append(urgent)
        return self.answer(job)

    def drop(self, folder: Path) -> None:
        """Note which folder is gone."""
        self.dropped.append(folder)

    def stop(self) -> Deferred[None]:
        """Note it."""
        self.is_stopped = True
        return succeed(None)


@implementer(IFileGuard)
@define(eq=False)
class Guard:
    """Says what is being printed."""

    printing: str | None = None
    problem: ApiError | None = None

    async def in_use(self) -> str | None:
        """Say it."""
        if self.problem is not None:
            raise self.problem
        return self.printing


@define(eq=False)
class Bench:
    """A library of files in a folder."""

    folder: Path
    parts: ComponentBench = field(factory=ComponentBench)
    namespaces: MemoryNamespaces = field(factory=MemoryNamespaces)
    scans: MemoryScans = field(factory=MemoryScans)
    guard: Guard = field(factory=Guard)
    roots: Roots = field(factory=Roots)
    logged: Logged = field(factory=Logged)
    told: list[MetadataUpdate] = field(factory=list)
    library: Library = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.roots.put(Root("gcodes", self.folder, is_writable=True))
        self.parts.events.on(MetadataUpdate, self.told.append)
        self.begin()

    def begin(self, *, marks_objects: bool = False) -> None:
        """Begin anew with what was kept."""
        self.library = Library(
            self.parts.clock,
            Shelf(self.namespaces, self.parts.clock, self.parts.faults),
            self.scans,
            self.roots,
            Files(Disk(self.roots)),
            self.guard,
            self.parts.events,
            at_once,
            self.parts.faults,
            self.logged.logger(),
            marks_objects,
        )

    def put(self, relative: str, content: str = "G28\n", modified: float = 100.0) -> Place:
        """Write a file."""
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (modified, modified))
        return self.place(relative)

    def place(self, relative: str) -> Place:
        """Return a place."""
        return self.roots.place(relative, within="gcodes")

    def change(self, action: FileAction, path: str, source: str | None = None, root: str = "gcodes") -> None:
        """Let the file manager tell of a change."""
        came_from = None if source is None else SourceItem(*source.split(":"))
        self.parts.events.emit(
            FileListChanged(FileChange(action, FileItem(root, path, 0, 0, "rw"), came_from))
        )

    def kept(self) -> dict[str, Any]:
        """Return what is in the database, once everything is written."""
        self.parts.clock.advance(WRITE_AFTER)
        rows = self.namespaces.rows.get(NAMESPACE, {})
        return {name: msgspec.json.decode(text) for name, text in rows.items()}

    def read_files(self) -> list[str]:
        """Return which files were read, in their order."""
        return [str(job.file.relative_to(self.folder)) for job in self.scans.jobs]

    def hang(self, *names: str) -> list[Thumbnail]:
        """Let there be pictures in a folder."""
        found = []
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"png")
            found.append(Thumbnail(32, 32, 3, f".thumbs/{path.name}"))
        return found

    def with_pictures(self, thumbnails: list[Thumbnail]) -> None:
        """Let reading find pictures."""
        self.scans.answer = lambda job: succeed(Found(job.size, job.modified, Facts(), [], thumbnails, True))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench that was started, and whose files have been looked at."""
    made = Bench(tmp_path / "gcodes")
    made.folder.mkdir()
    made.library.start()
    made.parts.clock.advance(TIDY_AFTER)
    return made


def test_read_when_asked(bench: Bench) -> None:
    """A file nobody knows is read at once, everybody is told, and it is kept for the next time."""
    place = bench.put("sub/a.gcode")
    metadata = result_of(bench.library.of(place))
    assert (metadata.filename, metadata.size, metadata.modified) == ("sub/a.gcode", 4, 100.0)
    assert (metadata.slicer, metadata.print_start_time, metadata.job_id) == ("a.gcode", None, None)
    assert bench.scans.urgent == [True]
    assert result_of(bench.library.of(place)) == metadata
    assert len(bench.scans.jobs) == 1
    assert bench.told == [MetadataUpdate(metadata)]
    assert bench.kept()["sub/a.gcode"]["uuid"] == metadata.uuid
    bench.begin()
    assert result_of(bench.library.of(place)) == metadata


def test_read_again_when_changed(bench: Bench) -> None:
    """A file that has another size or time is read again, whoever changed it."""
    before = result_of(bench.library.of(bench.put("a.gcode")))
    after = result_of(bench.library.of(bench.put("a.gcode", modified=101.0)))
    assert after.modified == 101.0
    assert after.uuid != before.uuid


def test_not_there(bench: Bench) -> None:
    """What is gone, a folder, or no gcode file has no metadata."""
    bench.put("sub/a.txt")
    for relative in ("gone.gcode", "sub", "sub/a.txt"):
        with pytest.raises(NotFound, match=f"Metadata not available for <{relative}>"):
            result_of(bench.library.of(bench.place(relative)))
    with pytest.raises(NotFound, match="File 'sub' does not exist"):
        result_of(bench.library.read_again(bench.place("sub")))
    with pytest.raises(BadRequest, match="not a valid gcode file"):
        result_of(bench.library.read_again(bench.place("sub/a.txt")))


def test_failed_file(bench: Bench) -> None:
    """A file that can't be read is noted as one of no known slicer, and isn't tried until it changes."""
    bench.scans.answer = lambda _: fail(Unreadable("it took too long"))
    place = bench.put("a.gcode")
    assert result_of(bench.library.of(place)).slicer == "Unknown"
    result_of(bench.library.of(place))
    assert len(bench.scans.jobs) == 1
    assert bench.logged.saying("it took too long")


def test_one_at_a_time(bench: Bench) -> None:
    """Of many new files one is read at a time, the newest first, each once however often it is told of."""
    reading: list[Deferred[Found]] = []

    def begin(_job: Job) -> Deferred[Found]:
        reading.append(Deferred())
        return reading[-1]

    bench.scans.answer = begin
    for name in ("a", "b", "c", "d", "b"):
        bench.put(f"{name}.gcode")
        bench.change("create_file", f"{name}.gcode")
    assert bench.read_files() == ["a.gcode"]
    reading.pop().errback(Unavailable("not now"))
    reading.pop().errback(Unreadable("broken"))
    assert bench.read_files() == ["a.gcode", "b.gcode", "d.gcode"]
    bench.change("delete_file", "c.gcode")
    (bench.folder / "c.gcode").unlink()
    reading.pop().errback(Unavailable("not now"))
    assert bench.read_files() == ["a.gcode", "b.gcode", "d.gcode"]
    bench.change("create_file", "a.gcode")
    assert bench.read_files()[3:] == ["a.gcode"]


def test_unavailable(bench: Bench) -> None:
    """When nothing can be read now nothing is noted, and it is tried again."""
    bench.scans.answer = lambda _: fail(Unavailable("no process"))
    place = bench.put("a.gcode")
    for _ in range(2):
        assert isinstance(start(bench.library.of(place)).error, Unavailable)
    assert bench.kept() == {}
    assert len(bench.scans.jobs) == 2


def test_problem_that_passes(bench: Bench) -> None:
    """What isn't a file's fault is answered with what was found, is not kept, and is tried again."""
    partly = Found(4, 100.0, Facts(slicer="Cura"), [], [], is_complete=False)
    bench.scans.answer = lambda _: fail(Interrupted("Input/output error", partly, is_deadly=False))
    place = bench.put("a.gcode")
    assert result_of(bench.library.of(place)).slicer == "Cura"
    assert (bench.kept(), bench.told) == ({}, [])
    assert bench.logged.saying("Input/output error")
    bench.scans.answer = MemoryScans().answer
    assert result_of(bench.library.of(place)).slicer == "a.gcode"
    bench.scans.answer = lambda _: fail(Interrupted("Input/output error", None, is_deadly=False))
    assert result_of(bench.library.read_again(place)).slicer == "a.gcode"
    assert bench.kept()["a.gcode"]["slicer"] == "a.gcode"


def test_deadly(bench: Bench) -> None:
    """A file whose readers are killed isn't tried again before it changes, a client insists, or a restart."""
    bench.scans.answer = lambda _: fail(Interrupted("killed", None, is_deadly=True))
    place = bench.put("a.gcode")
    for _ in range(2):
        assert result_of(bench.library.of(place)).slicer == "Unknown"
    bench.change("modify_file", "a.gcode")
    assert bench.read_files() == ["a.gcode"]
    assert bench.kept() == {}
    result_of(bench.library.of(bench.put("a.gcode", modified=101.0)))
    result_of(bench.library.read_again(place))
    bench.begin()
    result_of(bench.library.of(place))
    assert len(bench.scans.jobs) == 4
    bench.scans.answer = MemoryScans().answer
    result_of(bench.library.read_again(place))
    assert result_of(bench.library.of(place)).slicer == "a.gcode"


def test_gone_before_it_was_read(bench: Bench) -> None:
    """A file that has gone while it waited has no metadata, and nobody is warned of that."""
    place = bench.put("a.gcode")

    def go(_job: Job) -> Deferred[Found]:
        place.path.unlink()
        return fail(Unreadable("No such file or directory"))

    bench.scans.answer = go
    assert isinstance(start(bench.library.of(place)).error, NotFound)
    assert (bench.kept(), bench.logged.lines) == ({}, [])


def test_new_files_are_read(bench: Bench) -> None:
    """Files that appear or change are read unasked, but no others, and none twice."""
    bench.put("a.gcode")
    bench.put("b.txt")
    bench.put(".thumbs/c.gcode")
    for name in ("a.gcode", "b.txt", ".thumbs/c.gcode", "gone.gcode"):
        bench.change("create_file", name)
    bench.change("modify_file", "a.gcode")
    bench.change("create_file", "a.gcode", root="config")
    bench.change("root_update", "")
    assert bench.read_files() == ["a.gcode"]
    assert bench.scans.urgent == [False]


def test_new_folder(bench: Bench) -> None:
    """The files in a folder that appears are read."""
    bench.put("sub/deep/a.gcode")
    bench.put("sub/b.gcode")
    bench.change("create_dir", "sub")
    assert sorted(bench.read_files()) == ["sub/b.gcode", "sub/deep/a.gcode"]


def test_gone_while_read(bench: Bench) -> None:
    """What was found of a file that has gone meanwhile isn't kept."""
    reading: Deferred[Found] = Deferred()
    bench.scans.answer = lambda _: reading
    place = bench.put("a.gcode")
    asked = start(bench.library.of(place))
    place.path.unlink()
    reading.callback(Found(4, 100.0, Facts(), [], [], True))
    assert asked.done
    assert bench.kept() == {}


def test_moved(bench: Bench) -> None:
    """Metadata and pictures go where a file goes, last print included, and it isn't read again."""
    bench.with_pictures(bench.hang("sub/.thumbs/a-32x32.png"))
    place = bench.put("sub/a.gcode")
    before = result_of(bench.library.of(place))
    result_of(bench.library.printed(place, "00001F", 99.5))
    place.path.rename(bench.folder / "b.gcode")
    bench.change("move_file", "b.gcode", "gcodes:sub/a.gcode")
    after = result_of(bench.library.of(bench.place("b.gcode")))
    assert (after.uuid, after.job_id, after.print_start_time) == (before.uuid, "00001F", 99.5)
    assert (after.filename, after.thumbnails) == ("b.gcode", [Thumbnail(32, 32, 3, ".thumbs/b-32x32.png")])
    assert (bench.folder / ".thumbs/b-32x32.png").is_file()
    assert list(bench.kept()) == ["b.gcode"]
    assert len(bench.scans.jobs) == 1
    assert bench.told[-1].metadata == after


def test_moved_and_changed(bench: Bench) -> None:
    """A file that isn't what was read is read where it went."""
    result_of(bench.library.of(bench.put("a.gcode")))
    (bench.folder / "a.gcode").unlink()
    bench.put("b.gcode", "G28\nG1 X1\n")
    bench.change("move_file", "b.gcode", "gcodes:a.gcode")
    assert bench.read_files() == ["a.gcode", "b.gcode"]
    assert list(bench.kept()) == ["b.gcode"]


def test_moved_between_roots(bench: Bench) -> None:
    """A file that leaves the root is forgotten with its pictures; one that comes into it is read."""
    bench.with_pictures(bench.hang(".thumbs/a-32x32.png"))
    result_of(bench.library.of(bench.put("a.gcode")))
    (bench.folder / "a.gcode").unlink()
    bench.change("move_file", "a.gcode", "gcodes:a.gcode", root="config")
    assert bench.kept() == {}
    assert os.listdir(bench.folder) == []
    bench.put("b.gcode")
    bench.change("move_file", "b.gcode", "config:b.gcode")
    assert list(bench.kept()) == ["b.gcode"]


def test_deleted(bench: Bench) -> None:
    """What is deleted is forgotten, with its pictures."""
    bench.with_pictures(bench.hang(".thumbs/a-32x32.png"))
    place = bench.put("a.gcode")
    result_of(bench.library.of(place))
    place.path.unlink()
    bench.change("delete_file", "a.gcode")
    assert bench.kept() == {}
    assert os.listdir(bench.folder) == []


def test_folder_moved_and_deleted(bench: Bench) -> None:
    """The metadata of a folder's files goes with it, and so does that of no other folder."""
    for name in ("sub/deep/a.gcode", "sub/b.gcode", "subway/c.gcode"):
        result_of(bench.library.of(bench.put(name)))
    (bench.folder / "sub").rename(bench.folder / "new")
    bench.change("move_dir", "new", "gcodes:sub")
    for name in ("new/deep/a.gcode", "new/b.gcode", "subway/c.gcode"):
        assert result_of(bench.library.of(bench.place(name))).filename == name
    assert sorted(bench.kept()) == ["new/b.gcode", "new/deep/a.gcode", "subway/c.gcode"]
    assert len(bench.scans.jobs) == len(bench.told) == 3
    assert bench.scans.dropped == [bench.folder / "sub"]
    (bench.folder / "new").rename(bench.folder.parent / "trash")
    bench.change("delete_dir", "new")
    assert list(bench.kept()) == ["subway/c.gcode"]


def test_large_folder(bench: Bench) -> None:
    """A folder of more files than are looked at in one turn keeps all it knew, and what is new is read."""
    for number in range(PAGE + 1):
        result_of(bench.library.of(bench.put(f"sub/{number:03}.gcode")))
    (bench.folder / "sub").rename(bench.folder / "new")
    bench.put("new/999.gcode")
    bench.scans.jobs.clear()
    bench.change("move_dir", "new", "gcodes:sub")
    assert bench.read_files() == ["new/999.gcode"]
    assert len(bench.kept()) == PAGE + 2
    bench.begin()
    result_of(bench.library.tidy())
    assert bench.read_files() == ["new/999.gcode"]


def test_pictures_of_namesakes(bench: Bench) -> None:
    """Pictures that another file shows, which is named alike, stay when a file is moved or deleted."""
    bench.with_pictures(bench.hang(".thumbs/same-32x32.png"))
    for name in ("same.gcode", "same.g", "same.GCO"):
        result_of(bench.library.of(bench.put(name)))
    (bench.folder / "same.gcode").unlink()
    bench.change("delete_file", "same.gcode")
    assert os.listdir(bench.folder / ".thumbs") == ["same-32x32.png"]
    (bench.folder / "same.g").rename(bench.folder / "other.g")
    bench.change("move_file", "other.g", "gcodes:same.g")
    assert sorted(os.listdir(bench.folder / ".thumbs")) == ["other-32x32.png", "same-32x32.png"]
    (bench.folder / "same.GCO").unlink()
    bench.change("delete_file", "same.GCO")
    assert os.listdir(bench.folder / ".thumbs") == ["other-32x32.png"]


def test_moved_over_another(bench: Bench) -> None:
    """A file that takes another's place shows its own pictures, and those of the other are deleted."""
    bench.with_pictures(bench.hang(".thumbs/a-32x32.png"))
    result_of(bench.library.of(bench.put("a.gcode")))
    bench.with_pictures(bench.hang(".thumbs/b-32x32.png", ".thumbs/b-400x300.png"))
    result_of(bench.library.of(bench.put("b.gcode", modified=50.0)))
    (bench.folder / "a.gcode").rename(bench.folder / "b.gcode")
    bench.change("move_file", "b.gcode", "gcodes:a.gcode")
    assert os.listdir(bench.folder / ".thumbs") == ["b-32x32.png"]
    moved = result_of(bench.library.of(bench.place("b.gcode")))
    assert moved.thumbnails == [Thumbnail(32, 32, 3, ".thumbs/b-32x32.png")]


def test_moved_over_a_namesake(bench: Bench) -> None:
    """A file whose pictures were named like those of the one whose place it takes keeps them."""
    bench.with_pictures(bench.hang(".thumbs/a-32x32.png"))
    result_of(bench.library.of(bench.put("a.gcode")))
    result_of(bench.library.of(bench.put("a.g", modified=50.0)))
    (bench.folder / "a.gcode").rename(bench.folder / "a.g")
    bench.change("move_file", "a.g", "gcodes:a.gcode")
    assert os.listdir(bench.folder / ".thumbs") == ["a-32x32.png"]
    assert result_of(bench.library.of(bench.place("a.g"))).thumbnails


def test_overwritten_pictures(bench: Bench) -> None:
    """Pictures that a changed file doesn't have any more are deleted, and its last print was another's."""
    bench.with_pictures(bench.hang(".thumbs/a-32x32.png", ".thumbs/a-64x64.png"))
    place = bench.put("a.gcode")
    result_of(bench.library.of(place))
    result_of(bench.library.printed(place, "000001", 1.0))
    bench.with_pictures([Thumbnail(32, 32, 3, ".thumbs/a-32x32.png")])
    assert result_of(bench.library.read_again(place)).job_id == "000001"
    assert os.listdir(bench.folder / ".thumbs") == ["a-32x32.png"]
    assert result_of(bench.library.of(bench.put("a.gcode", modified=200.0))).job_id is None


def test_start(bench: Bench) -> None:
    """At the start files that are gone are forgotten, and new ones are read one by one, the newest first."""
    for name in ("gone.gcode", "same.gcode", "changed.gcode"):
        result_of(bench.library.of(bench.put(name)))
    bench.kept()
    (bench.folder / "gone.gcode").unlink()
    bench.put("changed.gcode", modified=200.0)
    bench.put("sub/new.gcode", modified=300.0)
    bench.scans.jobs.clear()
    waiting: list[Deferred[Found]] = []
    bench.scans.answer = lambda _: waiting.append(Deferred()) or waiting[-1]  # type: ignore[func-returns-value]  # then the other
    bench.begin()
    bench.library.start()
    bench.parts.clock.advance(TIDY_AFTER)
    assert bench.read_files() == ["sub/new.gcode"]
    waiting[0].callback(Found(4, 300.0, Facts(), [], [], True))
    assert bench.read_files() == ["sub/new.gcode", "changed.gcode"]
    waiting[1].callback(Found(4, 200.0, Facts(), [], [], True))
    assert sorted(bench.kept()) == ["changed.gcode", "same.gcode", "sub/new.gcode"]


def test_imported(bench: Bench) -> None:
    """What another server has kept is read anew, and the last print of the same version is taken over."""
    place = bench.put("a.gcode")
    theirs = {"size": 4, "modified": 100.0, "slicer": ["odd"], "job_id": "0000BF", "print_start_time": 7.5}
    result_of(bench.namespaces.put(NAMESPACE, ["a.gcode"], theirs))
    found = result_of(bench.library.of(place))
    assert (found.slicer, found.job_id, found.print_start_time) == ("a.gcode", "0000BF", 7.5)


def test_of_files(bench: Bench) -> None:
    """Of many files what is known of just those versions is told, and nothing is read."""
    for name in ("sub/a.gcode", "sub/b.gcode"):
        result_of(bench.library.of(bench.put(name)))
    sizes = {"sub/a.gcode": 4, "sub/b.gcode": 5, "sub/c.gcode": 1, "sub/d.txt": 1}
    found = result_of(
        bench.library.of_files([FileInfo(path, 100.0, size, "rw") for path, size in sizes.items()])
    )
    assert list(found) == ["sub/a.gcode"]
    assert found["sub/a.gcode"]["slicer"] == "a.gcode"
    assert "nozzle_diameter" not in found["sub/a.gcode"]
    assert len(bench.scans.jobs) == 2


@pytest.mark.parametrize(
    ("guard", "asked"),
    [
        (Guard(), True),
        (Guard("b.gcode"), True),
        (Guard("a.gcode"), False),
        (Guard(problem=Unavailable("?")), False),
    ],
)
def test_objects(bench: Bench, guard: Guard, *, asked: bool) -> None:
    """Objects are defined if that is configured, but never in the file that is printed, or may be."""
    place = bench.put("a.gcode")
    result_of(bench.library.read_again(place))
    bench.guard = guard
    bench.begin(marks_objects=True)
    result_of(bench.library.read_again(place))
    bench.roots.put(msgspec.structs.replace(bench.roots.get("gcodes"), is_writable=False))
    result_of(bench.library.read_again(bench.place("a.gcode")))
    assert [job.mark_objects for job in bench.scans.jobs] == [False, asked, False]


def test_written_together(bench: Bench) -> None:
    """What was found is written after a moment, together, or when it is much."""
    for number in range(MOST_UNWRITTEN - 1):
        result_of(bench.library.of(bench.put(f"{number}.gcode")))
    assert bench.namespaces.rows == {}
    result_of(bench.library.of(bench.put("last.gcode")))
    assert len(bench.namespaces.rows[NAMESPACE]) == MOST_UNWRITTEN


def test_cannot_be_written(bench: Bench) -> None:
    """A database that fails costs what wasn't written, and nothing else."""
    place = bench.put("a.gcode")
    result_of(bench.library.of(place))
    bench.namespaces.problem = Unavailable("the disk is full")
    bench.parts.clock.advance(WRITE_AFTER)
    bench.namespaces.problem = None
    assert bench.kept() == {}
    result_of(bench.library.of(place))
    assert len(bench.scans.jobs) == 2
    assert bench.parts.faults.seen == []


def test_stop(bench: Bench) -> None:
    """To stop is to end reading and to write what was found; nothing happens later."""
    bench.put("a.gcode")
    bench.put("b.gcode")
    result_of(bench.library.of(bench.place("a.gcode")))
    bench.begin()
    bench.library.start()
    result_of(bench.library.of(bench.place("b.gcode")))
    stopped: Outcome[None] = start(bench.library.stop())
    assert stopped.done
    assert bench.scans.is_stopped
    assert "b.gcode" in bench.namespaces.rows[NAMESPACE]


def test_versions(tmp_path: Path) -> None:
    """Gcode files are found, but none that is hidden, and none by a link that leads out of the root."""
    (tmp_path / "out").mkdir()
    (tmp_path / "gcodes/.thumbs").mkdir(parents=True)
    names = ("out/a.gcode", "gcodes/a.G", "gcodes/a.txt", "gcodes/.thumbs/c.gcode", "gcodes/\udcff.gcode")
    for name in names:
        (tmp_path / name).write_text("G28")
    (tmp_path / "gcodes/stick").symlink_to(tmp_path / "out")
    (tmp_path / "gcodes/link.gcode").symlink_to(tmp_path / "out/a.gcode")
    (tmp_path / "gcodes/inner.gcode").symlink_to(tmp_path / "gcodes/a.G")
    (tmp_path / "gcodes/broken.gcode").symlink_to(tmp_path / "nowhere")
    roots = Roots()
    roots.put(Root("gcodes", tmp_path / "gcodes"))
    files = Files(Disk(roots))
    assert sorted(files.versions(roots.place("gcodes"))) == ["a.G", "inner.gcode"]
    assert files.versions(roots.place("gcodes/gone")) == {}
    assert files.version(roots.place("gcodes/link.gcode")) is None
    assert files.version(roots.place("gcodes/stick/a.gcode")) is None
    assert files.version(roots.place("gcodes/inner.gcode")) is not None


def test_compare() -> None:
    """Page by page what is kept is compared with what is there: unknown versions, and files that are gone."""
    parts, namespaces = ComponentBench(), MemoryNamespaces()
    shelf = Shelf(namespaces, parts.clock, parts.faults)
    names = [f"{number:03}.gcode" for number in range(2 * PAGE + 1)]
    for name in names:
        shelf.put({name: Metadata(size=4, modified=1.0, uuid="", file_processors=[], filename=name)})
    result_of(shelf.write())
    result_of(namespaces.put(NAMESPACE, [names[-1]], {"size": 4, "modified": 1.0, "slicer": 5}))
    there = {name: Version(4, 1.0) for name in (names[0], names[-2], names[-1], "new.gcode")}
    there[names[-2]] = Version(4, 2.0)
    unknown, gone = result_of(shelf.compare(there))
    assert unknown == {names[-2], names[-1], "new.gcode"}
    assert gone == set(names[1:-2])


@pytest.fixture
def served(bench: Bench) -> Bench:
    """Return a bench whose endpoints are there."""
    bench.parts.serve(MetadataEndpoints(bench.library, bench.roots))
    return bench


def test_metadata_endpoint(served: Bench) -> None:
    """server.files.metadata tells what is known, null for a print that never was, and no more."""
    served.put("a.gcode")
    answer = served.parts.call("server.files.metadata", filename="/a.gcode")
    assert answer.pop("uuid")
    assert answer == {
        "size": 4,
        "modified": 100.0,
        "slicer": "a.gcode",
        "slicer_version": "?",
        "file_processors": [],
        "filename": "a.gcode",
        "job_id": None,
        "print_start_time": None,
    }


def test_metascan_endpoint(served: Bench) -> None:
    """server.files.metascan reads a file again."""
    served.put("a.gcode")
    first = served.parts.call("server.files.metadata", filename="a.gcode")
    second = served.parts.call("server.files.metascan", filename="a.gcode")
    assert first.pop("uuid") != second.pop("uuid")
    assert first == second


@pytest.mark.parametrize("filename", ["../a.gcode", "sub/../../a.gcode", "a\0.gcode", "x" * 5000])
def test_paths_that_lead_out(served: Bench, filename: str) -> None:
    """A path that is none is that of no file."""
    (served.folder.parent / "a.gcode").write_text("G28")
    for method in ("server.files.metadata", "server.files.metascan"):
        assert isinstance(served.parts.begin(method, filename=filename).error, NotFound)
    assert served.parts.call("server.files.thumbnails", filename=filename) == []


@pytest.mark.parametrize("filename", ["", ".", "../x", "sub", "a.txt"])
def test_no_gcode_file(served: Bench, filename: str) -> None:
    """What is no gcode file has no pictures; to read it again says that it isn't there, as Moonraker does."""
    assert served.parts.call("server.files.thumbnails", filename=filename) == []
    scan = served.parts.begin("server.files.metascan", filename=filename)
    assert isinstance(scan.error, NotFound)
    assert str(scan.error) == f"File '{filename}' does not exist"


def test_thumbnails_endpoint(served: Bench) -> None:
    """server.files.thumbnails tells pictures by their paths in the root, none for a file that isn't there."""
    served.with_pictures([Thumbnail(32, 32, 3, ".thumbs/a-32x32.png")])
    for name, path in (("a.gcode", ".thumbs/a-32x32.png"), ("sub/a.gcode", "sub/.thumbs/a-32x32.png")):
        served.put(name)
        assert served.parts.call("server.files.thumbnails", filename=name) == []
        served.parts.call("server.files.metadata", filename=name)
        assert served.parts.call("server.files.thumbnails", filename=name) == [
            {"width": 32, "height": 32, "size": 3, "thumbnail_path": path}
        ]
    assert served.parts.call("server.files.thumbnails", filename="gone.gcode") == []


def test_notification(bench: Bench) -> None:
    """Clients are told of metadata as they are answered it."""
    result_of(bench.library.of(bench.put("a.gcode")))
    told = msgspec.json.decode(bench.told[0].encode())
    assert told["method"] == "notify_metadata_update"
    assert told["params"][0]["filename"] == "a.gcode"
    assert "nozzle_diameter" not in told["params"][0]
