"""The commands of ``docs/install.md``, run as they are written: install, update, and go back.

It needs the network and takes minutes, so it is done only with ``TXRAKER_TESTS_INSTALL`` in the environment.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.integration.process import Twistd, ask, configure, free_port, trusting
from txraker.storage.schema import MIGRATIONS

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "install.md").read_text()
ITEM = "/server/database/item?namespace=front-end&key=colour"
PLACES = {"txraker", "txraker-env", "txraker-before", "printer_data"}
"""What is in the home folder when everything was done; names that begin with a dot are caches."""

LATER = """
from txraker.storage.migrations import Migration

MIGRATIONS = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, ("CREATE TABLE later (what TEXT)",)))
"""
"""What a later version of the schema adds."""

pytestmark = pytest.mark.skipif(
    not os.environ.get("TXRAKER_TESTS_INSTALL"), reason="TXRAKER_TESTS_INSTALL isn't set"
)


def block(heading: str, number: int = 0) -> str:
    """Return the commands in a block below a heading of the document."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return found[number]


@define
class Person:
    """Somebody with a home folder, without privileges, and with a source to clone."""

    folder: Path
    port: int
    account: dict[str, Any]

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.folder / "home"

    def run(self, commands: str) -> str:
        """Run commands as they are documented, and return what they say."""
        script = commands.replace("REPOSITORY", shlex.quote(str(self.folder / "source")))
        words, surroundings = ["bash", "-euc", script], self._surroundings()
        ended = subprocess.run(words, capture_output=True, text=True, check=False, **surroundings)
        said = f"{ended.stdout}{ended.stderr}"
        assert ended.returncode == 0, said
        return said

    @contextmanager
    def serving(self) -> Iterator[Twistd]:
        """Serve the printer by the documented command."""
        log = self.folder / "log"
        command = ["bash", "-euc", f"exec {block('Installing', 2)}"]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, text=True, **self._surroundings()
            )
        try:
            running = Twistd(process, log)
            running.wait_for(self.port)
            yield running
            running.terminate()
        finally:
            process.kill()
            process.wait()

    def asked_of_root(self) -> list[str]:
        """Return what was to be done by sudo."""
        return (self.folder / "sudo.log").read_text().splitlines()

    def _surroundings(self) -> dict[str, Any]:
        python = Path(sys.executable).resolve().parent
        environment = {
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))},
            **{"HOME": str(self.home), "PATH": f"{self.folder}/commands:{python}:/usr/bin:/bin"},
            **{"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
        }
        return {"cwd": self.home, "env": environment, **self.account}


@pytest.fixture
def person() -> Iterator[Person]:
    """Have a person with a home folder, who can't become root."""
    folder = Path(tempfile.mkdtemp(prefix="txr-install"))
    nobody = pwd.getpwnam("nobody")
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    someone = Person(folder, free_port(), account)
    someone.home.mkdir()
    configure(someone.home / "printer_data", trusting(someone.port))
    (folder / "commands").mkdir()
    sudo = folder / "commands" / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$@" >>{folder}/sudo.log\n')
    sudo.chmod(0o755)
    make_source(folder / "source")
    if account:
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
    yield someone
    shutil.rmtree(folder)


def make_source(folder: Path) -> None:
    """Make a repository of what is here."""
    folder.mkdir()
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    commit(folder)


def commit(folder: Path) -> None:
    """Commit what is in a folder."""
    somebody = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "safe.directory=*"]
    for words in (["add", "-A"], ["commit", "-q", "-m", "A version"]):
        subprocess.run(["git", *somebody, *words], cwd=folder, check=True)


def publish(source: Path) -> None:
    """Publish a version 99 whose database has another format, and without a module that there was."""
    project = source / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "99"'))
    with (source / "txraker" / "storage" / "schema.py").open("a") as schema:
        schema.write(LATER)
    (source / "txraker" / "gone.py").unlink()
    commit(source)


def warnings(person: Person) -> list[str]:
    """Return the warnings that a server shows."""
    found: list[str] = ask(person.port, "/server/info").json["result"]["warnings"]
    return found


def test_from_the_first_to_the_second_and_back(person: Person) -> None:
    """By the documented commands txraker is installed, updated and gone back from, and nothing is lost."""
    (person.folder / "source" / "txraker" / "gone.py").write_text('"""Gone in the next version."""\n')
    commit(person.folder / "source")
    person.run(block("Installing"))
    person.run(block("Installing", 1))
    with person.serving():
        assert ask(person.port, f"{ITEM}&value=red", "POST").status == 200
    publish(person.folder / "source")
    person.run(block("Updating"))
    packages = person.run("~/txraker-env/bin/pip list; ls ~/txraker-env/lib/python3*/site-packages/txraker")
    assert re.search(r"^txraker +99$", packages, re.MULTILINE)
    assert "gone.py" not in packages
    with person.serving():
        assert warnings(person) == []
        assert ask(person.port, f"{ITEM}&value=blue", "POST").status == 200
    person.run(block("Going back"))
    with person.serving():
        assert "put" in warnings(person)[0]
        assert f"txraker.db.{len(MIGRATIONS)}.bak in its place" in warnings(person)[0]
        assert ask(person.port, ITEM).status == 503
    person.run(block("Going back", 1).replace(".3.bak", f".{len(MIGRATIONS)}.bak"))
    with person.serving():
        assert warnings(person) == []
        assert ask(person.port, ITEM).json["result"]["value"] == "red"
    assert {name.name for name in person.home.iterdir() if not name.name.startswith(".")} == PLACES
    systemctl = [f"systemctl {what} txraker" for what in ("restart", "restart", "stop", "start")]
    assert person.asked_of_root() == ["apt install git python3-venv", *systemctl]


def test_on_32_bits(person: Person) -> None:
    """What the list for 32-bit systems has is enough to serve a printer, with users."""
    person.run(block("32-bit systems"))
    with person.serving() as running:
        user = "/access/user?username=ann&password=correct-horse"
        assert ask(person.port, user, "POST").status == 200
        assert ask(person.port, "/access/info").json["result"]["trusted"]
        assert "Traceback" not in running.log.read_text()
