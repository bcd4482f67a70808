"""How a server lets people in as it is configured, and what it still knows of them after its end."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

from tests.integration.people import (
    ABROAD,
    ELSEWHERE,
    HOME,
    Server,
    Visitor,
    ask_from,
    bearer,
    guarded,
    guarded_server,
    identification,
    restarted,
    serving,
)
from tests.integration.process import PATIENCE, configure, free_port, twistd

PASSWORD = "correct horse battery staple"


def test_forced_logins(tmp_path: Path) -> None:
    """With force_logins trust ends when there is a user, except on the unix socket, and begins without."""
    with guarded_server(tmp_path, more="force_logins: True\n") as server:
        assert server.is_let_in(HOME)
        info = ask_from(HOME, server.port, "/access/info").json["result"]
        assert (info["login_required"], info["trusted"]) == (False, True)
        token = server.add_user("only", PASSWORD)["token"]
        assert not server.is_let_in(HOME)
        assert ask_from(HOME, server.port, "/access/info").json["result"]["login_required"] is True
        assert server.is_let_in(HOME, **bearer(token))
        assert server.is_let_in(ABROAD, **bearer(token))
        with closing(server.local()) as local:
            assert "result" in local.call("server.info")
            key = local.call("access.get_api_key")["result"]
        assert server.is_let_in(HOME, X_Api_Key=key)
        restarted(server)
        assert not server.is_let_in(HOME)
        with closing(server.local()) as local:
            assert "result" in local.call("access.delete_user", username="only")
        assert server.is_let_in(HOME)


def test_most_login_attempts(tmp_path: Path) -> None:
    """An address that has failed too often is locked out until a restart, and no other address is."""
    with guarded_server(tmp_path, more="max_login_attempts: 3\n") as server:
        server.add_user("patient", PASSWORD)
        for _ in range(3):
            assert server.log_in("patient", "wrong").json["error"] == {
                "code": 400,
                "message": "Invalid Password",
            }
        assert server.log_in("patient", PASSWORD).status == 401
        assert server.log_in("nobody", PASSWORD).status == 401
        assert server.log_in("patient", PASSWORD, ELSEWHERE).status == 200
        restarted(server)
        assert server.log_in("patient", PASSWORD).status == 200


def test_no_api_key(tmp_path: Path) -> None:
    """When the API key isn't enabled it opens nothing."""
    with guarded_server(tmp_path, more="enable_api_key: False\n") as server:
        key = server.admin("/access/api_key")
        assert not server.is_let_in(X_Api_Key=key)
        with closing(Visitor.come(ABROAD, server.port)) as client:
            assert "error" in client.call("server.connection.identify", **identification(api_key=key))
            assert not client.may()


def test_users_survive(tmp_path: Path) -> None:
    """Users, logins and the API key outlive a restart and a kill, and the end of a login does, too."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    with serving(tmp_path, data, port) as server:
        user, key = server.add_user("lasting", PASSWORD), server.admin("/access/api_key")
        restarted(server)
        assert server.is_let_in(**bearer(user["token"]))
        assert server.is_let_in(X_Api_Key=key)
        last = server.add_user("last", PASSWORD)
        server.process.terminate(signal.SIGKILL)
    with serving(tmp_path, data, port) as server:
        assert server.is_let_in(**bearer(user["token"]))
        assert server.is_let_in(**bearer(last["token"]))
        assert server.is_let_in(X_Api_Key=key)
        assert server.log_in("last", PASSWORD).status == 200
        server.log_out(user["token"])
        server.process.terminate(signal.SIGKILL)
    with serving(tmp_path, data, port) as server:
        assert not server.is_let_in(**bearer(user["token"]))


def test_nobody_is_turned_away_by_a_restart(tmp_path: Path) -> None:
    """Tokens and passwords are as good in the first moment of a new server as they are later."""
    with guarded_server(tmp_path) as server:
        token = server.add_user("hasty", PASSWORD)["token"]
        for _ in range(3):
            server.admin("/server/restart", "POST", {})
            deadline = time.monotonic() + 0.6
            while time.monotonic() < deadline:
                reply = ask_from(ABROAD, server.port, "/access/user", **bearer(token))
                assert reply.status == 200, reply.body


def test_nobody_is_turned_away_by_a_start(tmp_path: Path) -> None:
    """A token is as good in the first moment of a process as it is later."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    with serving(tmp_path, data, port) as server:
        token = server.add_user("hasty", PASSWORD)["token"]
        server.process.terminate()
    with twistd(tmp_path, "-d", str(data)) as process:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                reply = ask_from(ABROAD, port, "/access/user", **bearer(token))
            except OSError:
                continue
            assert reply.status in (200, 503), reply.body
            if reply.status == 200:
                break
        else:
            raise AssertionError(process.log.read_text())


def test_two_printers(tmp_path: Path) -> None:
    """Two printers of one process share no user, no token, no API key and no failed login."""
    ports, data = (free_port(), free_port()), (tmp_path / "one", tmp_path / "two")
    for port, folder in zip(ports, data, strict=True):
        configure(folder, guarded(port, "max_login_attempts: 2\n"))
    with twistd(tmp_path, "-d", str(data[0]), "-d", str(data[1])) as process:
        one, two = (Server(port, folder, process) for port, folder in zip(ports, data, strict=True))
        one.wait()
        two.wait()
        user, key = one.add_user("same", PASSWORD), one.admin("/access/api_key")
        assert two.admin("/access/users/list") == {"users": []}
        namesake = two.add_user("same", PASSWORD)
        assert key != two.admin("/access/api_key")
        assert one.is_let_in(**bearer(user["token"]))
        assert two.is_let_in(**bearer(namesake["token"]))
        assert not two.is_let_in(**bearer(user["token"]))
        assert not one.is_let_in(**bearer(namesake["token"]))
        assert not two.is_let_in(X_Api_Key=key)
        oneshot = f"/access/users/list?token={one.oneshot(**bearer(user['token']))}"
        assert not two.is_let_in(path=oneshot)
        assert one.is_let_in(path=oneshot)
        refresh = {"refresh_token": user["refresh_token"]}
        assert ask_from(ABROAD, two.port, "/access/refresh_jwt", "POST", refresh).status == 401
        for _ in range(2):
            one.log_in("same", "wrong")
        assert one.log_in("same", PASSWORD).status == 401
        assert two.log_in("same", PASSWORD).status == 200


def test_database_that_is_broken(tmp_path: Path) -> None:
    """A database that makes no sense is put aside, and another begun; nothing that is shown is good there."""
    port, data = free_port(), tmp_path / "data"
    configure(data, guarded(port))
    (data / "database").mkdir()
    (data / "database" / "txraker.db").write_bytes(b"no database at all" * 1000)
    with twistd(tmp_path, "-d", str(data)) as process:
        server = Server(port, data, process)
        assert any("txraker.db" in text for text in process.wait_for(port)["warnings"])
        for shown in ({}, {"X_Api_Key": "x"}, bearer("x"), bearer("txr_x")):
            assert not server.is_let_in(ABROAD, **shown)
        user = server.add_user("anybody", PASSWORD)
        assert server.is_let_in(ABROAD, **bearer(user["token"]))
        assert "Traceback" not in process.log.read_text()


def status_of(server: Server, path: str, **headers: str) -> int:
    """Ask from ABROAD, until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask_from(ABROAD, server.port, path, **headers).status
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_database_that_others_have(tmp_path: Path) -> None:
    """While another program has the database users are told to wait; once it lets go they are known again."""
    with guarded_server(tmp_path, more="force_logins: True\n") as server:
        user = server.add_user("ann", PASSWORD)
        server.process.terminate()
    with closing(server.database()) as other, twistd(tmp_path, "-d", str(server.data)) as process:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        server.process = process
        shown = bearer(user["token"])
        assert status_of(server, "/server/info", **shown) == 503
        refresh = {"refresh_token": user["refresh_token"]}
        assert ask_from(ABROAD, server.port, "/access/refresh_jwt", "POST", refresh).status == 503
        assert server.log_in("ann", PASSWORD).status == 503
        other.execute("ROLLBACK")
        deadline = time.monotonic() + 2 * PATIENCE
        while status_of(server, "/server/info", **shown) == 503:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert server.log_in("ann", PASSWORD).status == 200
        info = ask_from(ABROAD, server.port, "/server/info", **shown).json["result"]
        assert info["warnings"] == []
