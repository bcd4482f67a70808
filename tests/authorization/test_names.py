"""Trusted clients that are listed by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import ip_network
from socket import EAI_NONAME, gaierror
from typing import TypeVar

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from tests.tools import Faults, Logged, result_of
from txraker.access import Network
from txraker.authorization.names import (
    AT_ONCE,
    KEPT_ROUNDS,
    MOST_ADDRESSES,
    ROUND,
    TrustedNames,
    client_networks,
    system_resolver,
)
from txraker.server_warnings import ServerWarnings

_T = TypeVar("_T")


def networks(*addresses: str) -> tuple[Network, ...]:
    """Return the networks of one address each."""
    return tuple(map(ip_network, addresses))


@define(eq=False)
class NamesBench:
    """Trusted names, and a resolver whose answers are given by hand or, where they are known, at once."""

    listed: list[str]
    known: dict[str, list[str]] = field(factory=dict)
    clock: Clock = field(factory=Clock)
    faults: Faults = field(factory=Faults)
    asked: list[str] = field(factory=list)
    told: list[tuple[Network, ...]] = field(factory=list)
    warnings: ServerWarnings = field(factory=lambda: ServerWarnings(Logged().logger()))
    names: TrustedNames = field(init=False)
    _open: dict[str, deque[Deferred[list[str]]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.names = TrustedNames(
            self.listed, self.clock, self.resolve, self.told.append, self.warnings, self.faults
        )

    def resolve(self, name: str) -> Deferred[list[str]]:
        """Note that a name is looked up."""
        self.asked.append(name)
        lookup: Deferred[list[str]] = Deferred()
        if name in self.known:
            lookup.callback(self.known[name])
        else:
            self._open.setdefault(name, deque()).append(lookup)
        return lookup

    def answer(self, name: str, *addresses: str) -> None:
        """Answer the oldest look-up of a name."""
        self._open[name].popleft().callback(list(addresses))

    def fail(self, name: str, problem: Exception | None = None) -> None:
        """Let the oldest look-up of a name fail: by default there is no such name."""
        reason = problem or gaierror(EAI_NONAME, "Name or service not known")
        self._open[name].popleft().errback(reason)

    def rounds(self, count: int, *failing: str) -> None:
        """Let rounds begin, in each of which some names can't be looked up."""
        for _ in range(count):
            self.clock.advance(ROUND)
            for name in failing:
                self.fail(name)

    def take_asked(self) -> list[str]:
        """Return the names that were looked up since this was asked last."""
        asked = list(self.asked)
        self.asked.clear()
        return asked


def started(*listed: str, **known: list[str]) -> NamesBench:
    """Return a bench with these names, which has been started."""
    bench = NamesBench(list(listed), known)
    bench.names.start()
    return bench


def test_addresses_are_told() -> None:
    """Each name is looked up at once, and all addresses are told, each as a network of its own."""
    bench = started("printer", "voron")
    assert bench.asked == ["printer", "voron"]
    bench.answer("voron", "2001:db8::7", "192.168.1.8", "192.168.1.7")
    bench.answer("printer", "10.0.0.5")
    voron = networks("192.168.1.7", "192.168.1.8", "2001:db8::7")
    assert bench.told == [voron, networks("10.0.0.5") + voron]
    assert bench.warnings.texts() == []


def test_again_every_minute() -> None:
    """Names are looked up again every minute, and no more often."""
    bench = started("printer", printer=["10.0.0.5"])
    bench.clock.advance(ROUND - 1)
    assert bench.take_asked() == ["printer"]
    bench.clock.advance(1)
    assert bench.take_asked() == ["printer"]
    bench.clock.advance(ROUND)
    assert bench.take_asked() == ["printer"]


def test_changes_are_told_once() -> None:
    """The same addresses are told once, in whatever order they come; others are told."""
    bench = started("printer", "voron", printer=["10.0.0.5", "10.0.0.6"], voron=["10.0.0.5"])
    assert bench.told == [networks("10.0.0.5", "10.0.0.6")]
    bench.known["printer"].reverse()
    bench.rounds(1)
    assert len(bench.told) == 1
    bench.known["printer"] = ["10.0.0.7"]
    bench.rounds(2)
    assert bench.told[1:] == [networks("10.0.0.7", "10.0.0.5")]


def test_nothing_to_tell() -> None:
    """While nothing is known nothing is told."""
    bench = started("printer")
    bench.fail("printer")
    bench.rounds(2, "printer")
    assert bench.told == []


def test_no_names() -> None:
    """Without names there is nothing to do."""
    bench = started()
    assert bench.clock.getDelayedCalls() == []
    bench.names.stop()
    assert (bench.told, bench.faults.seen) == ([], [])


def test_twice_the_same_name() -> None:
    """A name that is listed twice is looked up once."""
    bench = started("printer", "printer")
    assert bench.asked == ["printer"]


def test_failing_name() -> None:
    """A name that can't be looked up is a warning with the reason, until it can."""
    bench = started("printer", "voron", voron=["10.0.0.5"])
    bench.fail("printer")
    assert bench.warnings.texts() == [
        "[authorization]: trusted_clients entry 'printer' can't be looked up (Name or service not known); "
        "it has no effect."
    ]
    assert bench.told == [networks("10.0.0.5")]
    bench.rounds(1)
    assert len(bench.warnings.texts()) == 1
    bench.answer("printer", "10.0.0.6")
    assert bench.warnings.texts() == []
    assert bench.told[-1] == networks("10.0.0.6", "10.0.0.5")


def test_reasons() -> None:
    """An error without a text of the system's own is told as it is."""
    bench = started("printer")
    bench.fail("printer", OSError("out of order"))
    assert "(out of order)" in bench.warnings.texts()[0]


def test_name_that_fails_later() -> None:
    """A name keeps its addresses for ten minutes after it was last looked up, and then loses them."""
    bench = started("printer")
    bench.answer("printer", "10.0.0.5")
    bench.rounds(KEPT_ROUNDS - 1, "printer")
    assert bench.told == [networks("10.0.0.5")]
    assert bench.warnings.texts()[0].endswith("; its last addresses are trusted for a while.")
    bench.rounds(1, "printer")
    assert bench.clock.seconds() == 600
    assert bench.told == [networks("10.0.0.5"), ()]
    assert bench.warnings.texts()[0].endswith("; it has no effect.")


def test_ten_minutes_begin_again() -> None:
    """Whenever a name can be looked up its ten minutes begin again."""
    bench = started("printer")
    bench.answer("printer", "10.0.0.5")
    for _ in range(3):
        bench.rounds(KEPT_ROUNDS - 1, "printer")
        bench.rounds(1)
        bench.answer("printer", "10.0.0.5")
    assert bench.told == [networks("10.0.0.5")]


def test_clock_that_is_set() -> None:
    """A clock that is set forward by years takes no address away."""
    bench = started("printer", printer=["10.0.0.5"])
    del bench.known["printer"]
    bench.clock.advance(5 * 365 * 86400.0)
    bench.fail("printer")
    assert bench.told == [networks("10.0.0.5")]


def test_other_names_stay() -> None:
    """What one name loses another one keeps, even the same address."""
    bench = started("printer", "voron", voron=["10.0.0.5"])
    bench.answer("printer", "10.0.0.5", "10.0.0.6")
    bench.rounds(KEPT_ROUNDS, "printer")
    assert bench.told[-1] == networks("10.0.0.5")


@pytest.mark.parametrize("addresses", [[], ["127.0.1.1"], ["0.0.0.0", "::"], ["nonsense"]])
def test_name_without_address(addresses: list[str]) -> None:
    """A name that has no address a client could have loses what it had at once, and is a warning."""
    bench = started("printer", printer=["10.0.0.5"])
    bench.known["printer"] = addresses
    bench.rounds(1)
    assert bench.told == [networks("10.0.0.5"), ()]
    assert bench.warnings.texts() == [
        "[authorization]: trusted_clients entry 'printer' has no address of another machine; "
        "it has no effect."
    ]
    bench.known["printer"] = ["10.0.0.6"]
    bench.rounds(1)
    assert bench.warnings.texts() == []


def test_few_at_once() -> None:
    """A few names are looked up at the same time, and the next ones as those are done, in order."""
    listed = [f"printer{number}" for number in range(5)]
    bench = started(*listed)
    assert bench.asked == listed[:AT_ONCE]
    bench.fail("printer1")
    assert bench.asked == listed[: AT_ONCE + 1]
    bench.answer("printer0", "10.0.0.5")
    assert bench.asked == listed[: AT_ONCE + 2]


def test_one_lookup_a_name() -> None:
    """A name is not looked up again while it still is, nor is there a queue of the same."""
    bench = started("printer", "voron", "ender")
    bench.rounds(3)
    assert bench.take_asked() == ["printer", "voron"]
    bench.answer("printer", "10.0.0.5")
    bench.answer("voron", "10.0.0.6")
    bench.answer("ender", "10.0.0.7")
    assert bench.take_asked() == ["ender"]
    bench.rounds(1)
    assert bench.take_asked() == ["printer", "voron"]


def test_hanging_lookup() -> None:
    """A look-up that hangs is a warning from the next minute on, and stops no other name."""
    bench = started("printer", "voron", "ender", voron=["10.0.0.6"], ender=["10.0.0.7"])
    assert bench.asked == ["printer", "voron", "ender"]
    assert bench.told[-1] == networks("10.0.0.6", "10.0.0.7")
    assert bench.warnings.texts() == []
    bench.rounds(1)
    assert "'printer' can't be looked up (there is no answer)" in bench.warnings.texts()[0]
    bench.known["ender"] = ["10.0.0.8"]
    bench.rounds(100)
    assert bench.told[-1] == networks("10.0.0.6", "10.0.0.8")
    assert bench.asked.count("printer") == 1
    assert bench.asked.count("ender") == 102
    bench.answer("printer", "10.0.0.5")
    assert bench.told[-1] == networks("10.0.0.5", "10.0.0.6", "10.0.0.8")
    assert bench.warnings.texts() == []


def test_lookup_that_hangs_later() -> None:
    """A name whose look-up hangs loses its addresses like one that can't be looked up."""
    bench = started("printer")
    bench.answer("printer", "10.0.0.5")
    bench.rounds(KEPT_ROUNDS - 1)
    assert bench.told == [networks("10.0.0.5")]
    bench.rounds(1)
    assert bench.told == [networks("10.0.0.5"), ()]


def test_stop() -> None:
    """After the end nothing is looked up, and what is answered then changes nothing."""
    bench = started("printer", "voron", "ender")
    bench.names.stop()
    bench.answer("printer", "10.0.0.5")
    bench.fail("voron")
    bench.clock.advance(10 * ROUND)
    assert bench.asked == ["printer", "voron"]
    assert (bench.told, bench.warnings.texts(), bench.faults.seen) == ([], [], [])
    assert bench.clock.getDelayedCalls() == []


def test_stop_between_rounds() -> None:
    """The end may come while nothing is looked up, more than once, and before the beginning."""
    bench = started("printer", printer=["10.0.0.5"])
    bench.names.stop()
    bench.names.stop()
    NamesBench(["printer"]).names.stop()
    bench.clock.advance(ROUND)
    assert bench.asked == ["printer"]


def test_defect() -> None:
    """What a resolver should never raise is reported, and the name is looked up again nevertheless."""
    bench = started("printer", "voron", voron=["10.0.0.6"])
    bench.fail("printer", LookupError("a defect"))
    assert [str(fault) for _, fault in bench.faults.seen] == ["a defect"]
    bench.rounds(1)
    bench.answer("printer", "10.0.0.5")
    assert bench.told[-1] == networks("10.0.0.5", "10.0.0.6")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.168.1.7", "192.168.1.7/32"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("::ffff:192.168.1.7", "192.168.1.7/32"),
        ("fe80::7%eth0", "fe80::7/128"),
    ],
)
def test_client_networks(address: str, network: str) -> None:
    """An address is a network of its own, IPv4 inside IPv6 as IPv4."""
    assert client_networks([address]) == networks(network)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0"),
        *("224.0.0.251", "ff02::fb", "nonsense", "", "10.0.0.0/8"),
    ],
)
def test_no_clients_address(address: str) -> None:
    """This machine, nobody and everybody are no clients."""
    assert client_networks([address, "10.0.0.5"]) == networks("10.0.0.5")


def test_many_addresses() -> None:
    """Of very many addresses the lowest count, in whatever order they come."""
    addresses = [f"10.0.0.{number}" for number in range(1, 200)]
    lowest = networks(*addresses[:MOST_ADDRESSES])
    assert client_networks(addresses) == client_networks(reversed(addresses)) == lowest


@define(eq=False)
class Elsewhere:
    """Does at once what is to be done off the reactor's thread, and counts it."""

    count: int = 0

    def __call__(self, work: Callable[[], _T]) -> Deferred[_T]:
        self.count += 1
        return maybeDeferred(work)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_system_resolver(address: str) -> None:
    """The system's resolver is asked somewhere else than in the reactor's thread."""
    elsewhere = Elsewhere()
    assert result_of(system_resolver(elsewhere)(address)) == [address]
    assert elsewhere.count == 1


def test_system_resolver_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the system doesn't know fails with OSError, the documented failure of a resolver."""

    def unknown(*_arguments: object, **_options: object) -> None:
        raise gaierror(EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(OSError, match="not known"):
        result_of(system_resolver(Elsewhere())("printer.lan"))
