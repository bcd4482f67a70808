"""A process that has a database open, and says what it does: ``python -m tests.storage.server ROLE FOLDER``.

The roles: ``try`` opens it and ends; ``hold`` opens it and waits; ``count`` keeps one number after the other,
and says each that was answered.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.storage.bench import NOTES, read, write
from txraker.reactor import Reactor
from txraker.storage.database import Database, StorageError


async def serve(reactor: Reactor, role: str, folder: str) -> None:
    """Open the database of a folder, and do what the role says; say what is wrong with it."""
    database = Database(reactor, Path(folder), (NOTES,))
    try:
        await database.start()
        print("open", flush=True)
        if role == "hold":
            await Deferred[None]()
        if role == "count":
            await count_on(database)
    except StorageError as problem:
        print(problem, flush=True)
    await database.stop()


async def count_on(database: Database) -> None:
    """Keep one number after the other."""
    for number in count(len(await database.run(read))):
        await database.run(write(str(number)))
        print(number, flush=True)


if __name__ == "__main__":
    react(lambda reactor, *words: Deferred.fromCoroutine(serve(reactor, *words)), sys.argv[1:])
