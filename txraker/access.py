"""Who is trusted, and which web pages may use the API: pure decisions on addresses and origins.

Contract: ``trusted_clients`` and ``cors_domains`` of ``[authorization]``. An address that can't be
understood is never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from attrs import frozen

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def parse_network(text: str) -> Network | None:
    """Read an address or a network in CIDR notation; None when it is neither.

    Raises ValueError with the reason when it is a network whose host bits are set.
    """
    try:
        return ip_network(text)
    except ValueError:
        try:
            ip_network(text, strict=False)
        except ValueError:
            return None
        raise ValueError("has host bits set; the last parts of a network's address are 0") from None


def parse_address(text: str) -> Address | None:
    """Read an address as a socket reports it, IPv4 inside IPv6 included; None when it is none."""
    try:
        address = ip_address(text.split("%", 1)[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


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
    may read our answers, ``*`` standing for any run of characters.
    """

    trusted: tuple[Network, ...] = ()
    origins: tuple[str, ...] = ()

    def trusts(self, address: str) -> bool:
        """Say whether requests from an address are let in."""
        parsed = parse_address(address)
        return parsed is not None and _is_in(parsed, self.trusted)

    def allows_origin(self, origin: str) -> bool:
        """Say whether a web page of this origin may read our answers.

        Once any origin is allowed, pages served from trusted addresses are, too.
        """
        if not self.origins:
            return False
        return any(_matches(pattern, origin) for pattern in self.origins) or self.trusts(_host(origin))


def client_address(peer: str, forwarded_for: Sequence[str], real_ip: Sequence[str]) -> str:
    """Return the address a request really comes from.

    A proxy on this machine is believed: the last hop of ``X-Forwarded-For`` that isn't this machine, or
    else ``X-Real-IP``. Anybody else's word is not. ``forwarded_for`` and ``real_ip`` are header values.
    """
    if not is_loopback(peer):
        return peer
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops or [value.strip() for value in real_ip]):
        if not is_loopback(hop):
            return hop
    return peer


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
    trusted_clients: Iterable[str], cors_domains: Iterable[str]
) -> tuple[Access, list[str]]:
    """Return the access that ``[authorization]`` describes, and warnings of entries that have no effect.

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
    return Access(tuple(trusted), tuple(origins)), warnings
