"""The console's memory: the newest entries, as many as are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.components.data_store.console import ConsoleEntry, ConsoleStore


def entry(number: int) -> ConsoleEntry:
    """Make an entry."""
    return ConsoleEntry(f"// {number}", float(number), "response")


@given(st.integers(1, 50), st.integers(0, 120), st.integers(-5, 130))
def test_newest(size: int, added: int, count: int) -> None:
    """The newest entries are kept, oldest first; a count that is not positive means all of them."""
    store = ConsoleStore(size)
    for number in range(added):
        store.add(entry(number))
    kept = [entry(number) for number in range(added)][-size:]
    assert store.newest(count) == (kept[-count:] if count > 0 else kept)


@pytest.mark.parametrize("count", [0, 1, -1, 10**12])
def test_empty(count: int) -> None:
    """An empty store has nothing, however much is asked for."""
    assert ConsoleStore(10).newest(count) == []
