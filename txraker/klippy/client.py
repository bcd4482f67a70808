"""The conversation with Klippy: requests matched to replies, the state followed, everybody told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import msgspec
from attrs import define, field
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from txraker import __version__
from txraker.errors import (
    ApiError,
    BadRequest,
    KlippyDisconnected,
    KlippyError,
    KlippyNotConnected,
    Unavailable,
)
from txraker.events import (
    EndpointsLearned,
    Events,
    GcodeResponse,
    KlippyIdentified,
)
from txraker.faults import FaultReport, run_aside
from txraker.interfaces import IKlippy, IStatusSubscriber
from txraker.klippy.connection import KlippyConnection, KlippyConnections, decoded
from txraker.klippy.freshness import READING_METHODS, Freshness
from txraker.klippy.host import KlippyHost
from txraker.klippy.session import Announcements, KlippyState, Session
from txraker.klippy.status import STATUS_METHOD, StatusFeed
from txraker.klippy.subscriptions import Delivery, Wish

RECONNECT_INTERVAL = 0.25
"""Seconds between the end of a connection and the next attempt."""

STARTUP_POLL = 0.1
"""Seconds between two looks at Klippy's state while it starts."""

MOST_PENDING = 2000
"""Requests that Klippy may have to answer; further ones are refused, except for an emergency stop."""

MOST_HELD_BACK = 4 * 1024 * 1024
"""Bytes that may wait for a Klippy that doesn't read; more is refused, except for an emergency stop."""

CONSOLE_METHOD = "process_gcode_response"
_READY_LINE = "// Klipper state: Ready"
_WATCHED = Wish.of({"webhooks": ["state", "state_message"], "toolhead": ["estimated_print_time"]})
"""Klippy's state, and something that always moves, so that there are ticks as long as Klippy lives."""


RemoteMethod = Callable[[dict[str, Any]], None]
"""What Klippy's macros can call; it is given the arguments."""


class _Request(msgspec.Struct):
    """A request that Klippy hasn't answered; nobody waits for it any more when ``answered`` is None."""

    answered: Deferred[dict[str, Any]] | None
    mark: int
    is_command: bool


class _ConsoleOutput(msgspec.Struct):
    response: str


@implementer(IKlippy, IStatusSubscriber)
@define(eq=False, repr=False)
class KlippyClient:
    """Provides IKlippy over Klippy's unix socket; its ``status`` provides IStatusFeed.

    ``service`` connects, and connects again, for as long as it runs.
    """

    _clock: IReactorTime
    _endpoint: IStreamClientEndpoint
    _events: Events
    _report_fault: FaultReport
    log: Logger

    objects: tuple[str, ...] = field(default=(), init=False)
    endpoints: frozenset[str] | None = field(default=None, init=False)
    host: KlippyHost | None = field(default=None, init=False)
    freshness: Freshness = field(factory=Freshness, init=False)
    status: StatusFeed = field(init=False)
    service: ClientService = field(init=False)
    _session: Session = field(init=False)
    _connection: KlippyConnection | None = field(default=None, init=False)
    _pending: dict[int, _Request] = field(factory=dict, init=False)
    _remote_methods: dict[str, RemoteMethod] = field(factory=dict, init=False)
    _ids: count[int] = field(factory=lambda: count(1), init=False)
    _watch: Deferred[None] | None = field(default=None, init=False)
    _nudged: Deferred[None] = field(factory=Deferred, init=False)
    _garbled: int = field(default=0, init=False)
    _refused: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._session = Session(Announcements(self._events))
        self.status = StatusFeed(self._clock, self.request, self.freshness, self._report_fault)
        factory = KlippyConnections(self)
        self.service = ClientService(
            self._endpoint, factory, retryPolicy=lambda _attempt: RECONNECT_INTERVAL, clock=self._clock
        )

    @property
    def state(self) -> KlippyState:
        """The state last announced."""
        return self._session.state

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    def request(self, method: str, params: Mapping[str, object] | None = None) -> Deferred[dict[str, Any]]:
        connection = self._connection
        if connection is None:
            raise KlippyNotConnected
        is_stuck = len(self._pending) >= MOST_PENDING or connection.held_back > MOST_HELD_BACK
        if is_stuck and method != "emergency_stop":
            raise Unavailable("Klippy has more requests than it takes")
        is_command = method not in READING_METHODS
        if is_command:
            self.freshness.command_sent()
        request_id = next(self._ids)
        answered: Deferred[dict[str, Any]] = Deferred(lambda _: self._abandon(request_id))
        self._pending[request_id] = _Request(answered, self.freshness.mark, is_command)
        connection.send({"id": request_id, "method": method, "params": params or {}})
        return answered

    def _abandon(self, request_id: int) -> None:
        request = self._pending.get(request_id)
        if request is not None:
            request.answered = None

    def touched(self) -> None:
        """Note that something went over another connection to Klippy, which may have changed anything."""
        self.freshness.command_sent()

    def register_remote_method(self, name: str, called: RemoteMethod) -> None:
        if name in (*self._remote_methods, STATUS_METHOD, CONSOLE_METHOD):
            raise BadRequest(f"Remote method ({name}) already registered")
        self._remote_methods[name] = called
        if self.state in ("ready", "shutdown"):
            run_aside(self._register(name), "registering a remote method", self._report_fault, ApiError)

    def forget_remote_method(self, name: str) -> None:
        self._remote_methods.pop(name, None)

    async def _register(self, name: str) -> None:
        template = {"method": name}
        await self.request("register_remote_method", {"remote_method": name, "response_template": template})

    def connection_made(self, connection: KlippyConnection) -> None:
        """Begin a conversation."""
        self._connection = connection
        self._garbled = 0
        self._refused.clear()
        self.freshness.reset()
        self.log.info("Connected to Klippy")
        self._session.connected()
        self._watch = run_aside(
            self._follow(),
            "following Klippy",
            self._report_and_reconnect,
            KlippyDisconnected,
            KlippyNotConnected,
        )

    def connection_lost(self) -> None:
        """End the conversation: everybody is told at once, then whoever waits for an answer."""
        if self._connection is None:
            return
        self._connection = None
        self.endpoints = None
        self.objects = ()
        self.freshness.reset()
        if self._watch is not None:
            self._watch.cancel()
        pending, self._pending = self._pending, {}
        self.log.info("Disconnected from Klippy")
        self._session.lost()
        for request in pending.values():
            if request.answered is not None and not request.answered.called:
                request.answered.errback(KlippyDisconnected())
        self.status.reset()

    def frame_received(self, frame: bytes) -> None:
        """Take one of Klippy's messages; whatever is wrong with it, the next one is taken, too."""
        message = decoded(frame)
        try:
            if not isinstance(message, dict):
                self._garble("frame")
            elif "id" in message:
                self._answer(message)
            else:
                self._hear(message)
        except Exception as fault:
            self._report_fault("a message of Klippy's", fault)

    def _garble(self, what: str) -> None:
        self._garbled += 1
        if self._garbled == 1:
            self.log.warn("Klippy sent a {what} that can't be understood; ignored", what=what)

    def _answer(self, message: dict[str, Any]) -> None:
        request_id = message["id"]
        request = self._pending.pop(request_id, None) if type(request_id) is int else None
        if request is None:
            self.log.debug("Klippy answered a request that nobody made: {id}", id=request_id)
            return
        self.freshness.answered(request.mark, is_command=request.is_command)
        if request.answered is None:
            return
        if "error" in message:
            request.answered.errback(KlippyError(_error_text(message["error"])))
        else:
            result = message.get("result")
            request.answered.callback(result if isinstance(result, dict) else {})

    def _hear(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params")
        try:
            if method == STATUS_METHOD:
                self.status.changed(params)
                self.freshness.ticked(self._clock.seconds())
                self.status.ticked()
            elif method == CONSOLE_METHOD:
                self.freshness.happened()
                self._console(msgspec.convert(params, _ConsoleOutput).response)
            elif isinstance(method, str) and method in self._remote_methods:
                self.freshness.happened()
                self._remote_methods[method](params if isinstance(params, dict) else {})
            else:
                self.log.debug("Klippy called {method}, which nobody has registered", method=method)
        except msgspec.ValidationError:
            self._garble(str(method))

    def _console(self, response: str) -> None:
        if _READY_LINE in response:
            self._nudge()
        self._events.emit(GcodeResponse(response))

    def status_changed(self, delivery: Delivery) -> None:
        if "webhooks" in delivery.update.status:
            self._nudge()

    def _nudge(self) -> None:
        if not self._nudged.called:
            self._nudged.callback(None)

    async def _follow(self) -> None:
        """Follow Klippy's state for as long as the connection lasts."""
        await self._introduce()
        while True:
            self._nudged = Deferred()
            info = await self._inquire("info")
            await self._learn(str(info.get("state")), str(info.get("state_message", "")))
            poll = self._clock.callLater(STARTUP_POLL, self._nudge) if self.state == "startup" else None
            try:
                await self._nudged
            finally:
                if poll is not None and poll.active():
                    poll.cancel()

    async def _inquire(self, method: str, params: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Ask what we want to know ourselves; a Klippy that refuses is lived with, and that is said once."""
        try:
            return await self.request(method, params)
        except KlippyError as error:
            if method not in self._refused:
                self._refused.add(method)
                self.log.warn("Klippy refuses {method}: {reason}", method=method, reason=str(error))
            return {}

    async def _introduce(self) -> None:
        client_info = {"program": "txraker", "version": __version__}
        info = await self._inquire("info", {"client_info": client_info})
        if self._connection is not None:
            self.host = KlippyHost.of(info, self._connection.peer)
            self._events.emit(KlippyIdentified(self.host))
        await self._learn_endpoints()
        await self._inquire("gcode/subscribe_output", {"response_template": {"method": CONSOLE_METHOD}})
        watching = self.status.subscribe(self, _WATCHED)
        run_aside(watching, "watching Klippy's state", self._report_fault, ApiError)

    async def _learn(self, state: str, message: str) -> None:
        before = self.state
        if state == before:
            return
        if before == "startup" or state == "ready":
            await self._learn_endpoints()
        if state == "ready":
            self.objects = _names((await self._inquire("objects/list")).get("objects"))
            for name in list(self._remote_methods):
                run_aside(self._register(name), "registering a remote method", self._report_fault, ApiError)
        self._session.reports(state)
        if self.state != before:
            self.log.info("Klippy is {state}: {message}", state=self.state, message=message.strip())

    async def _learn_endpoints(self) -> None:
        self.endpoints = frozenset(_names((await self._inquire("list_endpoints")).get("endpoints")))
        self._events.emit(EndpointsLearned(self.endpoints))

    def _report_and_reconnect(self, where: str, fault: BaseException) -> str:
        self._cut()
        return self._report_fault(where, fault)

    async def stop(self) -> None:
        """Disconnect for good. Klippy gets no last words: it may be stalled, and nothing is owed to it."""
        self._cut()
        if self.service.running:
            await maybeDeferred(self.service.stopService)

    def _cut(self) -> None:
        if self._connection is not None:
            self._connection.transport.abortConnection()


def _names(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _error_text(error: object) -> str:
    if isinstance(error, dict):
        return str(error.get("message", error))
    return str(error)
