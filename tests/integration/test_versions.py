"""Databases of other versions of txraker, as a person meets them after an update or on the way back."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process import PATIENCE, Twistd, ask, configure, free_port, trusting, twistd
from txraker.cli import main
from txraker.storage.database import path_in
from txraker.storage.schema import MIGRATIONS

NEWEST = len(MIGRATIONS)
ITEM = "/server/database/item?namespace=front-end&key=colour"


def written(data: Path, version: int) -> Path:
    """Make a database as the code wrote it that knew so many versions, or the newest with a later number."""
    file = path_in(data)
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for migration in MIGRATIONS[:version]:
            migration.apply(connection)
        connection.execute("INSERT INTO namespaces VALUES (?, ?, ?)", ("front-end", "colour", b'"red"'))
        connection.execute(f"PRAGMA user_version={version}")
    return file


def state(file: Path) -> dict[str, str]:
    """Return the names of what is in a file's folder, with hashes of the content; locks don't count."""
    return {
        found.name: hashlib.sha256(found.read_bytes()).hexdigest()
        for found in file.parent.iterdir()
        if not found.name.endswith(".lock")
    }


def warning(process: Twistd, port: int) -> str:
    """Return the only warning of a server, which may take a moment to come."""
    deadline = time.monotonic() + PATIENCE
    while not (warnings := process.wait_for(port)["warnings"]):
        assert time.monotonic() < deadline, "no warning came"
        time.sleep(0.05)
    assert len(warnings) == 1
    return str(warnings[0])


def test_newer(tmp_path: Path) -> None:
    """A newer database is refused where a person looks, and stays as it is; the printer can be used."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port))
    file = written(data, NEWEST + 1)
    before = state(file)
    with twistd(tmp_path, "-d", str(data), "--simulate") as process:
        process.wait_for(port, "ready")
        said = warning(process, port)
        assert said.startswith(
            f"{file}: it was written by a newer txraker: its format is version {NEWEST + 1}"
        )
        assert ask(port, "/printer/gcode/script?script=G28", "POST").json == {"result": "ok"}
        for method, path in (("GET", ITEM), ("POST", f"{ITEM}&value=blue"), ("GET", "/server/database/list")):
            refusal = ask(port, path, method)
            assert (refusal.status, refusal.json["error"]["message"]) == (503, said)
        process.terminate()
        assert process.log.read_text().count(said) == 1
        assert "Traceback" not in process.log.read_text()
    assert said in (data / "logs" / "moonraker.log").read_text()
    assert state(file) == before


def test_newer_with_logins(tmp_path: Path) -> None:
    """Who must log in isn't let in for lack of a list of users."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port, "force_logins: True\n"))
    written(data, NEWEST + 1)
    with twistd(tmp_path, "-d", str(data)) as process:
        deadline = time.monotonic() + PATIENCE
        while "a newer txraker" not in process.log.read_text():
            assert time.monotonic() < deadline, "it wasn't said"
            time.sleep(0.05)
        assert ask(port, "/server/info").status == 401
        assert ask(port, "/server/info", headers={"X-Api-Key": "0" * 32}).status == 503


def test_one_of_two_printers(tmp_path: Path) -> None:
    """A newer database of one printer is that printer's alone."""
    ports, folders = (free_port(), free_port()), (tmp_path / "old", tmp_path / "new")
    for port, data in zip(ports, folders, strict=True):
        configure(data, trusting(port))
    written(folders[0], NEWEST)
    file = written(folders[1], NEWEST + 1)
    with twistd(tmp_path, "-d", str(folders[0]), "-d", str(folders[1])) as process:
        assert str(file) in warning(process, ports[1])
        assert process.wait_for(ports[0])["warnings"] == []
        assert ask(ports[0], ITEM).json["result"]["value"] == "red"


@pytest.mark.parametrize("version", range(2, NEWEST))
def test_older(tmp_path: Path, version: int) -> None:
    """An older database is brought up to date, with what is in it, and a copy of it is made before."""
    port, data = free_port(), tmp_path / "data"
    configure(data, trusting(port))
    file = written(data, version)
    with twistd(tmp_path, "-d", str(data)) as process:
        assert process.wait_for(port)["warnings"] == []
        assert ask(port, ITEM).json["result"]["value"] == "red"
        process.terminate()
    copy = file.with_name(f"txraker.db.{version}.bak")
    assert state(file).keys() == {file.name, copy.name}
    assert (version_and_value(copy), version_and_value(file)) == ((version, b'"red"'), (NEWEST, b'"red"'))


def version_and_value(file: Path) -> tuple[Any, Any]:
    """Return the version of a database, and what ``written`` wrote into it."""
    with closing(sqlite3.connect(file)) as connection:
        return (
            connection.execute("PRAGMA user_version").fetchone()[0],
            connection.execute("SELECT value FROM namespaces WHERE namespace = 'front-end'").fetchone()[0],
        )


def test_import_into_newer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is imported into a newer database, and the reason is told."""
    file = written(tmp_path, NEWEST + 1)
    before = state(file)
    with closing(sqlite3.connect(file.with_name("moonraker-sql.db"))) as source:
        source.execute("CREATE TABLE namespace_store (namespace TEXT, key TEXT, value BLOB)")
    assert main(["import-database", "--data-path", str(tmp_path)]) == 1
    assert f"txraker: {file}: it was written by a newer txraker" in capsys.readouterr().err
    file.with_name("moonraker-sql.db").unlink()
    assert state(file) == before
