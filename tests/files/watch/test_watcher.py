"""What clients are told when somebody works in the roots: with the real kernel, and a clock of the test's."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.files.watch.bench import Bench, SlowWorker, change
from txraker.events import FileChange, FileItem
from txraker.files.places import Root
from txraker.files.watch.inotify import Inotify
from txraker.files.watch.watcher import CHECK_EVERY, MOST_HELD, POLL_EVERY, WARNING
from txraker.testing.threads import at_once

Making = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Making]:
    """Make benches that are put away."""
    made: list[Bench] = []

    def bench(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield bench
    for one in made:
        one.watcher.stop()
        assert one.faults.seen == []


@pytest.fixture
def bench(make: Making) -> Bench:
    """Watch two empty roots."""
    return make().start()


def test_file(bench: Bench) -> None:
    """A file is told of when it is there, when it was written, and when it is gone, each once."""
    path = bench.write("gcodes/a.gcode")
    bench.go(0.5)
    bench.write("gcodes/a.gcode", "G28\nG1\n")
    assert bench.go() == ["modify_file gcodes/a.gcode"]
    path.unlink()
    assert bench.go() == ["delete_file gcodes/a.gcode"]


def test_item(bench: Bench) -> None:
    """What is told of a file is its time, size and permissions; what is gone has none."""
    about = bench.write("gcodes/a.gcode").stat()
    (bench.path / "gcodes/link.gcode").symlink_to("a.gcode")
    bench.read()
    bench.clock.advance(0.1)
    bench.clock.advance(0.1)
    (bench.path / "gcodes/a.gcode").unlink()
    (bench.path / "gcodes/link.gcode").unlink()
    items = [told.item for told in bench.changes]
    assert items == [
        FileItem("gcodes", "a.gcode", about.st_mtime, 4, "rw"),
        FileItem("gcodes", "link.gcode", about.st_mtime, 4, "r"),
    ]
    bench.changes.clear()
    bench.read()
    for _ in range(10):
        bench.clock.advance(0.1)
    assert [told.item for told in bench.changes] == [
        FileItem("gcodes", "a.gcode", 0, 0, ""),
        FileItem("gcodes", "link.gcode", 0, 0, ""),
    ]


def test_what_was_there(make: Making, tmp_path: Path) -> None:
    """What is there at the start isn't told of, but what happens to it is."""
    (tmp_path / "gcodes/sub").mkdir(parents=True)
    path = tmp_path / "gcodes/sub/a.gcode"
    path.write_text("G28\n")
    bench = make().start()
    assert bench.go() == []
    path.unlink()
    assert bench.go() == ["delete_file gcodes/sub/a.gcode"]


def test_file_that_is_written_slowly(bench: Bench) -> None:
    """A file is told of when it is closed, or when nobody writes to it for seconds."""
    with (bench.path / "gcodes/a.gcode").open("w") as file:
        file.write("G28\n")
        file.flush()
        assert bench.go(2.0) == []
    assert bench.go(0.5) == ["create_file gcodes/a.gcode"]
    with (bench.path / "gcodes/b.gcode").open("w"):
        assert bench.go(4.0) == []
        assert bench.go(4.0) == ["create_file gcodes/b.gcode"]


def test_hard_link_and_time(bench: Bench) -> None:
    """A file that gets a second name, or another time, is told of although nobody closes it."""
    path = bench.write("gcodes/a.gcode")
    bench.go()
    os.link(path, bench.path / "gcodes/b.gcode")
    assert bench.go() == ["create_file gcodes/b.gcode"]
    os.utime(path, (1, 1))
    assert bench.go() == ["modify_file gcodes/a.gcode"]  # b.gcode's folder entry was not touched


def test_moves(bench: Bench) -> None:
    """What is moved is told with where it was, between roots, too."""
    bench.write("gcodes/a.gcode")
    bench.go()
    bench.move("gcodes/a.gcode", "gcodes/b.gcode")
    assert bench.go() == ["move_file gcodes/b.gcode < gcodes/a.gcode"]
    bench.move("gcodes/b.gcode", "config/b.gcode")
    assert bench.go() == ["move_file config/b.gcode < gcodes/b.gcode"]
    bench.move("config/b.gcode", "outside/b.gcode")
    assert bench.go() == ["delete_file config/b.gcode"]
    bench.move("outside/b.gcode", "gcodes/b.gcode")
    assert bench.go() == ["create_file gcodes/b.gcode"]


def test_folder_that_is_moved(bench: Bench) -> None:
    """A folder is moved with all in it, and watched under its new name, how often so ever."""
    (bench.path / "gcodes/a/deep").mkdir(parents=True)
    bench.write("gcodes/a/deep/x.gcode")
    assert bench.go() == ["create_dir gcodes/a"]
    bench.move("gcodes/a", "gcodes/b")
    assert bench.go() == ["move_dir gcodes/b < gcodes/a"]
    bench.move("gcodes/b", "config/c")
    bench.write("config/c/deep/y.gcode")
    assert bench.go() == ["move_dir config/c < gcodes/b", "create_file config/c/deep/y.gcode"]
    bench.move("config/c", "outside/c")
    assert bench.go() == ["delete_dir config/c"]
    bench.write("outside/c/deep/z.gcode")
    assert bench.go() == []
    bench.move("outside/c", "gcodes/c")
    assert bench.go() == ["create_dir gcodes/c"]


def test_file_out_of_a_folder_that_is_moved(bench: Bench) -> None:
    """Moves are told in their order, by the names that things have then."""
    (bench.path / "gcodes/a").mkdir()
    bench.write("gcodes/a/x.gcode")
    bench.write("gcodes/a/y.gcode")
    bench.go()
    bench.move("gcodes/a/x.gcode", "gcodes/x.gcode")
    bench.move("gcodes/a", "gcodes/b")
    bench.move("gcodes/b/y.gcode", "gcodes/y.gcode")
    assert bench.go() == [
        "move_file gcodes/x.gcode < gcodes/a/x.gcode",
        "move_dir gcodes/b < gcodes/a",
        "move_file gcodes/y.gcode < gcodes/b/y.gcode",
    ]


def test_new_folder(bench: Bench) -> None:
    """A folder that is being filled is told of once, without what is in it; what comes later is told."""
    (bench.path / "gcodes/a/b/c").mkdir(parents=True)
    bench.write("gcodes/a/b/c/x.gcode")
    told = bench.go(0.2)
    bench.write("gcodes/a/y.gcode")
    assert told + bench.go() == ["create_dir gcodes/a"]
    bench.write("gcodes/a/b/c/z.gcode")
    assert bench.go() == ["create_file gcodes/a/b/c/z.gcode"]


def test_folder_that_is_filled_forever(bench: Bench) -> None:
    """A new folder is told of after five seconds, be it still filled."""
    (bench.path / "gcodes/a").mkdir()
    told = []
    for number in range(70):
        bench.write(f"gcodes/a/{number}.gcode")
        told += bench.go(0.1)
    told += bench.go()
    assert told[0] == "create_dir gcodes/a"
    assert 10 < len(told) < 30


def test_tree_that_is_deleted(bench: Bench) -> None:
    """A folder that goes is told of without what was in it, though that went first."""
    for name in ("gcodes/a", "gcodes/a/b", "gcodes/a/c"):
        (bench.path / name).mkdir()
        bench.write(f"{name}/x.gcode")
    bench.go()
    told = []
    for name in ("a/x.gcode", "a/b/x.gcode", "a/c/x.gcode"):
        (bench.path / "gcodes" / name).unlink()
        told += bench.go(0.2)
    shutil.rmtree(bench.path / "gcodes/a")
    assert told + bench.go() == ["delete_dir gcodes/a"]


def test_what_is_gone_at_once(bench: Bench) -> None:
    """What comes and goes in a moment isn't told."""
    bench.write("config/x").unlink()
    (bench.path / "config/d").mkdir()
    (bench.path / "config/d").rmdir()
    bench.write("config/there")
    bench.go(0.06)
    assert bench.go() == []


def test_replaced_by_another_kind(bench: Bench) -> None:
    """A file that becomes a folder, or the other way round, is deleted and created."""
    bench.write("config/x").unlink()
    path = bench.write("config/x")
    bench.go()
    path.unlink()
    path.mkdir()
    assert bench.go() == ["delete_file config/x", "create_dir config/x"]
    path.rmdir()
    path.write_text("text")
    assert bench.go() == ["delete_dir config/x", "create_file config/x"]


def vim(path: Path) -> None:
    """Save as vim does: put the file aside, write it anew, delete the old one."""
    aside = path.with_name(f"{path.name}~")
    path.rename(aside)
    path.write_text("by vim")
    aside.unlink()


def atomically(path: Path) -> None:
    """Save as many do: write a temporary file and rename it."""
    new = path.with_name(f".{path.name}.tmp")
    new.write_text("by another")
    new.rename(path)


def in_place(path: Path) -> None:
    """Save as nano does."""
    path.write_text("in place")


def anew(path: Path) -> None:
    """Save by deleting first."""
    path.unlink()
    path.write_text("anew")


@pytest.mark.parametrize("save", [vim, atomically, in_place, anew])
def test_editors(bench: Bench, save: Callable[[Path], None]) -> None:
    """However an editor saves, the file was modified, and nothing else happened."""
    path = bench.write("config/printer.cfg")
    bench.go()
    save(path)
    assert bench.go() == ["modify_file config/printer.cfg"]


def test_backup_that_stays(bench: Bench) -> None:
    """A backup that an editor leaves is a new file."""
    path = bench.write("config/printer.cfg")
    bench.go()
    path.rename(bench.path / "config/printer.cfg~")
    path.write_text("new text")
    assert bench.go() == ["modify_file config/printer.cfg", "create_file config/printer.cfg~"]


def test_two_that_change_places(bench: Bench) -> None:
    """Files that are swapped have both changed."""
    bench.write("config/a", "1")
    bench.write("config/b", "22")
    bench.go()
    bench.move("config/a", "config/c")
    bench.move("config/b", "config/a")
    bench.move("config/c", "config/b")
    assert sorted(bench.go()) == ["modify_file config/a", "modify_file config/b"]


def test_file_that_grows(bench: Bench) -> None:
    """A file that is written all the time is told of once a second at most, and at last as it is."""
    path = bench.write("config/events.log")
    bench.go()
    told = []
    for number in range(50):
        with path.open("a") as log:
            log.write(f"{number}\n")
        told += bench.go(0.1)
    assert told == ["modify_file config/events.log"] * 5
    bench.read()
    bench.clock.pump([0.1] * 20)
    assert bench.changes[-1].item.size == path.stat().st_size


def test_names_that_are_skipped(bench: Bench) -> None:
    """Git's folder, our own partial files, and names that are no text aren't told; hidden files are."""
    for name in (".git", "repository/.git"):
        (bench.path / "config" / name).mkdir(parents=True)
        bench.write(f"config/{name}/HEAD")
    path = bench.write("gcodes/.txraker-0123456789abcdef.part")
    (bench.path / "gcodes" / os.fsdecode(b"M\xfcnchen.gcode")).write_text("G28\n")
    bench.write("gcodes/.hidden.gcode")
    os.mkfifo(bench.path / "gcodes/pipe")
    (bench.path / "gcodes/nowhere").symlink_to("nothing")
    assert sorted(bench.go()) == ["create_dir config/repository", "create_file gcodes/.hidden.gcode"]
    path.rename(bench.path / "gcodes/upload.gcode")
    bench.write("config/repository/.git/ORIG_HEAD")
    assert bench.go() == ["create_file gcodes/upload.gcode"]


def test_link_to_a_folder(bench: Bench) -> None:
    """A link to a folder is a folder: what happens where it leads is told, until it is gone."""
    (bench.path / "gcodes/usb").symlink_to("../outside")
    (bench.path / "config/usb").symlink_to("../outside")
    bench.go()
    bench.write("outside/a.gcode")
    assert bench.go() == ["create_file gcodes/usb/a.gcode", "create_file config/usb/a.gcode"]
    (bench.path / "gcodes/usb").unlink()
    assert bench.go() == ["delete_dir gcodes/usb"]
    bench.write("outside/b.gcode")
    assert bench.go() == ["create_file config/usb/b.gcode"]


def test_links_that_lead_out(bench: Bench) -> None:
    """Of what a link leads to outside of where links may lead nothing is told, but that there is a link."""
    told: list[FileChange] = []
    bench.tell = told.append
    (bench.path / "secret/key").write_text("0123456789")
    (bench.path / "secret/folder").mkdir()
    (bench.path / "gcodes/key").symlink_to("../secret/key")
    (bench.path / "gcodes/folder").symlink_to("../secret/folder")
    assert bench.go() == ["create_file gcodes/key", "create_dir gcodes/folder"]
    assert {change.item.permissions for change in told} == {""}
    assert told[0].item.size == len("../secret/key")
    (bench.path / "secret/key").write_text("01234567890")
    (bench.path / "secret/folder/file").write_text("x")
    assert bench.go(12.0) == []
    (bench.path / "gcodes/key").unlink()
    (bench.path / "gcodes/folder").unlink()
    assert bench.go() == ["delete_file gcodes/key", "delete_dir gcodes/folder"]


def test_links_in_circles(bench: Bench) -> None:
    """A link that leads back is a folder with nothing in it."""
    (bench.path / "gcodes/loop").symlink_to(".")
    assert bench.go() == ["create_dir gcodes/loop"]
    bench.write("gcodes/a.gcode")
    assert bench.go() == ["create_file gcodes/a.gcode"]


def test_link_that_leads_elsewhere(bench: Bench) -> None:
    """When what a link leads to is replaced, as by a mount, the folder is another one."""
    (bench.path / "gcodes/usb").symlink_to("../outside")
    bench.go()
    bench.move("outside", "before")
    (bench.path / "outside").mkdir()
    bench.write("outside/a.gcode")
    assert bench.go(CHECK_EVERY) == ["delete_dir gcodes/usb", "create_dir gcodes/usb"]
    bench.write("before/x.gcode")
    bench.write("outside/b.gcode")
    assert bench.go() == ["create_file gcodes/usb/b.gcode"]


def test_root_that_goes_and_comes(bench: Bench) -> None:
    """A root that is gone, replaced or back is told of as such, and what is in it then is watched."""
    bench.write("gcodes/a.gcode")
    bench.go()
    bench.move("gcodes", "away")
    assert bench.go() == ["root_update gcodes/"]
    bench.move("away", "gcodes")
    assert bench.go(CHECK_EVERY) == ["root_update gcodes/"]
    bench.write("gcodes/a.gcode", "else")
    assert bench.go() == ["modify_file gcodes/a.gcode"]
    bench.move("gcodes", "away")
    (bench.path / "gcodes").mkdir()
    assert bench.go() == ["root_update gcodes/"]
    bench.write("gcodes/b.gcode")
    bench.write("away/c.gcode")
    assert bench.go() == ["create_file gcodes/b.gcode"]


def test_root_that_was_never_there(make: Making, tmp_path: Path) -> None:
    """A root that isn't there at the start is told of when it is."""
    bench = make()
    (tmp_path / "gcodes").rmdir()
    bench.start()
    assert bench.go() == []
    (tmp_path / "gcodes").mkdir()
    assert bench.go(CHECK_EVERY) == ["root_update gcodes/"]


def test_roots_while_running(bench: Bench, tmp_path: Path) -> None:
    """A root may be added, be somewhere else than before, and be dropped."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    bench.watcher.put_root(Root("docs", tmp_path / "a"))
    assert bench.go() == []
    bench.write("a/x.md")
    assert bench.go() == ["create_file docs/x.md"]
    bench.watcher.put_root(Root("docs", tmp_path / "b"))
    assert bench.go() == ["root_update docs/"]
    bench.write("a/y.md")
    bench.write("b/z.md")
    assert bench.go() == ["create_file docs/z.md"]
    bench.watcher.drop_root("docs")
    bench.write("b/w.md")
    assert bench.go() == []


def test_mounts(bench: Bench) -> None:
    """When something is mounted or unmounted, everything is looked at, for no event tells of that."""
    (bench.path / "mounts").write_text("one")
    bench.go(CHECK_EVERY * 2)
    bench.deaf = True  # of what a mount covers nothing can be heard
    bench.write("gcodes/a.gcode")
    assert bench.go(CHECK_EVERY) == []
    (bench.path / "mounts").write_text("one\ntwo")
    assert bench.go(CHECK_EVERY * 2) == ["create_file gcodes/a.gcode"]


def test_lost_events(bench: Bench) -> None:
    """When the kernel has lost events, the differences are found and told."""
    bench.write("gcodes/a.gcode")
    (bench.path / "gcodes/d").mkdir()
    bench.go()
    bench.write("gcodes/a.gcode", "G1\nG1\n")
    bench.write("config/same")
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2 + 100):
        os.utime(bench.path / "config/same")
        os.utime(bench.path / "gcodes/a.gcode")
    (bench.path / "gcodes/d").rmdir()
    bench.write("gcodes/z.gcode")
    told = bench.go(6.0)
    assert sorted(set(told)) == [
        "create_file config/same",
        "create_file gcodes/z.gcode",
        "delete_dir gcodes/d",
        "modify_file gcodes/a.gcode",
    ]
    assert len(told) < 10


def test_many_events(bench: Bench) -> None:
    """Reading pauses when much is waiting, and goes on."""
    held: list[Deferred[object]] = []

    def later(work: Callable[[], object]) -> Deferred[object]:
        done: Deferred[object] = Deferred()
        held.append(done)
        return done.addCallback(lambda _: work())

    bench.off_thread = later
    bench.write("gcodes/first")
    bench.go(0.2)
    for number in range(MOST_HELD):
        bench.write(f"gcodes/{number}")
    bench.go(1.0)
    assert bench.clock.readers == []
    while held:
        held.pop(0).callback(None)
        bench.changes.clear()
        for _ in range(20):
            bench.read()
            bench.clock.advance(0.05)
    assert bench.clock.readers == [bench.watcher]
    assert bench.watcher._core._tops["gcodes"].entries.keys() >= {str(number) for number in range(MOST_HELD)}


class FewWatches(Inotify):
    """A kernel that allows for two watches."""

    given: ClassVar[set[int]] = set()
    most: ClassVar[int] = 2

    def add(self, path: str) -> int:
        watch = super().add(path)
        if watch not in self.given and len(self.given) >= self.most:
            self.remove(watch)
            raise OSError(errno.ENOSPC, "No space left on device")
        self.given.add(watch)
        return watch


def test_too_few_watches(make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be watched is looked at each minute, and a warning says how to allow for more."""
    bench = make(open_kernel=FewWatches.open).start()
    (bench.path / "gcodes/sub").mkdir()
    assert bench.go() == ["create_dir gcodes/sub"]
    ((key, text),) = bench.warnings
    assert key == WARNING
    assert "fs.inotify.max_user_watches=524288" in text
    bench.write("gcodes/sub/a.gcode")
    bench.write("gcodes/b.gcode")
    assert bench.go() == ["create_file gcodes/b.gcode"]
    assert bench.go(POLL_EVERY) == ["create_file gcodes/sub/a.gcode"]
    monkeypatch.setattr(FewWatches, "most", 10)
    assert bench.go(POLL_EVERY) == []
    assert bench.warnings[1:] == [(WARNING, "")]
    (bench.path / "gcodes/sub/a.gcode").unlink()
    assert bench.go() == ["delete_file gcodes/sub/a.gcode"]


def test_no_inotify(make: Making) -> None:
    """Without inotify everything is looked at each minute, and a warning says what to do."""

    def refuse() -> Inotify:
        raise OSError(errno.EMFILE, "Too many open files")

    bench = make(open_kernel=refuse).start()
    bench.write("gcodes/a.gcode")
    assert bench.go() == []
    assert bench.go(POLL_EVERY) == ["create_file gcodes/a.gcode"]
    assert "fs.inotify.max_user_instances" in bench.warnings[0][1]


def test_expected_before_the_events(bench: Bench) -> None:
    """What clients are told by somebody else isn't told again."""
    bench.write("gcodes/a.gcode")
    bench.watcher.expect(change(bench.path, "create_file", "gcodes/a.gcode"))
    (bench.path / "gcodes/d/e").mkdir(parents=True)
    bench.write("gcodes/d/e/x.gcode")
    bench.watcher.expect(change(bench.path, "create_dir", "gcodes/d"))
    assert bench.go() == []
    bench.move("gcodes/a.gcode", "gcodes/d/b.gcode")
    bench.watcher.expect(change(bench.path, "move_file", "gcodes/d/b.gcode", "gcodes/a.gcode"))
    bench.move("gcodes/d", "config/d")
    bench.watcher.expect(change(bench.path, "move_dir", "config/d", "gcodes/d"))
    assert bench.go() == []
    bench.write("config/d/e/y.gcode")
    assert bench.go() == ["create_file config/d/e/y.gcode"]
    shutil.rmtree(bench.path / "config/d")
    bench.watcher.expect(change(bench.path, "delete_dir", "config/d"))
    assert bench.go() == []


def test_expected_and_done_again(bench: Bench) -> None:
    """What somebody does after that, however soon, is told."""
    bench.write("gcodes/a.gcode")
    mine = change(bench.path, "create_file", "gcodes/a.gcode")
    bench.write("gcodes/a.gcode", "G28\nG1\n")
    bench.watcher.expect(mine)
    assert bench.go() == ["modify_file gcodes/a.gcode"]
    bench.watcher.expect(change(bench.path, "delete_file", "gcodes/a.gcode"))
    assert bench.go() == ["create_file gcodes/a.gcode"]


def test_expected_and_not_done(bench: Bench) -> None:
    """What was expected and isn't so is put right."""
    item = FileItem("gcodes", "a.gcode", 1.0, 2, "rw")
    bench.watcher.expect(FileChange("create_file", item))
    assert bench.go() == ["delete_file gcodes/a.gcode"]
    bench.watcher.expect(FileChange("create_dir", item))
    assert bench.go() == ["delete_dir gcodes/a.gcode"]
    bench.watcher.expect(FileChange("modify_file", FileItem("nonesuch", "a/b", 1.0, 2, "rw")))
    assert bench.go() == []


def test_quiet(bench: Bench) -> None:
    """While somebody works on a place, nothing of it is told; afterwards what nobody told is."""
    with bench.watcher.quiet(("gcodes", "d")):
        (bench.path / "gcodes/d").mkdir()
        bench.write("gcodes/d/a.gcode")
        bench.write("gcodes/other.gcode")
        assert bench.go() == ["create_file gcodes/other.gcode"]
        bench.watcher.expect(change(bench.path, "create_dir", "gcodes/d"))
    assert bench.go() == []
    with bench.watcher.quiet(("gcodes", "d"), ("gcodes", "e")):
        bench.move("gcodes/d", "gcodes/e")
        assert bench.go() == []
    assert sorted(bench.go()) == ["create_dir gcodes/e", "delete_dir gcodes/d"]


def test_look_in_vain(bench: Bench) -> None:
    """What was looked for in a folder that had another name already is found nevertheless."""
    (bench.path / "gcodes/a").mkdir()
    bench.go()
    worker = bench.off_thread = SlowWorker()
    bench.idle = worker.step
    bench.write("gcodes/a/x.gcode")
    bench.read()
    bench.clock.advance(0.1)
    bench.move("gcodes/a", "gcodes/b")
    assert bench.go() == ["move_dir gcodes/b < gcodes/a", "create_file gcodes/b/x.gcode"]


def test_watches_that_nobody_needs(bench: Bench) -> None:
    """What was watched in vain, because its root was dropped meanwhile, is watched no more."""
    worker = bench.off_thread = SlowWorker()
    bench.idle = worker.step
    (bench.path / "gcodes/d").mkdir()
    bench.read()
    bench.clock.advance(0.1)
    worker.step()
    assert bench.watches() == 3
    bench.watcher.drop_root("gcodes")
    assert bench.go() == []
    assert bench.watches() == 1


def test_expected_in_a_folder_nobody_knows(bench: Bench) -> None:
    """A folder that was made on the way to what is expected is told of."""
    (bench.path / "gcodes/d").mkdir()
    bench.write("gcodes/d/a.gcode")
    bench.watcher.expect(change(bench.path, "create_file", "gcodes/d/a.gcode"))
    assert bench.go() == ["create_dir gcodes/d"]
    bench.move("gcodes/d", "outside/d")
    assert bench.go() == ["delete_dir gcodes/d"]


def test_changed_just_after_it_was_told(make: Making) -> None:
    """What is put into a folder after clients heard of it, before it is watched, makes them hear again."""
    walls = [0.0, float("inf")]
    bench = make(wall=walls.pop).start()
    for name in ("gcodes/before", "gcodes/after"):
        (bench.path / name).mkdir()
        bench.watcher.expect(change(bench.path, "create_dir", name))
    assert bench.go() == ["create_dir gcodes/after"]


def test_expected_while_it_is_looked_at(bench: Bench) -> None:
    """A look that was under way when something was expected counts for nothing."""
    held: list[tuple[Deferred[object], object]] = []

    def slowly(work: Callable[[], object]) -> Deferred[object]:
        done: Deferred[object] = Deferred()
        held.append((done, work()))
        return done

    def answer() -> None:
        while held:
            done, seen = held.pop(0)
            done.callback(seen)
            bench.clock.advance(0)

    bench.off_thread = slowly
    bench.write("gcodes/a.gcode")
    bench.read()
    bench.clock.advance(0.1)
    assert len(held) == 1
    bench.write("gcodes/a.gcode", "G28\nG1\n")
    bench.watcher.expect(change(bench.path, "create_file", "gcodes/a.gcode"))
    for _ in range(20):
        answer()
        bench.read()
        bench.clock.advance(0.1)
    assert bench.changes == []


def test_fault(bench: Bench) -> None:
    """A worker that fails is reported, and what it should have seen is found later."""
    bench.off_thread = fail
    bench.write("gcodes/a.gcode")
    bench.go(0.2)
    ((where, fault),) = bench.faults.seen
    assert (where, str(fault)) == ("looking at files", "no threads")
    bench.faults.seen.clear()
    bench.off_thread = at_once
    assert bench.go(CHECK_EVERY * 2) == ["create_file gcodes/a.gcode"]


def fail(_: object) -> Deferred[object]:
    """Be a worker that fails."""
    done: Deferred[object] = Deferred()
    done.errback(Failure(RuntimeError("no threads")))
    return done


def test_listener_that_fails(bench: Bench) -> None:
    """Whoever listens may fail; the next change is told all the same."""

    def refuse(_: FileChange) -> None:
        raise ValueError("no")

    bench.watcher._changed = refuse
    bench.write("gcodes/a.gcode")
    bench.go(0.5)
    assert [where for where, _ in bench.faults.seen] == ["telling of files"]
    bench.faults.seen.clear()
    bench.watcher._changed = bench.changes.append
    bench.write("gcodes/b.gcode")
    assert bench.go() == ["create_file gcodes/b.gcode"]


def test_stop(bench: Bench) -> None:
    """After the end nothing is told, read or planned, and nothing expected."""
    bench.write("gcodes/a.gcode")
    bench.read()
    bench.watcher.stop()
    assert bench.clock.readers == []
    assert bench.clock.getDelayedCalls() == []
    bench.watcher.expect(change(bench.path, "modify_file", "gcodes/a.gcode"))
    with bench.watcher.quiet(("gcodes", "")):
        pass
    assert bench.clock.getDelayedCalls() == []
