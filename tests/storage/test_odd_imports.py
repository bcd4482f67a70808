"""What is odd in a Moonraker's database is left and told, and doesn't keep the rest from being imported."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.storage.moonraker import HASH, JOB, SALT, accounts_of, imported, moonraker_database, server_of
from txraker.components.authorization.api_tokens import check_name
from txraker.errors import BadRequest
from txraker.storage.importing import told
from txraker.storage.moonraker_import import is_username


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Have what a Moonraker leaves."""
    return moonraker_database(tmp_path)


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """End what a test begins."""
    with ExitStack() as held:
        yield held


def test_odd_values(tmp_path: Path, held: ExitStack) -> None:
    """A value in a form that isn't known is left and named; the others are imported."""
    source = moonraker_database(tmp_path)
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for key, value in (
            ("bad", b"\x00\x01"),
            ("short", b"q\x01"),
            ("text", b"s\xff"),
            ("", b"s"),
            ("num", 5),
        ):
            connection.execute("INSERT INTO namespace_store VALUES ('odd', ?, ?)", (key, value))
        connection.execute("INSERT INTO namespace_store VALUES ('empty', 'nothing', CAST('null' AS BLOB))")
    report = imported(tmp_path)
    assert report.namespaces["odd"] == 1
    assert len([reason for reason in report.left if reason.startswith("odd.")]) == 4
    assert "empty" not in report.namespaces
    assert "empty.nothing: there is nothing in it" in report.left


NOT_UTF_8 = "CAST(x'ff61' AS TEXT)"
"""Text in SQL that no program can read as such."""


@pytest.mark.parametrize(
    ("namespace", "key", "told"),
    [
        ("x'6161'", "'k'", "b'aa'.k: "),
        ("'n\nn'", "x'00ff'", "'n\\nn'.b'\\x00\\xff': "),
        (NOT_UTF_8, "'k'", "b'\\xffa'.k: "),
        ("'n'", NOT_UTF_8, "n.b'\\xffa': "),
        ("'n'", "5", ""),
    ],
)
def test_odd_names(tmp_path: Path, source: Path, namespace: str, key: str, told: str) -> None:
    """A value with a name that isn't text is left and named, in one line; the others are imported."""
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute(f"INSERT INTO namespace_store VALUES ({namespace}, {key}, x'7331')")
    report = imported(tmp_path)
    assert report.namespaces["fluidd"] == 2
    left = report.left[:-1]
    assert [reason[: len(told)] for reason in left] == [told] * bool(told)
    assert all(reason.isprintable() for reason in left)


GOOD = {
    "username": "'dave'",
    "password": f"'{HASH}'",
    "created_on": "1795380177.14",
    "salt": f"'{SALT}'",
    "source": "'moonraker'",
}


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ({"password": "''"}, "user dave: its password is kept in a form that isn't known"),
        ({"password": "'xyz'"}, "user dave: its password"),
        ({"password": f"'{HASH[:-2]}'"}, "user dave: its password"),
        ({"password": f"'{HASH}0'", "salt": f"'{SALT[1:]}'"}, "user dave: its password"),
        ({"password": "x'00'"}, "user dave: its password"),
        ({"password": NOT_UTF_8}, "user dave: its password"),
        ({"salt": "''"}, "user dave: its password"),
        ({"salt": "'abc'"}, "user dave: its password"),
        ({"salt": "x'aa'"}, "user dave: its password"),
        ({"created_on": "'yesterday'"}, "user dave: when it was made is kept in a form that isn't known"),
        ({"created_on": "9e999"}, "user dave: when"),
        ({"username": "''"}, "user '': its name isn't one that a user can have"),
        ({"username": "' dave'"}, "user ' dave': its name"),
        ({"username": "'a' || char(27) || '[2J'"}, "user 'a\\x1b[2J': its name"),
        ({"username": "x'64'"}, "user b'd': its name"),
        ({"username": NOT_UTF_8}, "user b'\\xffa': its name"),
        ({"username": "'_TRUSTED_USER_'"}, "user _TRUSTED_USER_: its name"),
        ({"source": "x'64'"}, "user dave: logs in by b'd', which isn't supported"),
        ({"username": "'alice'", "source": "'ldap'"}, None),
    ],
)
def test_odd_users(tmp_path: Path, source: Path, odd: dict[str, str], told: str | None) -> None:
    """A user of whom anything is odd is left and named; the others are imported."""
    user = {**GOOD, **odd}
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute(
            f"INSERT OR IGNORE INTO authorized_users ({', '.join(user)}) VALUES ({', '.join(user.values())})"
        )
    report = imported(tmp_path)
    assert report.users == ["alice"]
    assert report.api_key
    assert [
        reason for reason in report.left if "carol" not in reason and not reason.startswith(told or "")
    ] == []
    assert len(report.left) == (2 if told else 1)


@pytest.mark.parametrize("name", ["", "a", "ü b", "a\n", " a", "a\xa0", "x" * 256, "\x1b[2J"])
def test_user_names(name: str) -> None:
    """A user whom we import has a name that a user whom we create could have."""
    try:
        check_name("username", name)
    except BadRequest:
        assert not is_username(name)
    else:
        assert is_username(name) == bool(name)
    assert not is_username("x" * 257)


@pytest.mark.parametrize("key", ["x'00'", "''", NOT_UTF_8, "'two' || char(10) || 'lines'", "'clé'"])
def test_odd_api_key(tmp_path: Path, source: Path, key: str, held: ExitStack) -> None:
    """An API key that nobody can show is left; the server makes one of its own."""
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute(f"UPDATE authorized_users SET password = {key} WHERE username = '_API_KEY_USER_'")
    report = imported(tmp_path)
    assert not report.api_key
    assert ("the API key: it is kept in a form that isn't known" in report.left) == (key != "''")
    assert "no API key" in list(told(report))
    assert len(accounts_of(server_of(tmp_path, held)).keys.api_key) == 32


def test_odd_history(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """Jobs and totals that can't be taken are counted; the others are imported."""
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for number, (column, odd) in enumerate(
            [("filename", "x'00'"), ("status", NOT_UTF_8), ("start_time", "'now'"), ("metadata", "5")]
        ):
            connection.execute(
                f"INSERT INTO job_history VALUES ({', '.join('?' * len(JOB))})", (number, *JOB[1:])
            )
            connection.execute(f"UPDATE job_history SET {column} = {odd} WHERE job_id = {number}")
        connection.execute("INSERT INTO job_totals VALUES ('history', 'odd', 'many', 1.0, 'default')")
    report = imported(tmp_path)
    assert (report.jobs, report.totals) == (1, 1)
    assert "4 jobs of the history: kept in a form that isn't known" in report.left
    assert "1 totals of the history: kept in a form that isn't known" in report.left
    jobs = server_of(tmp_path, held).run(
        lambda connection: connection.execute("SELECT * FROM imported_jobs").fetchall()
    )
    assert jobs == [JOB]


def test_columns_that_are_missing(tmp_path: Path, source: Path, held: ExitStack) -> None:
    """Of a table that lacks columns the others are imported, as far as they mean something without."""
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for column in ("user", "auxiliary_data"):
            connection.execute(f"ALTER TABLE job_history DROP COLUMN {column}")
        connection.execute("ALTER TABLE authorized_users DROP COLUMN salt")
        connection.execute("DROP TABLE job_totals")
        connection.execute("CREATE TABLE job_totals (field TEXT, total REAL)")
        connection.execute("INSERT INTO job_totals VALUES ('total_jobs', 1.0)")
    report = imported(tmp_path)
    assert (report.jobs, report.totals, report.users, report.api_key) == (1, 0, [], True)
    for column in ("job_history.user", "job_history.auxiliary_data", "authorized_users.salt"):
        assert f"{column}: there is no such column" in report.left
    assert "1 totals of the history: kept in a form that isn't known" in report.left
    server = server_of(tmp_path, held)
    (job,) = server.run(lambda connection: connection.execute("SELECT * FROM imported_jobs").fetchall())
    assert job == (7, None, *JOB[2:10], None, "default")
