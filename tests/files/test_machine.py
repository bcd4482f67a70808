"""File operations in any order against a model of what is there: a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from zipfile import ZipFile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.files.tree import Tree
from txraker.errors import ApiError
from txraker.events import FileChange
from txraker.files.archive import Archiver
from txraker.files.listing import contents_of, files_of

NAMES = st.sampled_from(["a", "b", "c.gcode", "größe"])
PATHS = st.lists(NAMES, max_size=3).map(lambda names: ("gcodes", *names)) | st.lists(NAMES, max_size=2).map(
    lambda names: ("config", *names)
)
Path_ = tuple[str, ...]


class FileMachine(RuleBasedStateMachine):
    """The model has the content of each file, and None for each folder; roots are folders."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.tree = Tree(self.folder / "pi")
        for root in ("gcodes", "config"):
            shutil.rmtree(self.tree.data / root)
            (self.tree.data / root).mkdir()
        self.model: dict[Path_, str | None] = {("gcodes",): None, ("config",): None}
        self.count = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def is_folder(self, path: Path_) -> bool:
        """Say whether there is a folder."""
        return path in self.model and self.model[path] is None

    def below(self, path: Path_) -> list[Path_]:
        """Return what is at a path and in it."""
        return [inner for inner in self.model if inner[: len(path)] == path]

    def into(self, source: Path_, dest: Path_) -> Path_:
        """Return where something goes."""
        return (*dest, source[-1]) if self.is_folder(dest) and source != dest else dest

    def holds(self, path: Path_, change: FileChange | None, expected: bool, action: str = "") -> None:
        """Check that something was done as the model expects, and that it was told so."""
        assert (change is not None) is expected
        if change is not None:
            assert change.action == action
            assert (change.item.root, *filter(None, change.item.path.split("/"))) == path

    @rule(path=PATHS, suffix=st.sampled_from(["", "/"]))
    def make_folder(self, path: Path_, suffix: str) -> None:
        """Make a folder."""
        change = _try(lambda: self.tree.make_folder("/".join(path) + suffix))
        expected = path not in self.model and self.is_folder(path[:-1])
        self.holds(path, change, expected, "create_dir")
        if expected:
            self.model[path] = None

    @rule(path=PATHS)
    def write_file(self, path: Path_) -> None:
        """Let somebody else write a file."""
        if self.is_folder(path[:-1]) and not self.is_folder(path):
            self.count += 1
            self.model[path] = f"; {self.count}"
            self.tree.data.joinpath(*path).write_text(f"; {self.count}")

    @rule(path=PATHS)
    def delete_file(self, path: Path_) -> None:
        """Delete a file."""
        change = _try(lambda: self.tree.delete_file("/".join(path)))
        expected = self.model.get(path) is not None
        self.holds(path, change, expected, "delete_file")
        if expected:
            del self.model[path]

    @rule(path=PATHS, force=st.booleans())
    def delete_folder(self, path: Path_, force: bool) -> None:
        """Delete a folder."""
        change = _try(lambda: self.tree.delete_folder("/".join(path), force=force))
        inner = self.below(path)
        expected = len(path) > 1 and self.is_folder(path) and (force or len(inner) == 1)
        self.holds(path, change, expected, "delete_dir")
        if expected:
            for gone in inner:
                del self.model[gone]

    @rule(source=PATHS, dest=PATHS)
    def move(self, source: Path_, dest: Path_) -> None:
        """Move something."""
        change = _try(lambda: self.tree.move("/".join(source), "/".join(dest)))
        target = self.into(source, dest)
        action = "move_dir" if self.is_folder(source) else "move_file"
        expected = len(source) > 1 and source in self.model and self._may_move(source, dest, target)
        self.holds(target, change, expected, action)
        if expected and source != target:
            moved = {(*target, *old[len(source) :]): self.model.pop(old) for old in self.below(source)}
            self.model |= moved

    def _may_move(self, source: Path_, dest: Path_, target: Path_) -> bool:
        if source == target:
            return source == dest
        if not self.is_folder(target[:-1]) or target[: len(source)] == source:
            return False
        is_free = target not in self.model
        overwrites = self.model.get(target) is not None and self.model[source] is not None and dest == target
        return is_free or overwrites

    @rule(source=PATHS, dest=PATHS)
    def copy(self, source: Path_, dest: Path_) -> None:
        """Copy something."""
        change = _try(lambda: self.tree.copy("/".join(source), "/".join(dest)))
        is_file = self.model.get(source) is not None
        target = self.into(source, dest) if is_file else dest
        is_new = target not in self.model
        expected = source in self.model and self.is_folder(target[:-1]) and not self.is_folder(target)
        expected = expected and (is_new or is_file) and target[: len(source)] != source
        action = "create_dir" if not is_file else "create_file" if is_new else "modify_file"
        self.holds(target, change, expected, action)
        if expected:
            self.model |= {(*target, *old[len(source) :]): self.model[old] for old in self.below(source)}

    @rule(item=PATHS, dest=PATHS)
    def archive(self, item: Path_, dest: Path_) -> None:
        """Make an archive, and forget it after a look into it."""
        archiver = Archiver(self.tree.disk, self.tree.operations)
        items = [self.tree.place("/".join(item))]
        place = self.tree.place("/".join((*dest, "all.zip")))
        change = _try(lambda: archiver.zip(place, items, self.tree.order(), store_only=True))
        names = {"/".join(path) for path in self.below(item) if self.model[path] is not None}
        assert (change is not None) is bool(names and self.is_folder(dest))
        if change is not None:
            with ZipFile(place.path) as archive:
                assert set(archive.namelist()) == names
            place.path.unlink()

    @invariant()
    def the_disk_is_as_the_model(self) -> None:
        """On the disk is what the model has, and nothing else."""
        found: dict[Path_, str | None] = {}
        for root in ("gcodes", "config"):
            top = self.tree.data / root
            for path in (top, *top.rglob("*")):
                parts = path.relative_to(self.tree.data).parts
                found[parts] = None if path.is_dir() else path.read_text()
        assert found == self.model

    @invariant()
    def the_listings_are_as_the_model(self) -> None:
        """The lists tell what the model has."""
        listed = {
            ("config", *file.path.split("/")) for file in files_of(self.tree.disk, self.tree.place("config"))
        }
        assert listed == {path for path in self.below(("config",)) if self.model[path] is not None}
        told = contents_of(self.tree.disk, self.tree.place("gcodes"))
        names = {folder.dirname for folder in told.folders} | {file.path for file in told.files}
        assert names == {path[1] for path in self.below(("gcodes",)) if len(path) == 2}


def _try(call: object) -> FileChange | None:
    try:
        change: FileChange = call()  # type: ignore[operator]  # each rule hands in a function
    except ApiError:
        return None
    return change


TestFiles = FileMachine.TestCase
TestFiles.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
