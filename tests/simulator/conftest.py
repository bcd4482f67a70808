"""Puts benches away after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .bench import BENCHES


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    while BENCHES:
        BENCHES.pop().close()
