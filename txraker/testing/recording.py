"""A recorded conversation with a real Klippy, and playing it back. Pure.

A recording holds one JSON object a line: ``t`` (seconds since it began), ``dir`` (``tx`` from the recorder to
Klippy, ``rx`` the other way, ``note`` for what happened to the connection) and ``msg``. What is simpler than
in Klippy: what a recording doesn't tell again after a restart stays as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from attrs import define, field, frozen

Status = dict[str, dict[str, Any]]
"""Object name to field name to value."""

Objects = Mapping[str, Collection[str] | None]
"""What a client wants of printer objects: names to fields, or to None for all."""

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
