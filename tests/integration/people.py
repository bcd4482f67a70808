"""People who use a server from several addresses of this machine, only one of which it trusts."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from attrs import define

from tests.integration.process import PATIENCE, Reply, Twistd, configure, free_port, twistd
from tests.integration.unixclient import UnixClient
from tests.integration.websocket import Closed, WebSocket
from txraker.authorization.jwt import Claims, TokenMint, TokenType

HOME = "127.0.0.1"
"""The address that is trusted."""

ABROAD, ELSEWHERE = "127.0.0.2", "127.0.0.3"
"""Addresses that aren't."""

UNAUTHORIZED = {"code": -32602, "message": "Unauthorized"}


def guarded(port: int, more: str = "", server: str = "") -> str:
    """Return a configuration that trusts HOME alone; ``more`` is added to its ``[authorization]``."""
    return (
        f"[machine]\nprovider: none\n[server]\nhost: 127.0.0.1\nport: {port}\n{server}"
        f"[authorization]\ntrusted_clients:\n    {HOME}\n{more}"
    )


def ask_from(
    source: str, port: int, path: str, method: str = "GET", arguments: object = None, **headers: str
) -> Reply:
    """Make one HTTP request from an address of this machine; arguments are sent as JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    with closing(connection):
        return ask_on(connection, path, method, arguments, **headers)


def ask_on(
    connection: HTTPConnection, path: str, method: str = "GET", arguments: object = None, **headers: str
) -> Reply:
    """Make one HTTP request on a connection that there is already."""
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    body = None
    if arguments is not None:
        body = json.dumps(arguments)
        shown["Content-Type"] = "application/json"
    connection.request(method, path, body, shown)
    response = connection.getresponse()
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def raw_from(source: str, port: int, request: bytes) -> bytes:
    """Send bytes from an address of this machine, and return all that comes back until the end."""
    with socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)
    ) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


@define
class Visitor(WebSocket):
    """A websocket that comes from a certain address of this machine."""

    @classmethod
    def come(cls, source: str, port: int, path: str = "/websocket", **headers: str) -> Visitor:
        """Open a websocket. Raises AssertionError with the response if it is refused."""
        connection = socket.create_connection(
            ("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)
        )
        return cls._shake_hands(connection, port, path, headers)

    def may(self) -> bool:
        """Say whether the client is let in to what is for those who are known."""
        answer = self.call("server.info")
        assert "result" in answer or answer["error"] == UNAUTHORIZED
        return "result" in answer

    def hears(self, seconds: float) -> list[str]:
        """Return the methods of the notifications that come in time, kept ones included."""
        heard = [message["method"] for message in self.notifications]
        self.notifications.clear()
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                message = self.receive()
                heard.append(message["method"])
        except (TimeoutError, Closed):
            pass
        finally:
            self._socket.settimeout(PATIENCE)
        return heard

    def ends(self) -> bool:
        """Say whether the connection ends, in good order or not."""
        try:
            self.drain()
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def identification(**shown: str) -> dict[str, str]:
    """Return the arguments of an identification, with what it is to show."""
    return {"client_name": "test", "version": "1", "type": "other", "url": "http://test", **shown}


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


@define
class Server:
    """A guarded server, and its process."""

    port: int
    data: Path
    process: Twistd

    def admin(self, path: str, method: str = "GET", arguments: object = None) -> Any:
        """Ask for something from HOME, and return the result."""
        reply = ask_from(HOME, self.port, path, method, arguments)
        assert reply.status == 200, reply.body
        return reply.json["result"]

    def add_user(self, username: str, password: str, role: str = "admin") -> dict[str, str]:
        """Create a user, and return its tokens with what else is said about it."""
        about = {"username": username, "password": password, "role": role}
        user: dict[str, str] = self.admin("/access/user", "POST", about)
        return user

    def add_token(self, name: str, role: str) -> str:
        """Make an API token."""
        token: str = self.admin("/access/token", "POST", {"name": name, "role": role})["token"]
        return token

    def log_in(self, username: str, password: str, source: str = ABROAD, **headers: str) -> Reply:
        """Try to log in."""
        user = {"username": username, "password": password}
        return ask_from(source, self.port, "/access/login", "POST", user, **headers)

    def log_out(self, token: str) -> None:
        """Log out whose token it is."""
        reply = ask_from(ABROAD, self.port, "/access/logout", "POST", {}, **bearer(token))
        assert reply.status == 200, reply.body

    def oneshot(self, source: str = ABROAD, **shown: str) -> str:
        """Ask for a oneshot token."""
        reply = ask_from(source, self.port, "/access/oneshot_token", **shown)
        assert reply.status == 200, reply.body
        token: str = reply.json["result"]
        return token

    def is_let_in(self, source: str = ABROAD, path: str = "/access/users/list", **headers: str) -> bool:
        """Say whether an administrator's request gets an answer; otherwise it must be told why not."""
        reply = ask_from(source, self.port, path, **headers)
        assert reply.status in (200, 401), reply.body
        if reply.status == 401:
            assert reply.json == {"error": {"code": 401, "message": "Unauthorized"}}
        return reply.status == 200

    def local(self) -> UnixClient:
        """Connect to the unix socket. Raises OSError while nobody listens there."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(self.data / "comms" / "moonraker.sock"))
        except OSError:
            connection.close()
            raise
        return UnixClient(connection)

    def database(self) -> sqlite3.Connection:
        """Open the server's database."""
        return sqlite3.connect(self.data / "database" / "txraker.db", timeout=5)

    def wait(self) -> None:
        """Wait until it answers and knows its users."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.process.poll() is None, self.process.log.read_text()
            with suppress(OSError, Closed), closing(self.local()) as local:
                if local.call("access.get_api_key").get("result"):
                    return
            time.sleep(0.05)
        raise AssertionError(f"waited in vain\n{self.process.log.read_text()}")

    def forge(self, username: str, expires_in: float, token_type: TokenType = "access") -> str:
        """Make a token of a user's login with the server's own key."""
        with closing(self.database()) as database:
            ((key,),) = database.execute("SELECT value FROM secrets WHERE name = 'signing_key'")
            ((session,),) = database.execute("SELECT session FROM users WHERE username = ?", (username,))
        now = time.time()
        return TokenMint(key).make(Claims(username, session, token_type), now, now + expires_in)


def restarted(server: Server) -> None:
    """Restart a server over its unix socket, and wait until it is the new one that answers."""
    with closing(server.local()) as local:
        assert local.call("server.restart")["result"] == "ok"
        with suppress(Closed):
            while True:
                local.receive()
    server.wait()


@contextmanager
def serving(folder: Path, data: Path, port: int, *options: str) -> Iterator[Server]:
    """Run a server that is configured already, for as long as the context lasts."""
    with twistd(folder, "-d", str(data), *options) as process:
        server = Server(port, data, process)
        server.wait()
        yield server
        assert "Traceback" not in process.log.read_text()


@contextmanager
def guarded_server(folder: Path, *options: str, more: str = "", server: str = "") -> Iterator[Server]:
    """Run a server that trusts HOME alone, for as long as the context lasts."""
    port, data = free_port(), folder / "data"
    configure(data, guarded(port, more, server))
    with serving(folder, data, port, *options) as served:
        yield served
