"""A Klippy that answers from memory: provides IKlippy and IStatusFeed without a socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txraker.errors import BadRequest, KlippyDisconnected, KlippyNotConnected
from txraker.events import (
    EndpointsLearned,
    Events,
    GcodeResponse,
    KlippyIdentified,
)
from txraker.faults import FaultReport
from txraker.interfaces import IKlippy
from txraker.klippy.freshness import Freshness
from txraker.klippy.host import KlippyHost
from txraker.klippy.session import Announcements, KlippyState, Session
from txraker.klippy.status import StatusFeed

Answer = Callable[[Mapping[str, Any]], "dict[str, Any] | Deferred[dict[str, Any]]"]


@implementer(IKlippy)
@define(eq=False)
class MemoryKlippy:
    """Does what the real one does as seen through IKlippy, when its test says so.

    ``answers`` maps Klippy's methods to what answers them: a function of the params that returns the
    result, returns a Deferred of it, or raises KlippyError. Every request is noted in ``requests``.
    """

    _clock: IReactorTime
    _events: Events
    _report_fault: FaultReport
    loaded: tuple[str, ...] = ()
    endpoints: frozenset[str] | None = None
    host: KlippyHost | None = None
    answers: dict[str, Answer] = field(factory=dict)
    requests: list[tuple[str, Mapping[str, Any]]] = field(factory=list, init=False)
    freshness: Freshness = field(factory=Freshness, init=False)
    remote_methods: dict[str, Callable[[dict[str, Any]], None]] = field(factory=dict, init=False)
    status: StatusFeed = field(init=False)
    _session: Session = field(init=False)
    _was_ready: bool = field(default=False, init=False)
    _waiting: list[Deferred[dict[str, Any]]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._session = Session(Announcements(self._events))
        self.status = StatusFeed(self._clock, self.request, self.freshness, self._report_fault)

    @property
    def state(self) -> KlippyState:
        """The state last announced."""
        return self._session.state

    @property
    def objects(self) -> tuple[str, ...]:
        """The printer objects that are ``loaded``, once it has been ready on this connection."""
        return self.loaded if self._was_ready else ()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.state != "disconnected"

    def request(self, method: str, params: Mapping[str, object] | None = None) -> Deferred[dict[str, Any]]:
        if not self.connected:
            raise KlippyNotConnected
        self.requests.append((method, params or {}))
        waiting: Deferred[dict[str, Any]] = Deferred()
        self._waiting.append(waiting)
        answer = self.answers.get(method)
        if answer is not None:
            answered: Deferred[dict[str, Any]] = Deferred.fromCoroutine(_answer(answer, params or {}))
            answered.addCallbacks(
                partial(_pass, waiting.callback, waiting), partial(_pass, waiting.errback, waiting)
            )
        return waiting

    def register_remote_method(self, name: str, called: Callable[[dict[str, Any]], None]) -> None:
        if name in self.remote_methods:
            raise BadRequest(f"Remote method ({name}) already registered")
        self.remote_methods[name] = called

    def forget_remote_method(self, name: str) -> None:
        self.remote_methods.pop(name, None)

    def touched(self) -> None:
        self.freshness.command_sent()

    def connect(self) -> None:
        """Be there, and starting; say what it is if that is known."""
        self._session.connected()
        if self.host is not None:
            self._events.emit(KlippyIdentified(self.host))

    def become(self, state: KlippyState) -> None:
        """Report a state, learned endpoints first when it is ``ready``."""
        if state == "ready":
            self._was_ready = True
            self.endpoints = frozenset(self.answers)
            self._events.emit(EndpointsLearned(self.endpoints))
        self._session.reports(state)

    def disconnect(self) -> None:
        """Go away: whoever waits for an answer is told."""
        waiting, self._waiting = self._waiting, []
        self.endpoints = None
        self._was_ready = False
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(KlippyDisconnected())
        self.status.reset()
        self._session.lost()

    def say(self, response: str) -> None:
        """Write a message to the console."""
        self._events.emit(GcodeResponse(response))


def _pass(outcome: Callable[[Any], None], waiting: Deferred[dict[str, Any]], result: object) -> None:
    if not waiting.called:
        outcome(result)


async def _answer(answer: Answer, params: Mapping[str, Any]) -> dict[str, Any]:
    result = answer(params)
    return await result if isinstance(result, Deferred) else result
