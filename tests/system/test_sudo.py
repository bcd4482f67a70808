"""Commands as root, by a sudo that is played by a script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.tools import Faults, Logged, caller
from txraker.components.machine.sudo import SudoEndpoints
from txraker.errors import BadRequest
from txraker.reactor import Reactor
from txraker.server_warnings import ServerWarnings
from txraker.system.errors import NotPermitted
from txraker.system.sudo import Sudo
from txraker.system.systemctl import SystemdCli

SCRIPT = """\
#!/bin/sh
echo "$@" >> {folder}/calls
while [ "$1" != -- ]; do
    if [ "$1" = -n ]; then echo "sudo: a password is required" >&2; exit 1; fi
    if [ "$1" = -S ]; then
        read -r password
        if [ "$password" != "s3cret word" ]; then
            echo "Sorry, try again." >&2
            echo "sudo: no password was provided" >&2
            exit 1
        fi
    fi
    shift
done
shift
exec "$@"
"""

async_test = pytest_twisted.ensureDeferred


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be an ordinary user of a machine whose sudo wants a password; return where its calls are noted."""
    command = tmp_path / "sudo"
    command.write_text(SCRIPT.format(folder=tmp_path))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path / "calls"


def sudo(password: str | None = None) -> Sudo:
    """Make what runs commands as root."""
    return Sudo(cast("Reactor", reactor), password)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_right_password(calls: Path) -> None:
    """With the right password commands are run, and the password is no argument of any program."""
    finished = await sudo("s3cret word").run(["echo", "hello"], 5)
    assert (finished.status, finished.output) == (0, "hello\n")
    assert "s3cret" not in calls.read_text()


@pytest.mark.parametrize("password", [None, "wrong", ""])
@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_refusal(calls: Path, password: str | None) -> None:
    """Without the right password nothing is run, and the reason names user and program."""
    note = calls.parent / "note"
    with pytest.raises(NotPermitted, match=r"may not run touch by sudo: .*password") as caught:
        await sudo(password).run(["touch", str(note)], 5)
    assert not note.exists()
    assert "wrong" not in str(caught.value)


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_refused_services(calls: Path) -> None:
    """What sudo refuses is an error and one warning, which goes when something is permitted."""
    command = calls.parent / "systemctl"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    log, faults, root = Logged().logger(), Faults(), sudo()
    warnings = ServerWarnings(log)
    system = SystemdCli(cast("Reactor", reactor), root, warnings, faults, log)
    for _ in range(2):
        with pytest.raises(NotPermitted, match="may not run systemctl by sudo"):
            await system.restart_unit("klipper.service")
    assert len(warnings.texts()) == 1
    assert await root.set_password("s3cret word")
    await system.restart_unit("klipper.service")
    assert (warnings.texts(), faults.seen) == ([], [])


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_program_that_fails(calls: Path) -> None:
    """What a program itself says is not taken for sudo's refusal."""
    finished = await sudo("s3cret word").run(["sh", "-c", "echo 'no sudo: here' >&2; exit 1"], 5)
    assert (finished.status, finished.errors) == (1, "no sudo: here\n")


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_root(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root needs no sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert (await sudo().run(["echo", "hello"], 5)).output == "hello\n"
    assert await sudo().has_access()
    assert not calls.exists()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_no_sudo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without sudo says so."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotPermitted, match="sudo is not installed"):
        await sudo().run(["true"], 5)
    assert not await sudo().has_access()


@async_test  # type: ignore[untyped-decorator]  # pytest-twisted is not annotated
async def test_endpoints(calls: Path) -> None:
    """A wrong password is refused and forgotten, a right one is used from then on."""
    endpoints = SudoEndpoints(sudo())
    assert (await endpoints.info(caller())).sudo_access is None
    assert (await endpoints.info(caller(), check_access=True)).sudo_access is False
    with pytest.raises(BadRequest, match="Invalid password, sudo access was denied"):
        await endpoints.password(caller(), password="wrong")
    assert (await endpoints.info(caller(), check_access=True)).sudo_access is False
    answer = await endpoints.password(caller(), password="s3cret word")
    assert (answer.sudo_responses, answer.is_restarting) == (["Sudo password successfully set."], False)
    info = await endpoints.info(caller(), check_access=True)
    assert (info.sudo_access, info.sudo_requested, info.request_messages) == (True, False, [])


def test_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name goes by its number."""

    def no_name() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", no_name)
    assert sudo().user == str(os.getuid())


def test_secret() -> None:
    """The password isn't shown with the object."""
    assert "s3cret" not in repr(sudo("s3cret word"))
