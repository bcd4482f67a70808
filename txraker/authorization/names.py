"""Trusted clients that are listed by name: their addresses, looked up again and again.

Contract: ``trusted_clients`` of ``[authorization]`` in Moonraker's configuration. Here no request waits for a
look-up: names are looked up beforehand, and what they stood for last is what counts.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_network

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from txraker.access import Network, parse_address
from txraker.faults import FaultReport, run_aside
from txraker.reactor import OffThread
from txraker.server_warnings import ServerWarnings

ROUND = 60.0
"""Seconds between two rounds of look-ups."""

KEPT_ROUNDS = 10
"""Rounds for which a name that can't be looked up any more keeps its addresses.

They are counted instead of seconds: a board that doesn't keep the time finds it out after it has started.
"""

AT_ONCE = 2
"""Look-ups at once: each may hold one of the reactor's few threads for a long time."""

MOST_ADDRESSES = 32
"""Addresses that one name may have; of more the lowest count."""

_WHERE = "looking up trusted names"

Resolve = Callable[[str], Deferred[list[str]]]
"""Returns the addresses of a host name, as text. It fails with OSError when that can't be done."""


def system_resolver(off_thread: OffThread) -> Resolve:
    """Return the way to the names that this machine knows: its hosts file, mDNS, DNS, as it is set up."""

    def resolve(name: str) -> Deferred[list[str]]:
        return off_thread(partial(_addresses, name))

    return resolve


def _addresses(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def client_networks(addresses: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of one address each that a client may have, in order.

    A loopback address is none: many a machine knows itself by 127.0.1.1, and who lists its name doesn't mean
    every program on it. What is no single host's address isn't one, either.
    """
    parsed = {address for text in addresses if (address := parse_address(text)) is not None}
    usable = [
        ip_network(address)
        for address in parsed
        if not (address.is_loopback or address.is_unspecified or address.is_multicast)
    ]
    usable.sort(key=lambda network: (network.version, int(network.network_address)))
    return tuple(usable[:MOST_ADDRESSES])


@define(eq=False, repr=False)
class _Name:
    """One name: the addresses it has, and how many rounds of look-ups have begun since they were found."""

    text: str
    networks: tuple[Network, ...] = ()
    age: int = 0
    is_pending: bool = False


@define(eq=False, repr=False)
class TrustedNames:
    """Looks names up when it is started and every minute, and tells what they stand for when that changes.

    ``resolved`` is told the networks of all names together, one for each address. A name that can't be looked
    up is a warning for as long as that is so; it keeps its addresses for ten minutes, in which a router may
    have restarted. A name that is known not to have any loses them at once.
    """

    _listed: Sequence[str]
    _clock: IReactorTime
    _resolve: Resolve
    _resolved: Callable[[tuple[Network, ...]], None]
    _warnings: ServerWarnings
    _report_fault: FaultReport
    _names: list[_Name] = field(init=False)
    _waiting: deque[_Name] = field(factory=deque, init=False)
    _workers: list[Deferred[None]] = field(factory=list, init=False)
    _rounds: LoopingCall = field(init=False)
    _told: tuple[Network, ...] = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._names = [_Name(text) for text in dict.fromkeys(self._listed)]
        self._rounds = LoopingCall(self._begin_round)
        self._rounds.clock = self._clock

    def start(self) -> None:
        """Look all names up, now and every minute."""
        if self._names:
            run_aside(self._look_again_and_again(), _WHERE, self._report_fault)

    def stop(self) -> None:
        """End it; a look-up that is under way comes to nothing."""
        if self._rounds.running:
            self._rounds.stop()
        for worker in self._workers:
            worker.cancel()

    async def _look_again_and_again(self) -> None:
        await self._rounds.start(ROUND)

    def _begin_round(self) -> None:
        """Have every name looked up, except for those that are still waiting for an answer."""
        for name in self._names:
            name.age += 1
            if name.is_pending:
                self._failed(name, "there is no answer")
            else:
                name.is_pending = True
                self._waiting.append(name)
        self._workers = [worker for worker in self._workers if not worker.called]
        while self._waiting and len(self._workers) < AT_ONCE:
            self._workers.append(run_aside(self._work(), _WHERE, self._report_fault))

    async def _work(self) -> None:
        """Look up one name after the other, until none is waiting."""
        while self._waiting:
            name = self._waiting.popleft()
            try:
                addresses = await self._resolve(name.text)
            except OSError as problem:
                self._failed(name, problem.strerror or str(problem))
            else:
                self._answered(name, addresses)
            finally:
                name.is_pending = False

    def _answered(self, name: _Name, addresses: Iterable[str]) -> None:
        name.age = 0
        name.networks = client_networks(addresses)
        if name.networks:
            self._warnings.drop(_key(name))
        else:
            self._warn(name, "has no address of another machine")
        self._tell()

    def _failed(self, name: _Name, reason: str) -> None:
        if name.age >= KEPT_ROUNDS:
            name.networks = ()
        self._warn(name, f"can't be looked up ({reason})")
        self._tell()

    def _warn(self, name: _Name, problem: str) -> None:
        effect = "its last addresses are trusted for a while" if name.networks else "it has no effect"
        text = f"[authorization]: trusted_clients entry '{name.text}' {problem}; {effect}."
        self._warnings.put(_key(name), text)

    def _tell(self) -> None:
        """Tell all networks, if they aren't those that were told last."""
        networks = tuple(dict.fromkeys(network for name in self._names for network in name.networks))
        if networks != self._told:
            self._told = networks
            self._resolved(networks)


def _key(name: _Name) -> str:
    return f"trusted name {name.text}"
