"""What many tests need: awaiting without a reactor, and places where things are noted."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from txraker.api.caller import TRUSTED, Caller, Transport, Who
from txraker.interfaces import IConnection

_T = TypeVar("_T")


@define(eq=False)
class Outcome(Generic[_T]):
    """What became of something that was started: nothing yet, a result or an exception."""

    deferred: Deferred[_T]
    _outcomes: list[_T | Failure] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.deferred.addBoth(self._outcomes.append)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return bool(self._outcomes)

    @property
    def error(self) -> BaseException | None:
        """What it raised, if it has ended by that."""
        outcome = self._outcomes[0] if self._outcomes else None
        return outcome.value if isinstance(outcome, Failure) else None

    def result(self) -> _T:
        """Return its result or raise what it raised; it must have ended."""
        assert self._outcomes, "it has not ended yet"
        outcome = self._outcomes[0]
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome


def start(awaitable: Awaitable[_T]) -> Outcome[_T]:
    """Start something without waiting for it."""

    async def run() -> _T:
        return await awaitable

    return Outcome(Deferred.fromCoroutine(run()))


def result_of(awaitable: Awaitable[_T]) -> _T:
    """Return what comes of something that ends at once."""
    return start(awaitable).result()


@define(eq=False)
class Faults:
    """A fault report that keeps what it is told."""

    seen: list[tuple[str, BaseException]] = field(factory=list)

    def __call__(self, where: str, fault: BaseException) -> str:
        self.seen.append((where, fault))
        return f"incident{len(self.seen)}"


@implementer(ILogObserver)
@define(eq=False)
class Logged:
    """A log that keeps what it is told, as text."""

    lines: list[str] = field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def logger(self) -> Logger:
        """Return a logger that writes here and nowhere else."""
        return Logger(namespace="test", observer=self)

    def saying(self, text: str) -> list[str]:
        """Return the lines that hold a text."""
        return [line for line in self.lines if text in line]


def caller(
    transport: Transport = Transport.WEBSOCKET,
    *,
    who: Who = TRUSTED,
    connection: IConnection | None = None,
) -> Caller:
    """Make a caller, trusted unless told otherwise."""
    return Caller(transport, "192.0.2.1", who, connection)


def json_values() -> Any:
    """Return a strategy of everything that JSON can say."""
    from hypothesis import strategies as st  # noqa: PLC0415  # only property tests need it

    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
