"""A recorded Klippy: plays one recorded conversation to whatever client connects to its unix socket.

A recording holds one JSON object a line: ``t`` (seconds since it began), ``dir`` (``tx`` from the recorder to
Klippy, ``rx`` the other way, ``note`` for what happened to the connection) and ``msg``. The client of today
asks other things than the recorder did, so its requests are answered from what the recording says at a
cursor, and it is the test that moves the cursor: nothing ever waits for the clock unless it is asked to.

:class:`Recording` and :class:`Playback` are pure; :class:`ReplayedKlippy` is the socket around them. What is
simpler than in Klippy: ``objects/query`` is answered at once rather than with the next tick; and what a
recording doesn't tell again after a restart stays as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, Literal

import msgspec
from attrs import define, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from txraker.klippy.framing import TERMINATOR, FrameSplitter
from txraker.reactor import Reactor

Status = dict[str, dict[str, Any]]
"""Object name to field name to value."""

Objects = Mapping[str, Collection[str] | None]
"""What a client wants of printer objects: names to fields, or to None for all."""

PATIENCE = 5.0
"""Seconds in which a client must send the request that a replay stands still for."""

_FROM_STATUS = frozenset({"objects/query", "objects/subscribe"})
_REGISTERING = frozenset({"gcode/subscribe_output", "register_remote_method"})
_LATEST_REPLY = frozenset({"info", "list_endpoints", "objects/list", "gcode/help"})
_READING = _FROM_STATUS | _REGISTERING | _LATEST_REPLY
_STATE_LINE = "// Klipper state: "


class _Written(msgspec.Struct, frozen=True):
    t: float
    dir: Literal["tx", "rx", "note"]
    msg: dict[str, Any] | str


@frozen
class Line:
    """One line of a recording. ``message`` is empty for a note, and ``note`` for a message.

    ``method`` is that of a request or of what Klippy says by itself; a reply has that of its request.
    """

    time: float
    direction: Literal["tx", "rx", "note"]
    message: dict[str, Any]
    note: str
    method: str

    @property
    def is_reply(self) -> bool:
        """Whether this is Klippy's answer to a request."""
        return self.direction == "rx" and "id" in self.message

    @property
    def status(self) -> Status:
        """The status in an update or in a reply; empty when there is none."""
        body = self._body()
        status: Status = body.get("status", {}) if isinstance(body, dict) else {}
        return status

    @property
    def eventtime(self) -> float | None:
        """Klippy's clock (s), if the message tells it."""
        body = self._body()
        return body.get("eventtime") if isinstance(body, dict) else None

    @property
    def said(self) -> str | None:
        """The text that Klippy writes to the console with this message."""
        if self.direction != "rx" or self.is_reply or "status" in self.message["params"]:
            return None
        return str(self.message["params"]["response"])

    def _body(self) -> object:
        return self.message.get("result" if self.is_reply else "params")


@frozen
class Exchange:
    """A recorded request and its reply, by their places among the lines, and the connection they were on.

    ``outcome`` has the key ``result`` or ``error``, or neither when Klippy never answered.
    """

    id: int
    method: str
    params: dict[str, Any]
    connection: int
    asked_at: int
    answered_at: int | None
    outcome: dict[str, Any]

    @property
    def is_reading(self) -> bool:
        """Whether any client may send such a request at any time without consequences."""
        return self.method in _READING


@define(eq=False)
class Recording:
    """A conversation as it was recorded."""

    lines: tuple[Line, ...]
    exchanges: dict[int, Exchange]

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a file of JSON lines."""
        return cls.parse(path.read_bytes())

    @classmethod
    def parse(cls, text: bytes) -> Recording:
        """Take JSON lines apart. Raises msgspec.DecodeError for what is none."""
        written = [msgspec.json.decode(line, type=_Written) for line in text.splitlines() if line.strip()]
        methods: dict[int, str] = {}
        lines = []
        for entry in written:
            if isinstance(entry.msg, str):
                lines.append(Line(entry.t, entry.dir, {}, entry.msg, ""))
                continue
            method = entry.msg.get("method") or methods.get(entry.msg["id"], "")
            if entry.dir == "tx":
                methods[entry.msg["id"]] = method
            lines.append(Line(entry.t, entry.dir, entry.msg, "", method))
        return cls(tuple(lines), _exchanges(lines))


def _exchanges(lines: list[Line]) -> dict[int, Exchange]:
    answers = {line.message["id"]: place for place, line in enumerate(lines) if line.is_reply}
    exchanges: dict[int, Exchange] = {}
    connection = 0
    for place, line in enumerate(lines):
        connection += _opens(line)
        if line.direction == "tx":
            request = line.message
            answered_at = answers.get(request["id"])
            reply = {} if answered_at is None else lines[answered_at].message
            outcome: dict[str, Any] = {key: reply[key] for key in ("result", "error") if key in reply}
            params = request.get("params", {})
            exchanges[request["id"]] = Exchange(
                request["id"], line.method, params, connection, place, answered_at, outcome
            )
    return exchanges


def _opens(line: Line) -> bool:
    return line.note == "connected"


def _closes(line: Line) -> bool:
    return line.note.startswith("connection closed")


@frozen
class Opened:
    """Klippy's socket is there."""


@frozen
class Closed:
    """Klippy has closed all connections, and its socket is gone."""


@frozen
class Changed:
    """Fields of printer objects are different now."""

    status: Status
    eventtime: float


@frozen
class Said:
    """Klippy wrote to its console."""

    response: str


@frozen
class Answered:
    """Klippy answers a request that does something."""

    exchange: Exchange


Happening = Opened | Closed | Changed | Said | Answered


@define(eq=False)
class Playback:
    """A recording and a cursor in it: what is so at the cursor, and what happens as it moves on.

    ``status`` is all that the recording has told of printer objects up to the cursor, ``eventtime`` (s) the
    clock that it told last, and ``connection`` counts the recorder's connections, beginning with 1.
    """

    recording: Recording
    position: int = field(default=0, init=False)
    connection: int = field(default=0, init=False)
    status: Status = field(factory=dict, init=False)
    eventtime: float = field(init=False)
    _claimed: set[int] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        times = (line.eventtime for line in self.recording.lines)
        self.eventtime = next((time for time in times if time is not None), 0.0)

    @property
    def next_line(self) -> Line | None:
        """The line that the next step will play; None at the end."""
        lines = self.recording.lines
        return lines[self.position] if self.position < len(lines) else None

    @property
    def unasked(self) -> Exchange | None:
        """The recorded request that comes next, if it does something and no client has sent its like."""
        line = self.next_line
        if line is None or line.direction != "tx":
            return None
        exchange = self.recording.exchanges[line.message["id"]]
        return None if exchange.is_reading or exchange.id in self._claimed else exchange

    def step(self) -> Happening | None:
        """Play the next line and say what a client may notice of it. Raises IndexError at the end."""
        line = self.recording.lines[self.position]
        self.position += 1
        if _opens(line):
            self.connection += 1
            self._merge(self._webhooks())
            return Opened()
        if _closes(line):
            self.drop_claims()
            return Closed()
        if line.direction != "rx":
            return None
        if line.eventtime is not None:
            self.eventtime = line.eventtime
        if line.is_reply:
            return self._step_over_reply(line)
        if line.said is not None:
            self._expect_state(line.said)
            return Said(line.said)
        self._merge(line.status)
        return Changed(line.status, self.eventtime)

    def _step_over_reply(self, line: Line) -> Happening | None:
        exchange = self.recording.exchanges[line.message["id"]]
        if not exchange.is_reading:
            return Answered(exchange)
        # The recorder learned from this reply what another client's subscription would have told it.
        news = self._merge(self._webhooks() if line.method == "info" else _known(line, exchange))
        return Changed(news, self.eventtime) if news else None

    def answer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return ``{"result": …}`` or ``{"error": …}`` for a request that only reads or registers.

        None for any other request.
        """
        if method in _REGISTERING:
            return {"result": {}}
        if method in _FROM_STATUS:
            return self._answer_from_status(params)
        if method not in _LATEST_REPLY:
            return None
        reply = self._reply(method)
        if reply is None:
            return refusal(method)
        if method == "info":
            reply = {**reply, **self.status.get("webhooks", {})}
        return {"result": reply}

    def claim(self, method: str, params: Mapping[str, Any]) -> Exchange | None:
        """Let a client's request stand for the next recorded one of its like; None when there is none.

        When the connection closes before that is answered, the recorded one is free again.
        """
        for exchange in self.recording.exchanges.values():
            alike = exchange.method == method and exchange.params == params
            if alike and exchange.asked_at >= self.position and exchange.id not in self._claimed:
                self._claimed.add(exchange.id)
                return exchange
        return None

    def drop_claims(self) -> None:
        """Forget who sent which request: the connection is gone, and nothing will be answered."""
        self._claimed.clear()

    def _answer_from_status(self, params: Mapping[str, Any]) -> dict[str, Any]:
        objects = params.get("objects")
        if not isinstance(objects, dict):
            kind = "Missing Argument" if objects is None else "Invalid Argument Type"
            return _error(f"{kind} [objects]")
        status: Status = {}
        for name, fields in objects.items():
            known = self.status.get(name, {})
            wanted = known if fields is None else fields
            status[name] = {key: known.get(key) for key in wanted} if known else {}
        return {"result": {"eventtime": self.eventtime, "status": status}}

    def _reply(self, method: str) -> dict[str, Any] | None:
        """Find the latest recorded reply of this connection, else its first one, else an earlier one."""
        known = [
            exchange
            for exchange in self.recording.exchanges.values()
            if exchange.method == method and "result" in exchange.outcome
        ]
        here = [exchange for exchange in known if exchange.connection == self.connection]
        past = [exchange for exchange in here if (exchange.answered_at or 0) < self.position]
        before = [exchange for exchange in known if exchange.connection < self.connection]
        for found in (past[-1:], here[:1], before[-1:]):
            if found:
                result: dict[str, Any] = found[0].outcome["result"]
                return result
        return None

    def _webhooks(self) -> Status:
        info = self._reply("info") or {}
        return {"webhooks": {key: info[key] for key in ("state", "state_message") if key in info}}

    def _expect_state(self, said: str) -> None:
        """Be in the state that a console line names: the update that says so comes with the next tick."""
        if not said.startswith(_STATE_LINE):
            return
        for line in self.recording.lines[self.position :]:
            news = line.status.get("webhooks", {})
            if "state" in news:
                if news["state"] == said.removeprefix(_STATE_LINE).lower():
                    self._merge({"webhooks": news})
                return

    def _merge(self, status: Status) -> Status:
        """Take news of printer objects, and return what of them is new."""
        changed: Status = {}
        for name, fields in status.items():
            known = self.status.setdefault(name, {})
            news = {key: value for key, value in fields.items() if key not in known or known[key] != value}
            known.update(news)
            if news:
                changed[name] = news
        return changed


def _known(line: Line, exchange: Exchange) -> Status:
    """Return the status of a reply without the nulls that stand for unknown fields, asked for by name."""
    asked = exchange.params.get("objects", {})
    return {
        name: {key: value for key, value in fields.items() if value is not None or asked.get(name) is None}
        for name, fields in line.status.items()
    }


def refusal(method: str) -> dict[str, Any]:
    """Return what Klippy answers to a method that it doesn't know."""
    return _error(f"webhooks: No registered callback for path '{method}'")


def _error(message: str) -> dict[str, Any]:
    return {"error": {"error": "WebRequestError", "message": message}}


Until = Callable[[Line], bool] | float
"""Where a replay stops: after the first line for which this is true, or at this second of the recording."""


def replies_to(method: str) -> Callable[[Line], bool]:
    """Stop after the next recorded reply to a method."""
    return lambda line: line.is_reply and line.method == method


def asks_for(method: str) -> Callable[[Line], bool]:
    """Stop after the next recorded request with a method."""
    return lambda line: line.direction == "tx" and line.method == method


def says(text: str) -> Callable[[Line], bool]:
    """Stop after the next console line that contains a text."""
    return lambda line: line.said is not None and text in line.said


def notes(text: str) -> Callable[[Line], bool]:
    """Stop after the next note that begins with a text."""
    return lambda line: line.note.startswith(text)


def sets(name: str, key: str, value: object) -> Callable[[Line], bool]:
    """Stop after the next update or reply in which a printer object's field has a value."""
    return lambda line: line.status.get(name, {}).get(key) == value


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
