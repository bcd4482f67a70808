"""HTTP connections: the time in which a request must come as a whole, and requests that come at once."""

from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.transports.wire import Wire
from txraker.transports.web.channel import WHOLE_WITHIN, LimitedSite

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
LATER = WHOLE.replace(b"/", b"/later", 1)


class Answers(Resource):
    """Answers at once, but for one path."""

    isLeaf = True
    waiting: Request

    def render(self, request: Request) -> int:
        """Answer, or wait for the test to do so."""
        self.waiting = request
        if request.path != b"/later":
            self.answer()
        return NOT_DONE_YET

    def answer(self) -> None:
        """Answer the newest request."""
        self.waiting.setHeader(b"Content-Length", b"2")
        self.waiting.write(b"ok")
        self.waiting.finish()


@define(eq=False)
class Bench:
    """A connection whose client sends in pieces."""

    clock: Clock = field(factory=Clock)
    answers: Answers = field(factory=Answers)
    wire: Wire = field(init=False)

    def __attrs_post_init__(self) -> None:
        site = LimitedSite(self.answers, self.clock, lambda _: True, lambda _: False)
        self.wire = Wire(site)

    def dribble(self, seconds: float) -> None:
        """Let some time go by in which a byte comes now and then."""
        for _ in range(int(seconds / 20)):
            self.wire.send(b"x")
            self.clock.advance(20)


@pytest.mark.parametrize("begun", [b"G", WHOLE[:20], HEAD, HEAD + b"\r\n", HEAD + b"\r\nbody"])
@pytest.mark.parametrize("before", [(), (WHOLE,), (LATER,)])
@pytest.mark.parametrize("is_pipelined", [False, True])
def test_dribble(begun: bytes, before: tuple[bytes, ...], is_pipelined: bool) -> None:
    """Who begins a request and never ends it is cut off, whatever was asked before and however it came."""
    bench = Bench()
    for data in (b"".join((*before, begun)),) if is_pipelined else (*before, begun):
        bench.wire.send(data)
    if LATER in before:
        bench.clock.advance(WHOLE_WITHIN * 3)
        assert not bench.wire.tcp.is_aborted
        bench.answers.answer()
    bench.dribble(WHOLE_WITHIN - 20)
    assert not bench.wire.tcp.is_aborted
    bench.dribble(40)
    assert bench.wire.tcp.is_aborted


@pytest.mark.parametrize("data", [WHOLE, WHOLE * 3, HEAD + b"\r\n" + b"x" * 100, LATER])
def test_whole(data: bytes) -> None:
    """What comes whole leaves nothing behind but the time for the next request, or none if it is at work."""
    bench = Bench()
    bench.wire.send(data)
    bench.clock.pump([0] * data.count(b"Host"))
    assert len(bench.clock.getDelayedCalls()) == (data != LATER)
    bench.wire.lose()
    assert not bench.clock.getDelayedCalls()


def test_endless_length() -> None:
    """A length of more digits than Python reads is refused like any other that makes no sense."""
    bench = Bench()
    bench.wire.send(HEAD.replace(b"100", b"9" * 5000) + b"\r\n")
    assert bench.wire.response().status == 400
    assert bench.wire.tcp.disconnecting


def test_one_a_turn() -> None:
    """Of requests that come at once each has its turn, others between them, and no more is read meanwhile."""
    bench = Bench()
    seen: list[tuple[int, bool]] = []

    def look() -> None:
        seen.append((bench.wire.tcp.value().count(b"200 OK"), bench.wire.tcp.is_paused))
        if len(seen) < 5:
            bench.clock.callLater(0, look)

    bench.wire.send(WHOLE * 5)
    look()
    bench.clock.advance(0)
    assert seen == [(1, True), (2, True), (3, True), (4, True), (5, False)]


def test_gone_between_turns() -> None:
    """Who is gone has no further turn."""
    bench = Bench()
    bench.wire.send(WHOLE * 2)
    bench.wire.lose()
    bench.clock.advance(0)
    assert bench.wire.tcp.value().count(b"200 OK") == 1
    assert not bench.clock.getDelayedCalls()


def test_last_of_many() -> None:
    """When the site ends its connections, what was asked behind the answer of now isn't answered any more."""
    bench = Bench()
    bench.wire.send(WHOLE * 3)
    bench.wire.site.finish_connections()
    bench.clock.advance(0)
    assert bench.wire.tcp.disconnecting
    bench.clock.advance(0)
    assert bench.wire.tcp.value().count(b"200 OK") == 1
