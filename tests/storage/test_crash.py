"""A server that is killed amid its writes, many times: nothing that was answered is lost, nothing is torn."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.storage.bench import Server, another_process, kill, line_of
from tests.tools import start
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS

ROUNDS = int(os.environ.get("TXRAKER_CRASH_ROUNDS", "20"))
"""How often; a process a round."""


def test_kill(tmp_path: Path) -> None:
    """Whenever a server is killed, what it answered is there, and what it wrote at once is there at once."""
    chance = random.Random(7)
    for _ in range(ROUNDS):
        with another_process("pairs", tmp_path) as process:
            assert line_of(process) == "open"
            answered = [line_of(process) for _ in range(chance.randrange(1, 20))]
            wait_a_moment(chance.random() * 0.01)
            last = int([*answered, *kill(process)][-1])
        server = Server(tmp_path, MIGRATIONS)
        server.start()
        pairs = server.mailbox.wait(start(Namespaces(server.database).get("pairs")))
        server.stop()
        number = pairs["left"]["number"]
        assert pairs["left"] == pairs["right"] == {"number": number, "text": f"{number} " * 3000}
        assert pairs["deep"]["er"]["number"] in (number, number - 1)
        assert last <= pairs["deep"]["er"]["number"] <= number <= last + 2
    with closing(sqlite3.connect(server.database.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def wait_a_moment(seconds: float) -> None:
    """Let another process get to anywhere in its work."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass
