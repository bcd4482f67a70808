"""Who is trusted, and which web pages may use the API: pure decisions on addresses and origins.

Contract: ``trusted_clients`` and ``cors_domains`` of ``[authorization]`` in Moonraker's configuration;
``trusted_proxies`` is ours. An address that can't be understood is never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

_T = TypeVar("_T")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_ORIGIN = 300
"""Characters of an origin; a longer one is no web page's."""

_PRIVATE = (
    *(".local", ".localhost", ".lan", ".home", ".home.arpa", ".internal", ".localdomain", ".intranet"),
    *(".private", ".corp", ".fritz.box", ".speedport.ip", ".ts.net"),
)
"""Ends of names that are for private networks: in the public DNS nobody can give one an address of ours."""

LONGEST_NAME = 253
"""Characters of a host name, without the dot at its end."""

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LABELS = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_NAME = re.compile(_LABELS)
_NAME_AND_PORT = re.compile(_LABELS + ":[0-9]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_HOP_AND_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([^\[\]]*:[^\[\]]*)\](?::[0-9]{1,5})?")
"""An address as some proxies write it: IPv4 with a port, IPv6 in brackets with or without one."""

_NETWORK_BITS = 64
"""One host on IPv6 has all addresses of a network of this size."""

_MAPPED = IPv6Network("::ffff:0:0/96")
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def parse_network(text: str) -> Network | None:
    """Read an address or a network in CIDR notation; None when it is neither.

    Raises ValueError with the reason when it is a network whose host bits are set.
    """
    try:
        return _unmapped(ip_network(text))
    except ValueError:
        try:
            ip_network(text, strict=False)
        except ValueError:
            return None
        raise ValueError("has host bits set; the last parts of a network's address are 0") from None


@lru_cache(maxsize=256)
def parse_address(text: str) -> Address | None:
    """Read an address as a socket reports it, IPv4 inside IPv6 included; None when it is none."""
    address_text, _, scope = text.partition("%")
    try:
        address = ip_address(address_text)
    except ValueError:
        return None
    if scope and address.version == 4:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=256)
def origin(address: str) -> str:
    """Return what stands for all addresses that somebody at this one may have as well."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _NETWORK_BITS), strict=False))
    return address


@lru_cache(maxsize=256)
def is_loopback(text: str) -> bool:
    """Say whether an address is this machine's own."""
    address = parse_address(text)
    return address is not None and _is_in(address, LOOPBACK)


def parse_host_name(text: str) -> str | None:
    """Read a host name (RFC 1123), in lower case; None when it is none.

    A name doesn't end in a number: resolvers take ``192.168.1`` for the address 192.168.0.1. Raises
    ValueError with the reason when it is almost one, or one that can't be a client's.
    """
    if not text.isascii():
        return None
    name = text.lower()
    if "*" in name and _NAME.fullmatch(name.replace("*", "a")):
        raise ValueError("has a wildcard, and what it stands for can't be looked up")
    if _NAME_AND_PORT.fullmatch(name):
        raise ValueError("has a port, which says nothing about a client")
    labels = name.removesuffix(".")
    last = labels.rpartition(".")[2]
    if not _NAME.fullmatch(name) or len(labels) > LONGEST_NAME or _NUMBER.fullmatch(last):
        return None
    if last == "localhost":
        raise ValueError("is this machine, which is listed as 127.0.0.1 and ::1")
    return name


def is_origin_pattern(text: str) -> bool:
    """Say whether a ``cors_domains`` entry is acceptable: no wildcard in a top level domain, except ``*``."""
    if text == "*":
        return True
    host = re.sub(r"^[a-z*]+://", "", text.lower()).split(":", 1)[0]
    return bool(host) and "*" not in host.rsplit(".", 1)[-1]


class Access(msgspec.Struct, frozen=True):
    """The decisions of one printer's server.

    ``trusted`` are the networks whose requests need no more; ``origins`` are patterns of web origins that
    may read our answers, ``*`` standing for any run of characters; ``names`` are those of this machine;
    ``proxies`` are believed when they say for whom they ask, as those on this machine always are.
    """

    trusted: frozenset[Network] = frozenset()
    origins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()

    def trusts(self, address: str) -> bool:
        """Say whether requests from an address are let in."""
        return _holds(self.trusted, address)

    def is_proxy(self, address: str) -> bool:
        """Say whether what an address passes on is believed, and many may be behind it."""
        return _is_proxy(address, self.proxies)

    def allows_origin(self, origin: str) -> bool:
        """Say whether a web page of this origin may read our answers.

        Once any origin is allowed, pages served from trusted addresses are, too.
        """
        if not self.origins or len(origin) > LONGEST_ORIGIN:
            return False
        return any(_matches(pattern, origin) for pattern in self.origins) or self.trusts(_host(origin))

    def allows_host(self, host: str) -> bool:
        """Say whether a request with this ``Host`` header meant this machine.

        A web page can give its own name our address in the middle of its visit (DNS rebinding); its
        requests come from a trusted address then, but with that name. Addresses, names that nobody can
        register, our own and those of allowed origins are fine.
        """
        name = host.strip().lower().rstrip(".")
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if parse_address(name) is not None or "." not in name or name.endswith(_PRIVATE):
            return True
        meant = (f"http://{name}", f"http://{host}")
        allowed = any(_matches(pattern, origin) for pattern in self._hosts for origin in meant)
        return allowed or name in self.names

    @property
    def _hosts(self) -> tuple[str, ...]:
        """The origins whatever their scheme."""
        return tuple(pattern.partition("://")[2] or pattern for pattern in self.origins if pattern != "*")


def client_addresses(
    peer: str, forwarded_for: Sequence[str], real_ip: Sequence[str], proxies: tuple[Network, ...] = ()
) -> tuple[str, ...]:
    """Return the addresses a request claims to come from; to be trusted, all of them must be.

    A proxy is believed, whether it is one of ``proxies`` or on this machine: the last hop of
    ``X-Forwarded-For`` that is no proxy, understood or not, and ``X-Real-IP``, of which a proxy may set one
    and pass on a client's forgery in the other. Where both name nothing but proxies, the one that asked first
    did so for itself. Anybody else's word is not believed. ``forwarded_for`` and ``real_ip`` are header
    values; a hop's port is taken off.
    """
    if not _is_proxy(peer, proxies):
        return (peer,)
    claims = [_asker(peer, values, proxies) for values in (forwarded_for, real_ip) if values]
    clients = [claim for claim in claims if not _is_proxy(claim, proxies)]
    return tuple(dict.fromkeys(clients or claims)) or (peer,)


def _asker(proxy: str, values: Sequence[str], proxies: tuple[Network, ...]) -> str:
    """Return the nearest hop that is no proxy; without one, the proxy that is furthest away.

    A hop that is a loopback address is the machine of the proxy that names it, not necessarily ours.
    """
    hops = [hop for value in values for hop in value.split(",")]
    for hop in map(_without_port, reversed(hops)):
        if is_loopback(hop):
            continue
        proxy = hop
        if not _is_proxy(hop, proxies):
            break
    return proxy


def _without_port(hop: str) -> str:
    """Return the address of a hop; one that isn't understood as it is."""
    hop = hop.strip()
    match = _HOP_AND_PORT.fullmatch(hop)
    address = (match[1] or match[2]) if match else hop
    return address if parse_address(address) is not None else hop


def _is_proxy(address: str, proxies: tuple[Network, ...]) -> bool:
    return is_loopback(address) or _holds(proxies, address)


@lru_cache(maxsize=256)
def _holds(networks: Collection[Network], address: str) -> bool:
    parsed = parse_address(address)
    return parsed is not None and _is_in(parsed, networks)


def _unmapped(network: Network) -> Network:
    """Return a network of IPv4 addresses inside IPv6 as the IPv4 network it means."""
    if (
        isinstance(network, IPv6Network)
        and network.prefixlen >= _MAPPED.prefixlen
        and network.subnet_of(_MAPPED)
    ):
        first = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _matches(pattern: str, origin: str) -> bool:
    if pattern == "*":
        return True
    expression = ".*".join(re.escape(part) for part in pattern.lower().split("*"))
    if "://" not in pattern:
        expression = "[a-z]+://" + expression
    return re.fullmatch(expression, origin.lower()) is not None


class ConfiguredAccess(msgspec.Struct, frozen=True):
    """What ``[authorization]`` comes to.

    ``trusted_names`` are the host names among the trusted clients, in lower case, whose addresses are still
    to be found. ``warnings`` name each entry that has no effect.
    """

    access: Access
    trusted_names: tuple[str, ...]
    warnings: tuple[str, ...]


def configured_access(
    trusted_clients: Iterable[str],
    cors_domains: Iterable[str],
    names: Iterable[str] = (),
    trusted_proxies: Iterable[str] = (),
) -> ConfiguredAccess:
    """Return what the options of ``[authorization]`` come to; ``names`` are those of this machine.

    An entry that can't be used never widens access: it is left out and warned about.
    """
    warnings: list[str] = []
    clients = _usable("trusted_clients", trusted_clients, _client, warnings)
    access = Access(
        trusted=frozenset(client for client in clients if not isinstance(client, str)),
        origins=tuple(_usable("cors_domains", cors_domains, _origin, warnings)),
        names=tuple(name.lower() for name in names),
        proxies=tuple(_usable("trusted_proxies", trusted_proxies, _proxy, warnings)),
    )
    trusted_names = dict.fromkeys(client for client in clients if isinstance(client, str))
    return ConfiguredAccess(access, tuple(trusted_names), tuple(warnings))


def _usable(option: str, entries: Iterable[str], read: Callable[[str], _T], warnings: list[str]) -> list[_T]:
    """Return the entries of an option as they are read, and warn of those that can't be."""
    usable = []
    for entry in entries:
        try:
            usable.append(read(entry))
        except ValueError as problem:
            warnings.append(f"[authorization]: {option} entry '{entry}' {problem}; it has no effect.")
    return usable


def _client(entry: str) -> Network | str:
    """Read a network or a host name. Raises ValueError with the reason when it can't be used."""
    client = parse_network(entry) or parse_host_name(entry)
    if client is None:
        raise ValueError("is no address, network or host name")
    return client


def _proxy(entry: str) -> Network:
    """Read a network of proxies. Raises ValueError with the reason when it can't be used."""
    network = parse_network(entry)
    if network is None:
        raise ValueError("is no address or network")
    if network.prefixlen == 0:
        raise ValueError("is everybody, and then anybody could claim to be anyone")
    return network


def _origin(entry: str) -> str:
    """Read a pattern of origins. Raises ValueError with the reason when it can't be used."""
    if not is_origin_pattern(entry):
        raise ValueError("has a wildcard in its top level domain")
    return entry.rstrip("/")
