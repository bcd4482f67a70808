"""Whether what was started has what it should have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.install.migration.bench import ANSWERS, Machine
from tests.storage.moonraker import API_KEY
from txraker.config.options import ServerOptions
from txraker.install.configured import configured
from txraker.install.errors import InstallError
from txraker.install.migration.trial import Address, Trial, address_of


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Make a machine whose Moonraker was taken over."""
    machine = Machine(tmp_path)
    machine.take_over()
    return machine


def attempt(machine: Machine) -> None:
    """Look whether everything is there."""
    Trial(machine.data, configured(machine.data), machine._get)()


def test_good(machine: Machine) -> None:
    """A server that has everything is good, and is asked with the key."""
    attempt(machine)
    assert {headers["X-Api-Key"] for _, _, headers in machine.requests} == {API_KEY}


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/server/info", 401, "it doesn't take the API key"),
        ("/server/info", 500, "http://127.0.0.1:7125/server/info answers with the status 500"),
    ],
)
def test_status(machine: Machine, path: str, status: int, told: str) -> None:
    """A key that isn't taken, and a server that can't answer, are told."""
    machine.statuses[path] = status
    with pytest.raises(InstallError) as raised:
        attempt(machine)
    assert str(raised.value) == f"txraker runs, but {told}"
    assert API_KEY not in str(raised.value)


def test_missing(machine: Machine) -> None:
    """Everything that is missing is named."""
    machine.results["/server/database/list"] = {"namespaces": ["fluidd"]}
    machine.results["/access/users/list"] = {}
    with pytest.raises(InstallError) as raised:
        attempt(machine)
    assert str(raised.value) == (
        "txraker runs, but it lacks the namespaces announcements, mainsail, moonraker, webcams; "
        "it lacks the users alice"
    )


def test_history(machine: Machine) -> None:
    """A job that isn't there is missed."""
    import sqlite3  # noqa: PLC0415  # only this test changes a database

    with sqlite3.connect(machine.own_database) as connection:
        connection.execute("DELETE FROM imported_jobs")
    connection.close()
    with pytest.raises(InstallError, match="of the history it has 0 jobs, not 1"):
        attempt(machine)


def test_without_key(machine: Machine) -> None:
    """Where the API key is switched off, a server that wants a login is good."""
    machine.configuration.write_text("[authorization]\nenable_api_key: False\n")
    machine.statuses["/server/info"] = 401
    attempt(machine)
    assert machine.requests == [("http://127.0.0.1:7125", "/server/info", {})]


def test_silence(machine: Machine) -> None:
    """A server that doesn't answer is told."""

    def get(address: Address, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        raise ConnectionRefusedError("refused")

    with pytest.raises(InstallError, match="7125/server/info doesn't answer: refused"):
        Trial(machine.data, configured(machine.data), get)()


@pytest.mark.parametrize("answer", [None, [], {"error": {}}, {"result": None}])
def test_nonsense(machine: Machine, answer: object) -> None:
    """Answers of an unknown form hold nothing."""
    with pytest.raises(InstallError, match="lacks the namespaces"):
        Trial(machine.data, configured(machine.data), lambda *_: (200, answer))()


def test_no_database(machine: Machine) -> None:
    """A server without a database is told."""
    machine.own_database.unlink()
    with pytest.raises(InstallError, match=r"txraker\.db can't be read: unable to open"):
        attempt(machine)


@pytest.mark.parametrize(
    ("options", "address"),
    [
        (ServerOptions(), "http://127.0.0.1:7125"),
        (ServerOptions(host="all", port=80), "http://127.0.0.1:80"),
        (ServerOptions(host="::"), "http://[::1]:7125"),
        (ServerOptions(host="192.0.2.7", route_prefix="a/b"), "http://192.0.2.7:7125/a/b"),
        (ServerOptions(enable_http=False), "https://127.0.0.1:7130"),
    ],
)
def test_address(options: ServerOptions, address: str) -> None:
    """A server is asked where it listens, and on this machine where it listens everywhere."""
    assert str(address_of(options)) == address
    assert set(ANSWERS) >= {"/server/info"}
