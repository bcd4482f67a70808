"""Whatever is done in the roots, who does what is told has the listing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files.watch.bench import Bench, Client, SlowWorker, change

NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.builds(
    lambda root, names: "/".join([root, *names]),
    st.sampled_from(["gcodes", "gcodes", "config", "outside"]),
    st.lists(NAMES, min_size=1, max_size=3),
)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["write", "write", "mkdir", "delete", "append"]), PLACES),
    st.tuples(st.sampled_from(["move", "move", "copy", "link"]), PLACES, PLACES),
    st.tuples(st.sampled_from(["write!", "mkdir!", "delete!"]), PLACES),
    st.tuples(st.just("move!"), PLACES, PLACES),
    st.tuples(st.sampled_from(["read", "work"])),
    st.tuples(st.just("wait"), st.sampled_from(["0.01", "0.06", "0.3", "1.1", "3"])),
)


def a_tick_ago() -> float:
    """Return the time with room for the clock that files are stamped by, which may be some ticks late."""
    return time() - 0.05


def act(bench: Bench, number: int, action: Sequence[str]) -> None:
    """Do something, if it can be done."""
    kind, *arguments = action
    if kind == "read":
        bench.read()
    elif kind == "work":
        bench.off_thread.step()
    elif kind == "wait":
        bench.read()
        bench.clock.advance(float(arguments[0]))
    else:
        paths = [bench.path / name for name in arguments]
        before = [(path.exists(), path.is_dir()) for path in paths]
        with suppress(OSError, shutil.Error):
            work(kind.rstrip("!"), paths, f"{number}" * (number + 1))
            if kind.endswith("!") and not any(name.startswith("outside") for name in arguments):
                announce(bench, kind.rstrip("!"), arguments, *before[0])


def announce(bench: Bench, kind: str, names: Sequence[str], was_there: bool, was_folder: bool) -> None:
    """Tell what was done, and have it expected, as the file manager does."""
    what = "dir" if was_folder or kind == "mkdir" else "file"
    word = (
        "modify" if kind == "write" and was_there else {"write": "create", "mkdir": "create"}.get(kind, kind)
    )
    told = change(bench.path, f"{word}_{what}", names[-1], names[0] if kind == "move" else None)
    bench.watcher.expect(told)
    bench.tell(told)


def work(kind: str, paths: Sequence[Path], text: str) -> None:
    """Change something on the disk. Raises OSError or shutil.Error."""
    path, target = paths[0], paths[-1]
    if kind == "write":
        path.write_text(text)
    elif kind == "append":
        with path.open("a") as file:
            file.write(text)
    elif kind == "mkdir":
        path.mkdir(parents=True)
    elif kind == "delete":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif kind == "move":
        path.rename(target)
    elif kind == "link":
        target.hardlink_to(path)
    elif path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copyfile(path, target)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_listing(actions: list[tuple[str, ...]]) -> None:
    """A client that does what it is told ends with what is there, and so does what we believe to be told."""
    with tempfile.TemporaryDirectory() as folder:
        worker = SlowWorker()
        bench = Bench(Path(folder), off_thread=worker, idle=worker.step, wall=a_tick_ago).start()
        bench.go(1.0)
        client = Client(bench.listing(), bench.listing)
        bench.tell = client.hear
        try:
            for number, action in enumerate(actions):
                act(bench, number, action)
            bench.go(12.0)
            assert client.listing == bench.listing()
            assert bench.watches() == 2 + list(client.listing.values()).count(None)
            assert bench.faults.seen == []
        finally:
            bench.watcher.stop()
