"""The one road: found, permitted, decoded, awaited, encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.tools import Faults, Outcome, caller, json_values, result_of, start
from txraker.api.caller import NOBODY, Caller, Role, Transport, Who
from txraker.api.dispatch import Dispatcher
from txraker.api.endpoint import DELETE, GET, POST, Endpoint, endpoint, endpoints_of
from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    Unavailable,
)

SECRET = "the secret path /home/pi"


@define(eq=False)
class Things:
    """A component with an endpoint of every kind."""

    done: list[str] = field(factory=list)
    waiting: list[Deferred[str]] = field(factory=list)

    @endpoint("thing.get", GET, "/thing")
    async def get(self, caller: Caller, *, number: int = 0) -> int:
        """Read a thing."""
        self.done.append(f"get {number}")
        return number

    @endpoint("thing.set", POST, "/thing")
    async def set(self, caller: Caller, *, number: int) -> str:
        """Write a thing."""
        self.done.append(f"set {number}")
        return "ok"

    @endpoint("thing.drop", DELETE, "/thing")
    async def drop(self, caller: Caller) -> str:
        """Drop the thing."""
        return "ok"

    @endpoint("thing.asked", GET | POST, "/thing/asked", reads_only=True)
    async def asked(self, caller: Caller) -> str:
        """Read by either verb."""
        return "ok"

    @endpoint("thing.done", GET | POST, "/thing/done", reads_only=False)
    async def act(self, caller: Caller) -> str:
        """Act by either verb."""
        return "ok"

    @endpoint("thing.hear")
    async def hear(self, caller: Caller) -> str:
        """Be for connections."""
        return "ok"

    @endpoint("thing.open", GET, "/thing/open", role=Role.NOBODY)
    async def open(self, caller: Caller) -> str:
        """Be for anyone."""
        return "ok"

    @endpoint("thing.break", GET, "/thing/break")
    async def break_(self, caller: Caller) -> str:
        """Have a defect."""
        raise RuntimeError(SECRET)

    @endpoint("thing.refuse", GET, "/thing/refuse")
    async def refuse(self, caller: Caller) -> str:
        """Refuse."""
        raise BadRequest("No such <thing>")

    @endpoint("thing.odd", GET, "/thing/odd")
    async def odd(self, caller: Caller) -> object:
        """Return what no JSON can say."""
        return {"odd": object()}

    @endpoint("thing.wait", GET, "/thing/wait")
    async def wait(self, caller: Caller) -> str:
        """Wait."""
        self.waiting.append(Deferred())
        return await self.waiting[-1]


@define(eq=False)
class Bench:
    """A dispatcher with things."""

    things: Things = field(factory=Things)
    faults: Faults = field(factory=Faults)
    asked: list[str] = field(factory=list)
    missing: ApiError | None = None
    dispatcher: Dispatcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.faults, self.unknown, CancelledError)
        self.dispatcher.add(endpoints_of(self.things))

    def unknown(self, path: str) -> ApiError | None:
        """Say what is missing."""
        self.asked.append(path)
        return self.missing

    def begin(self, message: object, who: Caller | None = None) -> Outcome[bytes | None]:
        """Begin to answer a text."""
        text = message if isinstance(message, bytes | str) else msgspec.json.encode(message)
        return start(self.dispatcher.answer(text, who or caller()))

    def answer(self, message: object, who: Caller | None = None) -> Any:
        """Answer a text."""
        said = self.begin(message, who).result()
        return None if said is None else msgspec.json.decode(said)

    def call(self, name: str, who: Caller | None = None, **arguments: object) -> object:
        """Call an endpoint by its name."""
        found = next(one for one in self.dispatcher.endpoints() if one.name == name)
        return result_of(self.dispatcher.call(found, who or caller(), arguments))


def request(method: str, id: object = 1, /, **params: object) -> dict[str, object]:
    """Make a call; the id None makes it a notification."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if id is None else message | {"id": id}


@pytest.fixture
def bench() -> Bench:
    """Make a bench."""
    return Bench()


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/thing", "thing.get"),
        ("HEAD", "/thing", "thing.get"),
        ("POST", "/thing", "thing.set"),
        ("DELETE", "/thing", "thing.drop"),
        ("GET", "/thing/asked", "thing.asked"),
        ("POST", "/thing/asked", "thing.asked"),
        ("HEAD", "/thing/asked", "thing.asked"),
        ("GET", "/thing/done", "thing.done"),
        ("POST", "/thing/done", "thing.done"),
    ],
)
def test_find_path(bench: Bench, method: str, path: str, name: str) -> None:
    """A verb and a path lead to an endpoint; HEAD leads where GET does if that only reads."""
    assert bench.dispatcher.find_path(path, method).name == name


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/thing", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
        ("PATCH", "/thing/asked", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("HEAD", "/thing/done", {"GET", "POST", "OPTIONS"}),
        ("DELETE", "/thing/done", {"GET", "POST", "OPTIONS"}),
        ("POST", "/thing/open", {"GET", "HEAD", "OPTIONS"}),
        ("get", "/thing", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
        ("GET|POST", "/thing/asked", {"GET", "HEAD", "POST", "OPTIONS"}),
    ],
)
def test_wrong_verb(bench: Bench, method: str, path: str, allowed: set[str]) -> None:
    """A verb that a path doesn't answer is refused with those it does, each once."""
    with pytest.raises(MethodNotAllowed) as caught:
        bench.dispatcher.find_path(path, method)
    assert isinstance(caught.value.allowed, tuple)
    assert set(caught.value.allowed) == allowed
    assert len(caught.value.allowed) == len(allowed)


@pytest.mark.parametrize("path", ["/", "", "/nothing", "/thing/", "/Thing", "/thing/hear", "//thing"])
def test_unknown_path(bench: Bench, path: str) -> None:
    """An unknown path is not found, unless there is a better reason."""
    with pytest.raises(NotFound):
        bench.dispatcher.find_path(path, "GET")
    assert bench.dispatcher.verbs(path) == ()
    bench.missing = Unavailable("later")
    with pytest.raises(Unavailable, match="later"):
        bench.dispatcher.find_path(path, "GET")


def test_unknown_method(bench: Bench) -> None:
    """An unknown method is not found, unless there is a better reason for its path."""
    assert bench.answer(request("printer.no.such"))["error"] == {
        "code": -32601,
        "message": "Method not found",
    }
    assert bench.asked == ["/printer/no/such"]
    bench.missing = Unavailable("later")
    assert bench.answer(request("printer.no.such"))["error"] == {"code": 503, "message": "later"}


@pytest.mark.parametrize("transport", [Transport.WEBSOCKET, Transport.UNIX])
def test_connections_reach_all(bench: Bench, transport: Transport) -> None:
    """On persistent connections every method is there."""
    who = caller(transport)
    assert bench.answer(request("thing.hear"), who)["result"] == "ok"
    assert bench.answer(request("thing.get"), who)["result"] == 0


def test_transports(bench: Bench) -> None:
    """What is for persistent connections is not there by a JSON-RPC POST."""
    who = caller(Transport.JSONRPC_HTTP)
    assert bench.answer(request("thing.hear"), who)["error"]["code"] == -32601
    assert bench.answer(request("thing.get"), who)["result"] == 0


def test_permission(bench: Bench) -> None:
    """Who is not trusted may call just what is for anyone, and nothing is done for it."""
    stranger = caller(who=NOBODY)
    with pytest.raises(Unauthorized, match="Unauthorized"):
        bench.call("thing.get", stranger)
    assert bench.things.done == []
    assert bench.call("thing.open", stranger) == "ok"
    assert bench.answer(request("thing.get"), stranger)["error"] == {
        "code": -32602,
        "message": "Unauthorized",
    }


@pytest.mark.parametrize("role", list(Role))
def test_roles(bench: Bench, role: Role) -> None:
    """Who is known and may not do something is told which role it needs; who isn't known only has to be."""
    who = caller(who=Who("somebody", role))
    assert bench.call("thing.open", who) == "ok"
    for name, needed in (("thing.get", Role.VIEWER), ("thing.set", Role.OPERATOR)):
        if role is Role.NOBODY:
            with pytest.raises(Unauthorized):
                bench.call(name, who, number="1")
        elif role < needed:
            with pytest.raises(Forbidden, match=f"{name} needs the role operator"):
                bench.call(name, who, number="1")
        else:
            assert bench.call(name, who, number="1") is not None


def test_permission_comes_before_arguments(bench: Bench) -> None:
    """Who is not trusted does not learn what is wrong with its arguments."""
    with pytest.raises(Unauthorized):
        bench.call("thing.set", caller(who=NOBODY), number="x")


def test_arguments(bench: Bench) -> None:
    """Arguments are read as declared, unknown ones ignored; what is wrong is 400 and named."""
    assert bench.answer(request("thing.get", number="5", root="config"))["result"] == 5
    assert bench.answer(request("thing.set"))["error"] == {
        "code": 400,
        "message": "Missing argument 'number'",
    }
    assert bench.answer(request("thing.get", number="x"))["error"] == {
        "code": 400,
        "message": "Invalid argument 'number': must be an integer, not 'x'",
    }


def test_refusal(bench: Bench) -> None:
    """A refusal reaches the client with its words, whatever they are."""
    assert bench.answer(request("thing.refuse"))["error"] == {"code": 400, "message": "No such <thing>"}
    assert bench.faults.seen == []


def test_defect(bench: Bench) -> None:
    """A defect is reported, and the client learns its incident and nothing else."""
    with pytest.raises(InternalError) as caught:
        bench.call("thing.break")
    assert caught.value.incident == "incident1"
    assert "incident1" in str(caught.value)
    error = bench.answer(request("thing.break"))["error"]
    assert error["code"] == 500
    assert "incident2" in error["message"]
    assert SECRET not in error["message"]
    assert [(where, str(fault)) for where, fault in bench.faults.seen] == [("thing.break", SECRET)] * 2


def test_defect_in_a_notification(bench: Bench) -> None:
    """A defect in a notification is reported and not answered."""
    assert bench.answer(request("thing.break", None)) is None
    assert len(bench.faults.seen) == 1


def test_result_that_cannot_be_encoded(bench: Bench) -> None:
    """A result that no JSON can say is a defect."""
    answer = bench.answer(request("thing.odd", "a"))
    assert (answer["error"]["code"], answer["id"]) == (500, "a")
    assert [where for where, _ in bench.faults.seen] == ["thing.odd"]


def test_cancelled_read(bench: Bench) -> None:
    """A call that is cancelled, because its client hung up, is no defect."""
    (wait,) = [one for one in bench.dispatcher.endpoints() if one.name == "thing.wait"]
    outcome = start(bench.dispatcher.call(wait, caller(), {}))
    outcome.deferred.cancel()
    assert isinstance(outcome.error, CancelledError)
    assert bench.faults.seen == []


@pytest.mark.parametrize("number", [0, -1, "", "a", 1.5])
def test_ids(bench: Bench, number: object) -> None:
    """Every id is answered with itself."""
    assert bench.answer(request("thing.get", number)) == {"jsonrpc": "2.0", "result": 0, "id": number}


def test_notification(bench: Bench) -> None:
    """A notification is done and not answered, not even when it is refused or unknown."""
    assert bench.answer(request("thing.set", None, number=3)) is None
    assert bench.things.done == ["set 3"]
    assert bench.answer(request("thing.refuse", None)) is None
    assert bench.answer(request("no.such", None)) is None
    assert bench.answer(request("thing.get", None) | {"id": None}) is None


def test_malformed_is_always_answered(bench: Bench) -> None:
    """What is no call is answered, with null for the id it lacks."""
    assert bench.answer(b"{") == {
        "jsonrpc": "2.0",
        "error": {"code": -32700, "message": "Parse error: the message is not JSON"},
        "id": None,
    }
    assert bench.answer({"method": "thing.get"})["error"]["code"] == -32600
    assert bench.answer([])["error"]["code"] == -32600


def test_batch(bench: Bench) -> None:
    """A batch is answered by one array of those entries that had an id or were no calls."""
    answers = bench.answer(
        [
            request("thing.get", 1, number=1),
            request("thing.set", None, number=2),
            request("thing.refuse", "x"),
            5,
            request("no.such", 3),
        ]
    )
    assert [answer["id"] for answer in answers] == [1, "x", None, 3]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, 400, -32600, -32601]
    assert bench.things.done == ["get 1", "set 2"]


def test_batch_of_notifications(bench: Bench) -> None:
    """A batch of notifications alone is not answered."""
    assert bench.answer([request("thing.set", None, number=1), request("no.such", None)]) is None


def test_batch_of_one(bench: Bench) -> None:
    """A batch of one is answered by an array of one."""
    assert [answer["id"] for answer in bench.answer([request("thing.get")])] == [1]


def test_batches_are_sequential(bench: Bench) -> None:
    """The next call of a batch begins when the one before has ended."""
    outcome = bench.begin([request("thing.wait", 1), request("thing.get", 2)])
    assert bench.things.done == []
    bench.things.waiting[0].callback("waited")
    assert bench.things.done == ["get 0"]
    answers = msgspec.json.decode(outcome.result() or b"")
    assert [answer["result"] for answer in answers] == ["waited", 0]


def passed_on(name: str = "printer.x", path: str = "/printer/x") -> Endpoint:
    """Make an endpoint that takes all arguments as they come."""

    async def handler(_caller: Caller, arguments: Mapping[str, object]) -> object:
        return dict(arguments)

    return Endpoint(name, GET | POST, path, Transport.ALL, Role.OPERATOR, False, None, "Pass on.", handler)


def test_add_and_remove(bench: Bench) -> None:
    """An endpoint is there from when it is added until it is removed, on every transport."""
    new = passed_on()
    bench.dispatcher.add([new])
    assert bench.answer(request("printer.x", a=[1]))["result"] == {"a": [1]}
    assert bench.dispatcher.find_path("/printer/x", "POST") is new
    bench.dispatcher.remove([new])
    assert bench.answer(request("printer.x"))["error"]["code"] == -32601
    assert bench.dispatcher.verbs("/printer/x") == ()
    bench.dispatcher.add([new])
    assert bench.dispatcher.endpoints()[-1] is new


def test_remove_one_of_a_path(bench: Bench) -> None:
    """The other endpoints of a path stay when one is removed."""
    (drop,) = [one for one in bench.dispatcher.endpoints() if one.name == "thing.drop"]
    bench.dispatcher.remove([drop])
    assert set(bench.dispatcher.verbs("/thing")) == {"GET", "HEAD", "POST", "OPTIONS"}


@pytest.mark.parametrize(
    ("name", "path"), [("thing.get", "/other"), ("other", "/thing"), ("thing.get", "/thing")]
)
def test_two_of_a_kind(bench: Bench, name: str, path: str) -> None:
    """Two endpoints of one name, or of one verb and path, are refused, and nothing has changed then."""
    before = bench.dispatcher.endpoints()
    with pytest.raises(ValueError, match="two endpoints"):
        bench.dispatcher.add([msgspec.structs.replace(passed_on(), name=name, path=path)])
    assert bench.dispatcher.endpoints() == before


@given(st.binary() | json_values().map(msgspec.json.encode))
def test_any_text(text: bytes) -> None:
    """Any text is answered or is a notification, and is no defect."""
    bench = Bench()
    said = bench.begin(text).result()
    assert said is None or msgspec.json.decode(said)
    assert bench.faults.seen == []


ids = st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
names = st.sampled_from(["thing.get", "thing.set", "thing.refuse", "thing.hear", "no.such"])


@given(st.lists(st.tuples(names, ids)))
def test_any_batch(calls: list[tuple[str, object]]) -> None:
    """Just the entries with an id are answered, in their order."""
    bench = Bench()
    answers = bench.answer([request(name, number) for name, number in calls])
    expected = [number for _, number in calls if number is not None]
    if not calls:
        assert answers["error"]["code"] == -32600
    elif not expected:
        assert answers is None
    else:
        assert [answer["id"] for answer in answers] == expected
