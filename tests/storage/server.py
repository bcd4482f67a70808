"""A process that has a database open, and says what it does: ``python -m tests.storage.server ROLE FOLDER``.

The roles: ``try`` opens it and ends; ``hold`` opens it and waits; ``count`` keeps one number after the other,
and says each that was answered; ``pairs`` keeps each number in two places of a namespace, with a text that
takes several pages, and in a third place.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.storage.bench import NOTES, read, write
from txraker.errors import KeyNotFound
from txraker.reactor import Reactor
from txraker.storage.database import Database, StorageError
from txraker.storage.namespaces import Namespaces
from txraker.storage.schema import MIGRATIONS


async def serve(reactor: Reactor, role: str, folder: str) -> None:
    """Open the database of a folder, and do what the role says; say what is wrong with it."""
    database = Database(reactor, Path(folder), MIGRATIONS if role == "pairs" else (NOTES,))
    try:
        await database.start()
        print("open", flush=True)
        if role == "hold":
            await Deferred[None]()
        if role == "count":
            await count_on(database)
        if role == "pairs":
            await keep_pairs(Namespaces(database))
    except StorageError as problem:
        print(problem, flush=True)
    await database.stop()


async def count_on(database: Database) -> None:
    """Keep one number after the other."""
    for number in count(len(await database.run(read))):
        await database.run(write(str(number)))
        print(number, flush=True)


async def keep_pairs(namespaces: Namespaces) -> None:
    """Keep each number in two places at once, and then in a third."""
    try:
        last = await namespaces.get("pairs", ["right", "number"])
    except KeyNotFound:
        last = -1
    for number in count(last + 1):
        text = f"{number} " * 3000
        values = {side: {"number": number, "text": text} for side in ("left", "right")}
        await namespaces.put_many("pairs", values)
        await namespaces.put("pairs", ["deep", "er", "number"], number)
        print(number, flush=True)


if __name__ == "__main__":
    react(lambda reactor, *words: Deferred.fromCoroutine(serve(reactor, *words)), sys.argv[1:])
