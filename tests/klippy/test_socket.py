"""Finding Klippy's socket, and trying it patiently."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from tests.tools import Logged, Outcome
from txraker.klippy.socket import ATTEMPT_INTERVAL, DEFAULT_SOCKET, PatientUnixEndpoint, socket_finder
from txraker.server_warnings import ServerWarnings


@define(eq=False)
class Attempts:
    """An endpoint, and the reactor on which it tries to connect."""

    path: Path = Path("/run/klippy.sock")
    reactor: MemoryReactorClock = field(factory=MemoryReactorClock)
    log: Logged = field(factory=Logged)
    warnings: ServerWarnings = field(init=False)
    endpoint: PatientUnixEndpoint = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.warnings = ServerWarnings(self.log.logger())
        self.endpoint = PatientUnixEndpoint(self.reactor, lambda: self.path, self.log.logger(), self.warnings)

    def begin(self) -> Outcome[IProtocol]:
        """Begin to connect."""
        return Outcome(self.endpoint.connect(Factory.forProtocol(Protocol)))

    def fail(self, reason: str, number: int | None = errno.ENOENT) -> None:
        """Let the attempt that is under way fail, and time pass until the next."""
        before = len(self.reactor.unixClients)
        _, factory, *_ = self.reactor.unixClients[-1]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectError(number, reason)))
        self.reactor.advance(ATTEMPT_INTERVAL)
        assert len(self.reactor.unixClients) == before + 1

    def succeed(self) -> None:
        """Let the attempt that is under way succeed."""
        _, factory, *_ = self.reactor.unixClients[-1]
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())


@pytest.fixture
def attempts() -> Attempts:
    """Make an endpoint."""
    return Attempts()


def test_connects(attempts: Attempts) -> None:
    """A socket that accepts is connected to at once."""
    outcome = attempts.begin()
    assert [path for path, *_ in attempts.reactor.unixClients] == ["/run/klippy.sock"]
    attempts.succeed()
    assert outcome.done
    assert outcome.error is None
    assert attempts.log.lines == []


def test_a_reason_is_said_once(attempts: Attempts) -> None:
    """A reason is logged when it is new, not at each attempt."""
    attempts.begin()
    for _ in range(20):
        attempts.fail("no such file")
    assert len(attempts.log.saying("no such file")) == 1
    for _ in range(20):
        attempts.fail("refused")
    assert len(attempts.log.saying("refused")) == 1
    assert len(attempts.log.lines) == 2
    assert "/run/klippy.sock" in attempts.log.lines[0]


def test_after_success_a_reason_is_news(attempts: Attempts) -> None:
    """After a connection the same reason is logged again."""
    attempts.begin()
    attempts.fail("no such file")
    attempts.succeed()
    attempts.begin()
    attempts.fail("no such file")
    assert len(attempts.log.lines) == 2


def test_lasts_until_it_succeeds(attempts: Attempts) -> None:
    """Attempts go on for as long as it takes, each at the path of then."""
    outcome = attempts.begin()
    for _ in range(100):
        attempts.fail("no such file")
    assert not outcome.done
    attempts.path = Path("/run/other.sock")
    attempts.fail("no such file")
    assert attempts.reactor.unixClients[-1][0] == "/run/other.sock"
    attempts.succeed()
    assert outcome.done


def test_cancelled_between_attempts(attempts: Attempts) -> None:
    """Cancelled while it waits for the next attempt, it makes none."""
    outcome = attempts.begin()
    _, factory, *_ = attempts.reactor.unixClients[-1]
    failure = Failure(ConnectError(errno.ENOENT, "no"))
    factory.clientConnectionFailed(attempts.reactor.connectors[-1], failure)
    outcome.deferred.cancel()
    assert isinstance(outcome.error, CancelledError)
    attempts.reactor.advance(60)
    assert len(attempts.reactor.unixClients) == 1
    assert attempts.reactor.getDelayedCalls() == []


def test_cancelled_during_an_attempt(attempts: Attempts) -> None:
    """Cancelled while an attempt is under way, it gives that up and makes no other."""
    outcome = attempts.begin()
    outcome.deferred.cancel()
    assert isinstance(outcome.error, ConnectingCancelledError | CancelledError)
    attempts.reactor.advance(60)
    assert len(attempts.reactor.unixClients) == 1


def test_no_permission(attempts: Attempts) -> None:
    """A socket that we may not use is a warning, until something else is wrong or it can be used."""
    attempts.begin()
    for _ in range(3):
        attempts.fail("permission denied", errno.EACCES)
    (warning,) = attempts.warnings.texts()
    assert "/run/klippy.sock" in warning
    assert len(attempts.log.saying("permission denied")) == 1
    attempts.fail("refused", errno.ECONNREFUSED)
    assert attempts.warnings.texts() == []
    attempts.fail("permission denied", errno.EACCES)
    assert len(attempts.warnings.texts()) == 1
    attempts.succeed()
    assert attempts.warnings.texts() == []


def test_named(attempts: Attempts) -> None:
    """The endpoint says where it connects to."""
    assert str(attempts.endpoint) == "Klippy at /run/klippy.sock"


def test_configured_address_is_final(tmp_path: Path) -> None:
    """A configured address is used whether it exists or not, and whatever else exists."""
    (tmp_path / "comms").mkdir()
    (tmp_path / "comms" / "klippy.sock").touch()
    assert socket_finder(Path("/run/k"), tmp_path)() == Path("/run/k")


def test_socket_in_the_data_path_is_preferred(tmp_path: Path) -> None:
    """Without a configured address the data path's socket is preferred, from when it exists."""
    find = socket_finder(None, tmp_path)
    assert find() == DEFAULT_SOCKET == Path("/tmp/klippy_uds")
    (tmp_path / "comms").mkdir()
    (tmp_path / "comms" / "klippy.sock").touch()
    assert find() == tmp_path / "comms" / "klippy.sock"
