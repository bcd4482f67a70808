"""Changes of files: by who may, and told of once, in order, while others keep quiet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from attrs import define, field

from tests.files.tree import Tree
from tests.tools import caller, result_of
from txraker.api.caller import TRUSTED, Role
from txraker.errors import Forbidden, NotFound
from txraker.events import FileChange, FileItem, SourceItem
from txraker.files.changes import Changes
from txraker.files.operations import Order, OtherDisk
from txraker.files.places import Place
from txraker.testing.guard import MemoryGuard
from txraker.testing.threads import at_once


@define(eq=False)
class Bench:
    """Changes that note what happens, in order."""

    tree: Tree
    happened: list[str] = field(factory=list)
    changes: Changes = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.changes = Changes(
            self.tree.roots,
            MemoryGuard(),
            at_once,
            at_once,
            lambda change: self.happened.append(f"told of {change.item.path}"),
            self.quiet,
        )

    @contextmanager
    def quiet(self, places: Sequence[Place]) -> Iterator[None]:
        """Note when others must be quiet, and about what."""
        self.happened.append(f"quiet about {' '.join(map(str, places))}")
        try:
            yield
        finally:
            self.happened.append("not quiet")

    def work(self, order: Order) -> list[FileChange]:
        """Change two things, if there is time to copy."""
        self.happened.append("work" if order.may_copy else "try")
        if not order.may_copy:
            raise OtherDisk
        return [FileChange("create_file", FileItem("gcodes", name, 1.0, 1, "rw")) for name in ("a", "b")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Have a printer's data to change."""
    return Bench(Tree(tmp_path))


def test_order(bench: Bench) -> None:
    """Others are quiet from before the work until all of it was told; what takes long is begun anew."""
    result_of(bench.changes.make(caller(), [bench.tree.place("gcodes/a")], bench.work))
    assert bench.happened == ["quiet about gcodes/a", "try", "work", "told of a", "told of b", "not quiet"]


def test_failure(bench: Bench) -> None:
    """Of what fails nothing is told, and the next change isn't held up by it."""

    def fail(_order: Order) -> list[FileChange]:
        raise NotFound("it has gone")

    place = bench.tree.place("gcodes/a")
    with pytest.raises(NotFound):
        result_of(bench.changes.make(caller(), [place], fail, is_long=True))
    result_of(bench.changes.make(caller(), [place], bench.work, is_long=True))
    assert bench.happened[2:] == ["quiet about gcodes/a", "work", "told of a", "told of b", "not quiet"]


def test_who_may(bench: Bench) -> None:
    """Who may not change one of the places changes nothing."""
    operator = caller(who=msgspec.structs.replace(TRUSTED, role=Role.OPERATOR))
    places = [bench.tree.place("gcodes/a"), bench.tree.place("config/a")]
    with pytest.raises(Forbidden):
        result_of(bench.changes.make(operator, places, bench.work))
    assert bench.happened == []


def test_nothing(bench: Bench) -> None:
    """What was moved to where it was isn't told."""
    item = FileItem("gcodes", "a", 1.0, 1, "rw")
    bench.changes.tell(FileChange("move_file", item, SourceItem("gcodes", "a")))
    bench.changes.tell(FileChange("move_file", item, SourceItem("config", "a")))
    assert bench.happened == ["told of a"]
