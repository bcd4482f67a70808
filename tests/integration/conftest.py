"""What integration tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.integration.websocket import WebSocket

Connect = Callable[..., WebSocket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open websockets by ``connect(port, path, **headers)`` that are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda *where, **headers: opened.enter_context(closing(WebSocket.connect(*where, **headers)))
