"""Who is trusted, and which web pages may use the API: pure decisions on addresses and origins.

Contract: ``trusted_clients`` and ``cors_domains`` of ``[authorization]``. An address that can't be
understood is never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from attrs import frozen

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_ORIGIN = 300
"""Characters of an origin; a longer one is no web page's."""

_PRIVATE = (
    *(".local", ".localhost", ".lan", ".home", ".home.arpa", ".internal", ".localdomain", ".intranet"),
    *(".private", ".corp", ".fritz.box", ".speedport.ip", ".ts.net"),
)
"""Ends of names that are for private networks: in the public DNS nobody can give one an address of ours."""

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
def is_loopback(text: str) -> bool:
    """Say whether an address is this machine's own."""
    address = parse_address(text)
    return address is not None and _is_in(address, LOOPBACK)


def is_origin_pattern(text: str) -> bool:
    """Say whether a ``cors_domains`` entry is acceptable: no wildcard in a top level domain, except ``*``."""
    if text == "*":
        return True
    host = re.sub(r"^[a-z*]+://", "", text.lower()).split(":", 1)[0]
    return bool(host) and "*" not in host.rsplit(".", 1)[-1]


@frozen
class Access:
    """The decisions of one printer's server.

    ``trusted`` are the networks whose requests need no more; ``origins`` are patterns of web origins that
    may read our answers, ``*`` standing for any run of characters; ``names`` are those of this machine.
    """

    trusted: tuple[Network, ...] = ()
    origins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def trusts(self, address: str) -> bool:
        """Say whether requests from an address are let in."""
        return _trusts(self.trusted, address)

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


def client_addresses(peer: str, forwarded_for: Sequence[str], real_ip: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses a request claims to come from; to be trusted, all of them must be.

    A proxy on this machine is believed: the last hop of ``X-Forwarded-For`` that isn't this machine, and
    ``X-Real-IP``, of which a proxy may set one and pass on a client's forgery in the other. Anybody else's
    word is not. ``forwarded_for`` and ``real_ip`` are header values.
    """
    if not is_loopback(peer):
        return (peer,)
    claims = (_last_hop(forwarded_for), _last_hop(real_ip))
    return tuple(claim for claim in claims if claim is not None) or (peer,)


def _last_hop(values: Sequence[str]) -> str | None:
    """Return the nearest hop that isn't this machine, understood or not; None without one."""
    hops = [hop.strip() for value in values for hop in value.split(",")]
    return next((hop for hop in reversed(hops) if not is_loopback(hop)), None)


@lru_cache(maxsize=256)
def _trusts(trusted: tuple[Network, ...], address: str) -> bool:
    parsed = parse_address(address)
    return parsed is not None and _is_in(parsed, trusted)


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


def configured_access(
    trusted_clients: Iterable[str], cors_domains: Iterable[str], names: Iterable[str] = ()
) -> tuple[Access, list[str]]:
    """Return the access that ``[authorization]`` describes, and warnings of entries that have no effect.

    ``names`` are those of this machine.

    An entry that can't be used never widens access: it is left out and warned about.
    """
    warnings: list[str] = []
    trusted: list[Network] = []
    origins: list[str] = []
    for entry in trusted_clients:
        try:
            network = parse_network(entry)
            reason = "is no address or network, and host names are not supported yet"
        except ValueError as problem:
            network, reason = None, str(problem)
        if network is not None:
            trusted.append(network)
        else:
            warnings.append(f"[authorization]: trusted_clients entry '{entry}' {reason}; it is not trusted.")
    for entry in cors_domains:
        if is_origin_pattern(entry):
            origins.append(entry.rstrip("/"))
        else:
            warnings.append(
                f"[authorization]: cors_domains entry '{entry}' has a wildcard in its top level domain; "
                "it has no effect."
            )
    return Access(tuple(trusted), tuple(origins), tuple(name.lower() for name in names)), warnings
