"""What integration tests share: a running server and its websocket and HTTP clients, over real sockets."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import quote

from attrs import define, field, frozen
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor as _the_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from txraker.config.load import load
from txraker.printer import PrinterServer
from txraker.reactor import Reactor

REACTOR = cast("Reactor", _the_reactor)
"""The real one, whichever pytest-twisted installed."""

LOCALHOST = "127.0.0.1"
TEST_TAKES = 20.0
"""Seconds after which a test has failed."""

WAIT = 5.0
"""Seconds in which what a test waits for must happen."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

CONFIGURATION = """\
[server]
host: {host}
port: {port}
klippy_uds_address: {klippy}

[authorization]
trusted_clients:
  {host}

[machine]
provider: none
"""


def integration(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, Deferred[None]]:
    """Make a test of a coroutine function: it runs in the real reactor, and fails when it takes too long."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> Deferred[None]:
        return Deferred.fromCoroutine(test(*args, **kwargs)).addTimeout(TEST_TAKES, REACTOR)

    return run


def started(work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
    """Begin what is awaited later, after something else has happened."""
    return Deferred.fromCoroutine(work)


async def pause(seconds: float) -> None:
    """Let the reactor run, where a test is about what does *not* happen."""
    await deferLater(REACTOR, seconds)


async def eventually(happens: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Ask again and again until the answer is yes. Raises AssertionError when that takes too long."""
    deadline = REACTOR.seconds() + WAIT
    while not await happens():
        assert REACTOR.seconds() < deadline, "it did not happen"
        await pause(0.01)


class RpcError(Exception):
    """The server answered a JSON-RPC request with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@frozen
class Notification:
    """What the server told by itself; ``params`` is None for a notification without."""

    method: str
    params: list[Any] | None


class _ClientProtocol(WebSocketClientProtocol):
    def __init__(self, client: WebSocketClient) -> None:
        super().__init__()
        self._client = client

    def onOpen(self) -> None:
        """Tell the client."""
        self._client.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand on one JSON text."""
        self._client.received(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell the client."""
        self._client.lost(code)


class _ClientFactory(WebSocketClientFactory):
    noisy = False

    def __init__(self, url: str, client: WebSocketClient) -> None:
        super().__init__(url, reactor=REACTOR)  # type: ignore[no-untyped-call]  # Autobahn's is untyped
        self._client = client

    def buildProtocol(self, addr: object) -> _ClientProtocol:
        """Return the client's protocol."""
        protocol = _ClientProtocol(self._client)
        protocol.factory = self
        return protocol


@define(eq=False)
class WebSocketClient:
    """A JSON-RPC client that keeps all it is told, in order, in ``notifications``.

    ``wait_for`` reads them in order, too: it begins after the one it last returned. ``close_code`` is the
    code of the server's close frame once the connection is over.
    """

    notifications: list[Notification] = field(factory=list, init=False)
    opened: Deferred[None] = field(factory=Deferred, init=False)
    closed: Deferred[None] = field(factory=Deferred, init=False)
    close_code: int | None = field(default=None, init=False)
    _protocol: _ClientProtocol | None = field(default=None, init=False)
    _last_id: int = field(default=0, init=False)
    _pending: dict[int, Deferred[Any]] = field(factory=dict, init=False)
    _read: int = field(default=0, init=False)
    _news: Deferred[None] = field(factory=Deferred, init=False)

    @classmethod
    async def connect(cls, port: int) -> WebSocketClient:
        """Open a websocket to a server on this machine."""
        client = cls()
        factory = _ClientFactory(f"ws://{LOCALHOST}:{port}/websocket", client)
        protocol = await TCP4ClientEndpoint(REACTOR, LOCALHOST, port).connect(factory)
        client._protocol = cast("_ClientProtocol", protocol)
        await client.opened
        return client

    def call(self, method: str, **params: Any) -> Deferred[Any]:
        """Send a request at once; the answer fires with its result, or fails with RpcError."""
        assert self._protocol is not None
        self._last_id += 1
        answer: Deferred[Any] = Deferred()
        self._pending[self._last_id] = answer
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._last_id}
        self._protocol.sendMessage(  # type: ignore[no-untyped-call]  # Autobahn's is untyped
            json.dumps(request).encode()
        )
        return answer

    def flush(self) -> None:
        """Have all requests sent now, before the reactor turns."""
        assert self._protocol is not None
        cast("Any", self._protocol.transport).doWrite()

    async def refused(self, method: str, **params: Any) -> tuple[int, str]:
        """Send a request that must fail, and return the error's code and message."""
        return await refusal(self.call(method, **params))

    async def subscribe(self, objects: dict[str, list[str] | None]) -> dict[str, Any]:
        """Subscribe to printer objects; the result has ``eventtime`` and ``status``."""
        result: dict[str, Any] = await self.call("printer.objects.subscribe", objects=objects)
        return result

    async def klippy_state(self) -> tuple[bool, str]:
        """Ask whether Klippy is connected, and for its state."""
        info = await self.call("server.info")
        return info["klippy_connected"], info["klippy_state"]

    async def reaches(self, state: str) -> None:
        """Wait until Klippy's state is as given."""

        async def is_reached() -> bool:
            return (await self.klippy_state())[1] == state

        await eventually(is_reached)

    async def wait_for(
        self, method: str, matches: Callable[[list[Any]], object] = lambda params: True
    ) -> Notification:
        """Return the next notification of this method with matching params, passing over all before it.

        Raises AssertionError when none comes in time.
        """
        deadline = REACTOR.seconds() + WAIT
        while True:
            while self._read < len(self.notifications):
                notification = self.notifications[self._read]
                self._read += 1
                if notification.method == method and matches(notification.params or []):
                    return notification
            left = deadline - REACTOR.seconds()
            assert left > 0, f"no {method} came"
            waking = REACTOR.callLater(left, self._wake)
            await self._news
            if waking.active():
                waking.cancel()

    async def wait_for_change(self, name: str, key: str, value: object) -> Notification:
        """Return the next status update in which a printer object's field has a value."""
        return await self.wait_for(
            "notify_status_update", lambda params: params[0].get(name, {}).get(key) == value
        )

    def told(self, method: str) -> list[Any]:
        """Return the params of every notification of a method so far."""
        return [heard.params for heard in self.notifications if heard.method == method]

    def heard(self, *methods: str) -> list[str]:
        """Return the names of all notifications so far, in order; given names, only those."""
        return [heard.method for heard in self.notifications if not methods or heard.method in methods]

    def forget(self) -> None:
        """Begin with an empty list of notifications."""
        self.notifications.clear()
        self._read = 0

    async def close(self) -> None:
        """Close the connection, if it is open, and wait until it is gone."""
        assert self._protocol is not None
        if not self.closed.called:
            self._protocol.sendClose()
        await self.closed

    def received(self, message: dict[str, Any]) -> None:
        """Take a message of the server's."""
        if "method" in message:
            self.notifications.append(Notification(message["method"], message.get("params")))
            self._wake()
        elif "error" in message:
            error = message["error"]
            self._pending.pop(message["id"]).errback(RpcError(error["code"], error["message"]))
        else:
            self._pending.pop(message["id"]).callback(message["result"])

    def lost(self, code: int | None) -> None:
        """Note that the connection is over."""
        self.close_code = code
        if not self.closed.called:
            self.closed.callback(None)

    def _wake(self) -> None:
        news, self._news = self._news, Deferred()
        news.callback(None)


async def refusal(call: Deferred[Any]) -> tuple[int, str]:
    """Return code and message of a call that must fail."""
    try:
        result = await call
    except RpcError as error:
        return error.code, error.message
    raise AssertionError(f"not refused: {result!r}")


class _Body(Protocol):
    """Collects a response's body; Twisted's ``readBody`` warns of Twisted's own transports."""

    def __init__(self) -> None:
        self.complete: Deferred[bytes] = Deferred()
        self._pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand on the whole."""
        self.complete.callback(b"".join(self._pieces))


async def http(port: int, verb: str, path: str, **query: str) -> tuple[int, Any]:
    """Send one HTTP request to a server on this machine; return the status and the decoded body."""
    arguments = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    url = f"http://{LOCALHOST}:{port}{path}" + (f"?{arguments}" if arguments else "")
    agent = Agent(REACTOR, pool=HTTPConnectionPool(REACTOR, persistent=False))
    response = await agent.request(verb.encode(), url.encode(), Headers({}))
    body = _Body()
    response.deliverBody(body)
    return response.code, json.loads(await body.complete)


@define(eq=False)
class RunningServer:
    """A printer's server that listens on ``port``, and the clients it has."""

    service: PrinterServer
    port: int
    clients: list[WebSocketClient] = field(factory=list, init=False)

    async def client(self) -> WebSocketClient:
        """Connect one more websocket client; it is closed with the server."""
        client = await WebSocketClient.connect(self.port)
        self.clients.append(client)
        return client

    async def http(self, verb: str, path: str, **query: str) -> tuple[int, Any]:
        """Send one HTTP request; return the status and the decoded body."""
        return await http(self.port, verb, path, **query)

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.service.data_path / "logs" / "moonraker.log").read_text()


@asynccontextmanager
async def running_server(
    data_path: Path, klippy: Path, *, more_configuration: str = ""
) -> AsyncIterator[RunningServer]:
    """Run a server from a data path that is made for it, with Klippy's socket where it is told.

    However the test ends, clients are closed and the server is stopped; that no defect was logged is checked.
    """
    port = free_port()
    config = data_path / "config"
    config.mkdir(parents=True, exist_ok=True)
    text = CONFIGURATION.format(host=LOCALHOST, port=port, klippy=klippy)
    (config / "txraker.conf").write_text(text + more_configuration)
    service = PrinterServer(REACTOR, data_path, None, load(data_path, None), False)
    server = RunningServer(service, port)
    service.startService()
    try:
        yield server
        assert "Incident" not in server.log, server.log
    finally:
        for client in server.clients:
            await client.close()
        await maybeDeferred(service.stopService)


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port
