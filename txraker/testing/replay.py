"""A replayed Klippy: plays one recorded conversation to whatever client connects to its unix socket.

The client of today asks other things than the recorder did, so its requests are answered from what the
recording says at a cursor, and it is the test that moves the cursor: nothing ever waits for the clock unless
it is asked to. What is simpler than in Klippy: ``objects/query`` is answered at once rather than with the
next tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from txraker.klippy.framing import TERMINATOR, FrameSplitter
from txraker.reactor import Reactor
from txraker.testing.recording import (
    Answered,
    Changed,
    Closed,
    Line,
    Objects,
    Opened,
    Playback,
    Recording,
    Said,
    Status,
    Until,
    notes,
    refusal,
)

PATIENCE = 5.0
"""Seconds in which a client must send the request that a replay stands still for."""


class EndOfRecording(Exception):
    """The recording ended before what was waited for."""


class RequestMissing(Exception):
    """The replay stood still for a request that no client sent."""


class _Client(Protocol):
    """One client's connection."""

    def __init__(self, klippy: ReplayedKlippy) -> None:
        self._klippy = klippy
        self._splitter = FrameSplitter()
        self._objects: Objects = {}
        self._status_template: dict[str, Any] = {}
        self._console_template: dict[str, Any] | None = None
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Join."""
        self._klippy.joined(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave."""
        self._klippy.left(self)
        self.gone.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Take requests; what is no request is ignored."""
        for frame in self._splitter.feed(data):
            try:
                request = msgspec.json.decode(frame, type=dict[str, Any])
            except msgspec.MsgspecError:
                continue
            self._klippy.asked(self, request.get("id"), str(request.get("method")), request.get("params", {}))

    def register(self, method: str, params: Mapping[str, Any]) -> None:
        """Note what the client wants to hear of from now on."""
        template = params.get("response_template", {})
        if method == "objects/subscribe":
            self._objects, self._status_template = params["objects"], template
        elif method == "gcode/subscribe_output":
            self._console_template = template

    def reply(self, request_id: object, outcome: Mapping[str, Any]) -> None:
        """Answer a request; one without id doesn't want it."""
        if request_id is not None:
            self._send({"id": request_id, **outcome})

    def say(self, response: str) -> None:
        """Tell what was written to the console, if the client wants to know."""
        if self._console_template is not None:
            self._send({**self._console_template, "params": {"response": response}})

    def change(self, news: Changed) -> None:
        """Tell what the client subscribed to of an update, if there is anything."""
        status: Status = {}
        for name, fields in self._objects.items():
            changed = news.status.get(name, {})
            share = {key: value for key, value in changed.items() if fields is None or key in fields}
            if share:
                status[name] = share
        if status:
            params = {"eventtime": news.eventtime, "status": status}
            self._send({**self._status_template, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.transport is not None
        self.transport.write(msgspec.json.encode(message) + TERMINATOR)


class _Clients(Factory):
    noisy = False

    def __init__(self, klippy: ReplayedKlippy) -> None:
        self._klippy = klippy

    def buildProtocol(self, addr: object) -> _Client:
        """Return the protocol of a new client."""
        return _Client(self._klippy)


@define(eq=False)
class ReplayedKlippy:
    """Plays a recording to the clients of a unix socket, as far as it is told to.

    A request that does something (a script, a pause, a restart) stands for the next recorded one with the
    same method and params, and is answered when the cursor comes by the recorded reply; a request that the
    recording doesn't have is refused as Klippy refuses unknown methods. All others are answered at once
    from what is recorded up to the cursor. ``requests`` has every request there was, as method and params.
    """

    _reactor: Reactor
    recording: Recording
    socket_path: Path
    patience: float = PATIENCE
    requests: list[tuple[str, dict[str, Any]]] = field(factory=list, init=False)
    playback: Playback = field(init=False)
    _port: IListeningPort | None = field(default=None, init=False)
    _clients: list[_Client] = field(factory=list, init=False)
    _claims: dict[int, tuple[_Client, object]] = field(factory=dict, init=False)
    _asked: Deferred[None] = field(factory=Deferred, init=False)

    def __attrs_post_init__(self) -> None:
        self.playback = Playback(self.recording)

    async def start(self) -> None:
        """Play up to the recorder's first connection: the socket is there."""
        await self.skip(notes("connected"))

    async def stop(self) -> None:
        """Close every connection and remove the socket, whatever the recording says."""
        self.playback.drop_claims()
        await self._close(abort=True)

    def cut(self) -> None:
        """End every connection this instant, before the reactor turns, as a Klippy that crashes does.

        The socket stays, and clients may come back to it.
        """
        self._claims.clear()
        self.playback.drop_claims()
        for client in self._clients:
            assert client.transport is not None
            client.transport.getHandle().shutdown(SHUT_RDWR)  # type: ignore[attr-defined]  # sockets have it

    def resume(self) -> None:
        """Have the socket again after ``stop``, with the cursor where it was."""
        self._listen()

    async def advance(self) -> Line:
        """Play one line, whether or not a client sent what the recorder sent. Raises EndOfRecording."""
        line = self.playback.next_line
        if line is None:
            raise EndOfRecording("the recording is over")
        match self.playback.step():
            case Opened():
                self._listen()
            case Closed():
                await self._close(abort=False)
            case Changed() as news:
                for client in list(self._clients):
                    client.change(news)
            case Said(response):
                for client in list(self._clients):
                    client.say(response)
            case Answered(exchange) if exchange.id in self._claims:
                client, request_id = self._claims.pop(exchange.id)
                client.reply(request_id, exchange.outcome)
        return line

    async def skip(self, until: Until | None = None) -> None:
        """Play on without waiting for clients: what the recorder asked for happens anyway.

        Raises EndOfRecording when ``until`` never comes true; without it, everything is played.
        """
        await self._run(until, wait=False, speed=None)

    async def play(self, until: Until | None = None, *, speed: float | None = None) -> None:
        """Play on, standing still at each recorded request that does something until a client sends it.

        ``speed`` is 1 for the pace of the recording, 10 for ten times that; without it, it goes as fast as
        the reactor turns. Raises EndOfRecording as ``skip`` does, and RequestMissing when patience ends.
        """
        await self._run(until, wait=True, speed=speed)

    async def received(self, method: str, count: int = 1) -> None:
        """Wait until clients have sent so many requests with a method. Raises RequestMissing."""
        await self._until_asked(lambda: self.count(method) >= count, f"{method!r}, {count} times")

    def count(self, method: str) -> int:
        """Return how many requests with a method there were."""
        return sum(1 for asked, _ in self.requests if asked == method)

    async def _run(self, until: Until | None, *, wait: bool, speed: float | None) -> None:
        stops = until if callable(until) else None
        end = float("inf") if until is None or callable(until) else until
        before: float | None = None
        while (line := self.playback.next_line) is not None and line.time <= end:
            pause = 0.0 if speed is None or before is None else (line.time - before) / speed
            before = line.time
            await deferLater(self._reactor, pause)
            unasked = self.playback.unasked
            if wait and unasked is not None:
                await self._until_asked(
                    lambda: self.playback.unasked is None, f"{unasked.method!r} with {unasked.params}"
                )
            await self.advance()
            if stops is not None and stops(line):
                return
        if stops is not None:
            raise EndOfRecording("the recording ended before what was waited for")

    async def _until_asked(self, satisfied: Callable[[], bool], what: str) -> None:
        deadline = self._reactor.seconds() + self.patience
        while not satisfied():
            left = deadline - self._reactor.seconds()
            if left <= 0:
                raise RequestMissing(f"no client sent {what}")
            waking = self._reactor.callLater(left, self._wake)
            await self._asked
            if waking.active():
                waking.cancel()

    def _wake(self) -> None:
        asked, self._asked = self._asked, Deferred()
        asked.callback(None)

    def _listen(self) -> None:
        self._port = self._reactor.listenUNIX(str(self.socket_path), _Clients(self))

    async def _close(self, *, abort: bool) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        self._claims.clear()
        leaving = list(self._clients)
        for client in leaving:
            assert client.transport is not None
            if abort:
                client.transport.abortConnection()  # type: ignore[attr-defined]  # unix transports have it
            else:
                client.transport.loseConnection()
        for client in leaving:
            await client.gone

    def joined(self, client: _Client) -> None:
        """A client is connected."""
        self._clients.append(client)

    def left(self, client: _Client) -> None:
        """A client is gone; nobody waits for its answers."""
        self._clients.remove(client)
        self._claims = {key: claim for key, claim in self._claims.items() if claim[0] is not client}

    def asked(self, client: _Client, request_id: object, method: str, params: dict[str, Any]) -> None:
        """A client sent a request."""
        self.requests.append((method, params))
        outcome = self.playback.answer(method, params)
        if outcome is None:
            exchange = self.playback.claim(method, params)
            if exchange is None:
                outcome = refusal(method)
            else:
                self._claims[exchange.id] = (client, request_id)
        elif "result" in outcome:
            client.register(method, params)
        if outcome is not None:
            client.reply(request_id, outcome)
        self._wake()
