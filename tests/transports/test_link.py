"""A client's end of the server: what it is sent, what it may ask, and when it is closed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.tools import Faults, Logged, caller, start
from txraker.api.caller import Caller
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import GET, endpoint, endpoints_of
from txraker.clients import ClientIdentity, Clients
from txraker.errors import ClientError, Unavailable
from txraker.events import Events, StatusUpdate
from txraker.klippy.subscriptions import Delivery, Wish
from txraker.outgoing import Framing, Outgoing
from txraker.testing.klippy import MemoryKlippy
from txraker.transports.link import (
    ABORT_AFTER,
    BURST,
    LEAST_PAUSE,
    MOST_REQUESTS,
    REQUESTS_A_SECOND,
    TRY_AGAIN_LATER,
    Link,
    LinkService,
)
from txraker.transports.outbox import PIECE

QUEUE_BYTES = 1000
QUEUE_SECONDS = 30.0


def line_frame(text: bytes) -> bytes:
    """Frame a text as a line."""
    return text + b"\n"


@define(eq=False)
class FakeWire:
    """A connection that keeps what it is told."""

    framing: Framing = line_frame
    written: list[bytes] = field(factory=list)
    leaves: list[tuple[int, str]] = field(factory=list)
    aborts: int = 0
    reading: bool = True
    is_idle: bool = True
    progress: int = 0

    def write(self, data: bytes) -> None:
        """Note what is sent."""
        self.written.append(data)

    def take_leave(self, code: int, reason: str) -> None:
        """Note the goodbye."""
        self.leaves.append((code, reason))

    def abort(self) -> None:
        """Note the end."""
        self.aborts += 1

    def pause_reading(self, reason: str) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self, reason: str) -> None:
        """Read again."""
        self.reading = True


class OneAtATime(FakeWire):
    """A connection that takes one write, and then nothing for a while."""

    def write(self, data: bytes) -> None:
        """Note what is sent, and take no more."""
        super().write(data)
        self.is_idle = False


@define(eq=False)
class Slow:
    """Endpoints whose answers the test gives."""

    waiting: list[Deferred[str]] = field(factory=list)
    stopped: int = 0

    @endpoint("slow", GET, "/slow")
    async def slow(self, caller: Caller) -> str:
        """Answer when the test says so."""
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    @endpoint("fast", GET, "/fast")
    async def fast(self, caller: Caller) -> str:
        """Answer at once."""
        return "ok"

    @endpoint("urgent", GET, "/urgent", urgent=True)
    async def urgent(self, caller: Caller) -> str:
        """Answer at once, whatever else is under way."""
        self.stopped += 1
        return "stopped"


@define(eq=False)
class Bench:
    """A link, its wire and what it is given."""

    clock: Clock = field(factory=Clock)
    faults: Faults = field(factory=Faults)
    log: Logged = field(factory=Logged)
    slow: Slow = field(factory=Slow)
    wire: FakeWire = field(factory=FakeWire)
    service: LinkService = field(init=False)
    klippy: MemoryKlippy = field(init=False)
    link: Link = field(init=False)

    def __attrs_post_init__(self) -> None:
        events = Events(self.faults)
        self.klippy = MemoryKlippy(self.clock, events, self.faults)
        self.klippy.answers["objects/subscribe"] = lambda _: {"status": {"a": {"x": 1}}, "eventtime": 1.0}
        dispatcher = Dispatcher(self.faults, lambda _: None, CancelledError)
        dispatcher.add(endpoints_of(self.slow))
        self.service = LinkService(
            self.clock,
            dispatcher,
            Clients(10, events),
            self.klippy.status,
            self.faults,
            self.log.logger(),
            QUEUE_BYTES,
            QUEUE_SECONDS,
        )
        self.link = self.join(self.wire)

    def join(self, wire: FakeWire) -> Link:
        """Let a client connect."""
        link = Link(self.service, wire, caller())
        link.opened()
        return link

    def ask(self, method: str, number: int = 1) -> None:
        """Be the client, asking."""
        self.link.received(msgspec.json.encode({"jsonrpc": "2.0", "method": method, "id": number}))

    def hold(self) -> None:
        """Be a client that takes nothing."""
        self.wire.is_idle = False

    def release(self) -> None:
        """Be a client that takes again what it is sent."""
        self.wire.is_idle = True
        self.link.drained()

    def got(self) -> list[Any]:
        """Return what the client was sent, and forget it."""
        texts, self.wire.written[:] = b"".join(self.wire.written), []
        return [msgspec.json.decode(text) for text in texts.splitlines()]


@pytest.fixture
def bench() -> Bench:
    """Make a client that has just connected."""
    return Bench()


def delivery(**status: dict[str, Any]) -> Delivery:
    """Make a status update."""
    return Delivery(StatusUpdate(status, 1.0), ())


def test_answers(bench: Bench) -> None:
    """Requests run side by side and are answered as they finish."""
    bench.ask("slow", 1)
    bench.ask("fast", 2)
    assert bench.got() == [{"jsonrpc": "2.0", "result": "ok", "id": 2}]
    bench.slow.waiting[0].callback("done")
    assert bench.got() == [{"jsonrpc": "2.0", "result": "done", "id": 1}]


def test_shared_frames(bench: Bench) -> None:
    """What many are told is framed once, and written at once when that is possible."""
    other = FakeWire()
    links = [bench.link, bench.join(other)]
    outgoing, change = Outgoing(b"1"), delivery(a={"x": 1})
    for link in links:
        link.tell(outgoing)
        link.status_changed(change)
    assert len(other.written) == 2
    assert all(mine is its for mine, its in zip(bench.wire.written, other.written, strict=True))
    assert bench.wire.written[0] == b"1\n"


def test_frames_of_two_kinds() -> None:
    """Connections of different kinds are sent one text in their own frames."""
    bench = Bench()
    other = FakeWire(framing=lambda text: b"#" + text)
    outgoing = Outgoing(b"1")
    bench.join(other).tell(outgoing)
    bench.link.tell(outgoing)
    assert (other.written, bench.wire.written) == ([b"#1"], [b"1\n"])


def test_queue(bench: Bench) -> None:
    """While the client takes nothing everything waits, and goes out in order when it does again."""
    bench.hold()
    bench.link.tell(Outgoing(b"1"))
    bench.link.status_changed(delivery(a={"x": 1}))
    bench.ask("fast", 7)
    bench.link.status_changed(delivery(a={"x": 2}))
    bench.link.status_changed(delivery(a={"x": 3}))
    assert bench.wire.written == []
    bench.release()
    first, second, third, fourth = bench.got()
    assert (first, third["id"]) == (1, 7)
    assert (second["params"][0], fourth["params"][0]) == ({"a": {"x": 1}}, {"a": {"x": 3}})
    bench.link.tell(Outgoing(b"2"))
    assert bench.got() == [2]


def test_queue_that_is_taken_in_parts(bench: Bench) -> None:
    """When the client stops to take in between, the rest waits on, and nothing overtakes it."""
    bench.service.queue_bytes = 10**6
    bench.wire = OneAtATime()
    bench.link = bench.join(bench.wire)
    bench.hold()
    for number in range(5):
        bench.link.send(b"%d" % number + b" " * PIECE)
    bench.release()
    bench.link.send(b"5" + b" " * PIECE)
    assert bench.got() == [0]
    for number in range(1, 6):
        bench.release()
        assert bench.got() == [number]
    bench.release()
    assert bench.got() == []


def test_small_pieces_go_together(bench: Bench) -> None:
    """Small messages that waited are written at once, not one by one."""
    bench.hold()
    for number in range(10):
        bench.link.send(b"%d" % number)
    bench.release()
    assert len(bench.wire.written) == 1
    assert bench.got() == list(range(10))


def fill(bench: Bench) -> None:
    """Let more wait for the client than may."""
    bench.hold()
    for number in range(3):
        bench.link.send(b"%d" % number + b" " * (QUEUE_BYTES // 2))


def test_too_slow(bench: Bench) -> None:
    """A client for which too much waits is told so, said in one line of the log, and cut in the end."""
    bench.link.identity = ClientIdentity("sleepy", "1", "web", "")
    fill(bench)
    assert bench.wire.leaves == [(TRY_AGAIN_LATER, "Too slow: try again later")]
    assert bench.wire.aborts == 0
    bench.clock.advance(ABORT_AFTER - 0.1)
    assert bench.wire.aborts == 0
    bench.clock.advance(0.2)
    assert bench.wire.aborts == 1
    (line,) = bench.log.lines
    assert "sleepy" in line
    assert "192.0.2.1" in line
    assert "bytes wait" in line
    assert list(bench.service.clients) == []


def test_closed_to_everything(bench: Bench) -> None:
    """A client that was too slow is sent nothing more, even if it begins to read, and is no subscriber."""
    bench.klippy.connect()
    start(bench.klippy.status.subscribe(bench.link, Wish.of({"a": None})))
    bench.clock.advance(0)
    fill(bench)
    bench.link.send(b"1")
    bench.link.tell(Outgoing(b"2"))
    bench.klippy.status.changed({"status": {"a": {"x": 2}}, "eventtime": 2.0})
    bench.link.status_changed(delivery(a={"x": 1}))
    bench.ask("fast")
    bench.release()
    assert bench.wire.written == []
    assert len(bench.wire.leaves) == len(bench.log.lines) == 1


def test_too_slow_to_wait_for(bench: Bench) -> None:
    """A client that hasn't taken anything for too long is closed, however little waits."""
    bench.hold()
    bench.link.tell(Outgoing(b"1"))
    bench.clock.advance(QUEUE_SECONDS)
    bench.link.tell(Outgoing(b"2"))
    assert bench.wire.leaves == []
    bench.clock.advance(0.5)
    bench.link.tell(Outgoing(b"3"))
    assert bench.wire.leaves == [(TRY_AGAIN_LATER, "Too slow: try again later")]


def test_slow_but_steady(bench: Bench) -> None:
    """A client that takes what waits in time is never closed, however long that goes on."""
    for second in range(200):
        bench.hold()
        for _ in range(50):
            bench.link.status_changed(delivery(a={"x": second}))
        bench.clock.advance(1.0)
        bench.release()
    assert bench.wire.leaves == []
    assert bench.got()[-1]["params"][0] == {"a": {"x": 199}}


def test_gone_before_it_is_cut(bench: Bench) -> None:
    """A client that leaves before it is cut is no trouble."""
    fill(bench)
    bench.link.closed()
    bench.clock.advance(ABORT_AFTER)
    assert bench.faults.seen == []


def test_most_requests(bench: Bench) -> None:
    """A client that has too much under way is refused more, but for what is urgent."""
    for number in range(MOST_REQUESTS):
        bench.ask("slow", number)
    assert bench.got() == []
    bench.ask("fast", 1000)
    bench.ask("urgent", 1001)
    refused, done = bench.got()
    assert (refused["id"], refused["error"]["code"]) == (1000, 503)
    assert "Too many requests" in refused["error"]["message"]
    assert (done["id"], done["result"]) == (1001, "stopped")
    bench.slow.waiting[0].callback("done")
    bench.ask("fast", 1002)
    assert [message["id"] for message in bench.got()] == [0, 1002]


def test_others_are_not_refused(bench: Bench) -> None:
    """What one client has under way is no other's trouble."""
    for number in range(MOST_REQUESTS):
        bench.ask("slow", number)
    wire = FakeWire()
    bench.join(wire).received(b'{"jsonrpc": "2.0", "method": "fast", "id": 1}')
    assert b'"ok"' in wire.written[0]


def test_stop_in_a_batch(bench: Bench) -> None:
    """In a batch of a client that has too much under way, just what is urgent is done."""
    for number in range(MOST_REQUESTS):
        bench.ask("slow", number)
    entries = [{"jsonrpc": "2.0", "method": method, "id": method} for method in ("fast", "urgent")]
    bench.link.received(msgspec.json.encode(entries))
    ((refused, done),) = bench.got()
    assert (refused["error"]["code"], done["result"]) == (503, "stopped")


def test_allowance(bench: Bench) -> None:
    """A client that asks more than its burst is not read from until it has waited for what it asked."""
    for _ in range(int(BURST)):
        bench.link.charge(1.0)
    assert bench.wire.reading
    for _ in range(int(REQUESTS_A_SECOND)):
        bench.link.charge(1.0)
    assert not bench.wire.reading
    bench.clock.advance(0.1)
    assert not bench.wire.reading, "it is read from before its time"
    bench.clock.advance(0.85)
    assert not bench.wire.reading, "it is read from before its time"
    bench.clock.advance(0.1)
    assert bench.wire.reading


def test_allowance_costs_one_timer(bench: Bench) -> None:
    """However far a client is over its rate, one timer is enough to wait for it."""
    for _ in range(int(BURST) + 500):
        bench.link.charge(1.0)
    assert len(bench.clock.getDelayedCalls()) <= 1


def test_little_debt(bench: Bench) -> None:
    """A client that is hardly over its rate isn't waited for by a timer for each message."""
    for _ in range(int(BURST) + 1):
        bench.link.charge(1.0)
    bench.clock.advance(LEAST_PAUSE * 0.9)
    assert not bench.wire.reading
    bench.clock.advance(LEAST_PAUSE * 0.2)
    assert bench.wire.reading


def test_batches_cost_what_is_in_them(bench: Bench) -> None:
    """Who puts requests together in batches may ask no more of them than one who doesn't."""
    calls = [{"jsonrpc": "2.0", "method": "fast", "id": number} for number in range(100)]
    for _ in range(int(BURST) // 100):
        bench.link.received(msgspec.json.encode(calls))
    assert bench.wire.reading
    bench.link.received(msgspec.json.encode(calls))
    assert not bench.wire.reading


def test_rate(bench: Bench) -> None:
    """A client that floods is read from at its rate in the long run."""
    asked = 0
    for _ in range(200):
        bench.clock.advance(0.01)
        for _ in range(2):
            if bench.wire.reading:
                asked += 50
                for _ in range(50):
                    bench.link.charge(1.0)
    assert asked <= BURST + 2 * REQUESTS_A_SECOND + 100
    assert asked >= BURST + 1 * REQUESTS_A_SECOND


def test_allowance_comes_back(bench: Bench) -> None:
    """A client that has been quiet may ask a burst again, and no more than that."""
    for _ in range(int(BURST)):
        bench.link.charge(1.0)
    bench.clock.advance(1000.0)
    for _ in range(int(BURST)):
        bench.link.charge(1.0)
    assert bench.wire.reading
    bench.link.charge(1.0)
    assert not bench.wire.reading


def test_gone_while_not_read_from(bench: Bench) -> None:
    """A client that leaves while it isn't read from is not read from again."""
    for _ in range(int(BURST) + 10):
        bench.link.charge(1.0)
    bench.link.closed()
    bench.clock.advance(10.0)
    assert not bench.wire.reading


def test_request(bench: Bench) -> None:
    """A client can be asked, several things at a time."""
    one = start(bench.link.request("one", {"a": 1}))
    two = start(bench.link.request("two", None))
    first, second = bench.got()
    assert (first["method"], first["params"], second["method"]) == ("one", {"a": 1}, "two")
    assert "params" not in second
    for message, result in ((second, "second"), (first, None)):
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        bench.link.received(msgspec.json.encode(answer))
    assert (one.result(), two.result()) == (None, "second")
    assert bench.got() == []


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ({"code": -32601, "message": "no such"}, -32601, "no such"),
        ({"code": 418, "message": "teapot", "data": 1}, 418, "teapot"),
        ({"message": "no code"}, 400, "no code"),
        ({"code": "x", "message": "odd code"}, 400, "odd code"),
        ({"code": True, "message": "odd code"}, 400, "odd code"),
        ({"code": 5}, 5, "code"),
        ("text", 400, "text"),
        (["list"], 400, "list"),
    ],
)
def test_error(bench: Bench, error: object, code: int, text: str) -> None:
    """A client's error, in whatever form, is raised with its words and its code."""
    outcome = start(bench.link.request("x", None))
    number = bench.got()[0]["id"]
    bench.link.received(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "error": error}))
    with pytest.raises(ClientError, match=text) as caught:
        outcome.result()
    assert caught.value.jsonrpc_code == code


def test_gone_while_asked(bench: Bench) -> None:
    """Who asks a client that leaves is told at once, and so is who asks it later."""
    outcomes = [start(bench.link.request("x", None)) for _ in range(2)]
    bench.link.closed()
    outcomes.append(start(bench.link.request("y", None)))
    for outcome in outcomes:
        with pytest.raises(Unavailable):
            outcome.result()


def test_given_up(bench: Bench) -> None:
    """A request that was given up meanwhile is no trouble, be it answered or not."""
    outcomes = [start(bench.link.request("x", None)) for _ in range(2)]
    number = bench.got()[0]["id"]
    for outcome in outcomes:
        outcome.deferred.cancel()
    bench.link.received(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "result": 1}))
    bench.link.closed()
    assert bench.faults.seen == []


def test_after_the_end(bench: Bench) -> None:
    """A client that is gone is sent nothing, not even answers that were under way."""
    bench.ask("slow")
    bench.link.closed()
    bench.slow.waiting[0].callback("done")
    bench.link.send(b"1")
    bench.link.tell(Outgoing(b"2"))
    bench.link.status_changed(delivery(a={"x": 1}))
    assert bench.wire.written == []
    assert bench.faults.seen == []


def test_nothing_after_the_goodbye(bench: Bench) -> None:
    """After the goodbye nothing is sent, be it that waited or that comes."""
    bench.hold()
    bench.link.send(b"1")
    bench.link.close(1001, "bye")
    bench.link.send(b"2")
    bench.link.tell(Outgoing(b"3"))
    bench.link.status_changed(delivery(a={"x": 1}))
    bench.release()
    assert bench.wire.written == []


def test_close(bench: Bench) -> None:
    """To close is to take leave; to cut is to abort."""
    bench.link.close(1001, "bye")
    assert (bench.wire.leaves, bench.wire.aborts) == ([(1001, "bye")], 0)
    bench.link.cut()
    assert bench.wire.aborts == 1
