"""Who is trusted, where a request really comes from, and which pages may use the API."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txraker.access import (
    Access,
    client_addresses,
    configured_access,
    is_origin_pattern,
    parse_address,
    parse_network,
)


def trusting(*networks: str) -> Access:
    """Make an access that trusts networks."""
    return Access(tuple(ip_network(network) for network in networks))


@pytest.mark.parametrize(
    ("networks", "address", "trusted"),
    [
        (["192.168.1.0/24"], "192.168.1.7", True),
        (["192.168.1.0/24"], "192.168.2.7", False),
        (["192.168.1.7"], "192.168.1.7", True),
        (["192.168.1.7"], "192.168.1.8", False),
        (["192.168.1.0/24"], "::ffff:192.168.1.7", True),
        (["192.168.1.0/24"], "::ffff:192.168.2.7", False),
        (["fe80::/10"], "fe80::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::/0"], "192.168.1.7", False),
        (["0.0.0.0/0"], "::1", False),
        (["0.0.0.0/0"], "::ffff:8.8.8.8", True),
        (["::1", "127.0.0.0/8"], "127.0.0.1", True),
        (["10.0.0.0/8"], "", False),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "localhost", False),
        (["0.0.0.0/0", "::/0"], "192.168.1", False),
        (["0.0.0.0/0", "::/0"], "192.168.001.007", False),
        (["0.0.0.0/0", "::/0"], "192.168.1.7:5000", False),
        (["0.0.0.0/0", "::/0"], "0x7f.0.0.1", False),
        (["0.0.0.0/0", "::/0"], "2130706433", False),
        ([], "127.0.0.1", False),
    ],
)
def test_trusts(networks: list[str], address: str, trusted: bool) -> None:
    """Just the addresses of trusted networks are trusted; what is no address never is."""
    assert trusting(*networks).trusts(address) is trusted


@given(st.text())
def test_anything_is_no_reason_to_trust(text: str) -> None:
    """Whatever stands for an address, nobody is trusted where nobody is to be trusted."""
    assert not trusting("203.0.113.5").trusts(text) or parse_address(text) is not None
    assert not Access().trusts(text)


@given(st.ip_addresses())
def test_addresses_round_trip(address: object) -> None:
    """An address as a socket reports it is read as that address, IPv4 inside IPv6 as IPv4."""
    mapped = getattr(address, "ipv4_mapped", None)
    assert parse_address(str(address)) == (mapped or address)


@pytest.mark.parametrize(
    ("peer", "forwarded", "real", "address"),
    [
        ("192.168.1.7", [], [], "192.168.1.7"),
        ("192.168.1.7", ["127.0.0.1"], ["127.0.0.1"], "192.168.1.7"),
        ("127.0.0.1", [], [], "127.0.0.1"),
        ("127.0.0.1", ["192.168.1.7"], [], "192.168.1.7"),
        ("::1", ["192.168.1.7"], [], "192.168.1.7"),
        ("::ffff:127.0.0.1", ["192.168.1.7"], [], "192.168.1.7"),
        ("127.0.0.1", ["1.1.1.1, 192.168.1.7"], [], "192.168.1.7"),
        ("127.0.0.1", ["1.1.1.1", "192.168.1.7"], [], "192.168.1.7"),
        ("127.0.0.1", ["192.168.1.7, 127.0.0.1, ::1"], [], "192.168.1.7"),
        ("127.0.0.1", ["127.0.0.1"], [], "127.0.0.1"),
        ("127.0.0.1", [], ["192.168.1.7"], "192.168.1.7"),
        ("127.0.0.1", ["192.168.1.7"], ["10.0.0.1"], "192.168.1.7"),
        ("127.0.0.1", [" 192.168.1.7 "], [], "192.168.1.7"),
    ],
)
def test_client_address(peer: str, forwarded: list[str], real: list[str], address: str) -> None:
    """A proxy on this machine is believed, its nearest hop counting; nobody else's word is."""
    assert client_addresses(peer, forwarded, real)[0] == address


@pytest.mark.parametrize(
    ("forwarded", "real"),
    [
        (["unknown"], []),
        (["127.0.0.1, garbage"], []),
        (["garbage, 127.0.0.1"], []),
        ([""], []),
        (["_hidden"], []),
        ([], ["garbage"]),
        ([], [""]),
        (["192.168.1.7:5000"], []),
        (['"[2001:db8::1]"'], []),
    ],
)
def test_a_proxy_that_is_not_understood(forwarded: list[str], real: list[str]) -> None:
    """What a proxy says and nobody understands is never taken for this machine."""
    access = trusting("127.0.0.0/8", "::1")
    assert not all(map(access.trusts, client_addresses("127.0.0.1", forwarded, real)))


def test_one_claim_does_not_hide_the_other() -> None:
    """Of two headers that a proxy leaves standing both must be trusted: one may be the client's forgery."""
    access = trusting("127.0.0.0/8", "192.168.1.0/24")
    for forwarded, real in (("192.168.1.7", "8.8.8.8"), ("8.8.8.8", "192.168.1.7")):
        assert not all(map(access.trusts, client_addresses("127.0.0.1", [forwarded], [real])))
    assert all(map(access.trusts, client_addresses("127.0.0.1", ["192.168.1.7"], ["192.168.1.7"])))


@given(st.text(), st.lists(st.text()), st.lists(st.text()))
def test_nobody_elses_word(peer: str, forwarded: list[str], real: list[str]) -> None:
    """From anywhere but this machine, headers change nothing."""
    address = parse_address(peer)
    if address is None or not address.is_loopback:
        assert client_addresses(peer, forwarded, real) == (peer,)


@pytest.mark.parametrize("text", ["host.local", "*", "", "192.168.1", "192.168.1.0/33", "1.2.3.4/x"])
def test_no_network(text: str) -> None:
    """What is no network is none."""
    assert parse_network(text) is None


@pytest.mark.parametrize("text", ["192.168.1.5/24", "fe80::1/10"])
def test_host_bits(text: str) -> None:
    """A network whose host bits are set is an error with its reason."""
    with pytest.raises(ValueError, match="host bits set"):
        parse_network(text)


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("*", "http://anywhere.com", True),
        ("http://my.mainsail.xyz", "http://my.mainsail.xyz", True),
        ("http://my.mainsail.xyz/", "http://my.mainsail.xyz", True),
        ("http://my.mainsail.xyz", "https://my.mainsail.xyz", False),
        ("http://my.mainsail.xyz", "http://my.mainsail.xyz.evil.com", False),
        ("http://my.mainsail.xyz", "http://myxmainsail.xyz", False),
        ("http://my.mainsail.xyz", "http://my.mainsail.xyz:8080", False),
        ("http://My.Mainsail.xyz", "http://my.mainsail.XYZ", True),
        ("*.home", "http://printer.home", True),
        ("*.home", "https://a.b.home", True),
        ("*.home", "http://printer.home.evil.com", False),
        ("*.home", "http://printerhome", False),
        ("*.home", "http://printer.home:8080", False),
        ("*://localhost:*", "http://localhost:8080", True),
        ("*://localhost:*", "https://localhost:1", True),
        ("*://localhost:*", "http://localhost.evil.com:80", False),
        ("http://*.local", "http://printer.local", True),
        ("http://*.local", "null", False),
        ("http://*.local", "", False),
        ("http://*.local", "http://a.local\nhttp://b.com", False),
        ("printer.lan", "http://printer.lan", True),
    ],
)
def test_origins(pattern: str, origin: str, allowed: bool) -> None:
    """An origin is allowed when a pattern matches all of it, a star standing for anything."""
    access, warnings = configured_access([], [pattern])
    assert warnings == []
    assert access.allows_origin(origin) is allowed


@pytest.mark.parametrize(
    ("pattern", "acceptable"),
    [
        ("*", True),
        ("*.home", True),
        ("http://*.home", True),
        ("*://localhost:*", True),
        ("http://192.168.1.*", False),
        ("http://*", False),
        ("https://*", False),
        ("*://*", False),
        ("HTTPS://*", False),
        ("http://a.*", False),
        ("http://a.co*", False),
        ("*.*", False),
        ("http://", False),
        ("", False),
    ],
)
def test_acceptable_patterns(pattern: str, acceptable: bool) -> None:
    """A wildcard may stand for anything but a top level domain, save for the star alone."""
    assert is_origin_pattern(pattern) is acceptable


def test_trusted_pages() -> None:
    """Once any origin is allowed, pages served from trusted addresses are, too."""
    access, _ = configured_access(["192.168.1.0/24", "::1"], ["http://printer.home"])
    assert access.allows_origin("http://192.168.1.7")
    assert access.allows_origin("http://192.168.1.7:8080")
    assert access.allows_origin("http://[::1]:8080")
    assert not access.allows_origin("http://192.168.2.7")
    assert not access.allows_origin("http://[::1")
    assert not Access(trusted=(ip_network("192.168.1.0/24"),)).allows_origin("http://192.168.1.7")


@given(st.text())
def test_any_origin(origin: str) -> None:
    """Any text is an origin that is decided on."""
    access, _ = configured_access(["192.168.1.0/24"], ["http://a.home", "*://b.home:*"])
    assert access.allows_origin(origin) in (True, False)


def test_configured() -> None:
    """What can't be used is warned of and widens nothing."""
    access, warnings = configured_access(
        ["192.168.1.0/24", "10.0.0.5", "host.local", "192.168.1.5/24", "::1"],
        ["*.home", "http://*"],
    )
    assert access.trusted == tuple(map(ip_network, ("192.168.1.0/24", "10.0.0.5/32", "::1/128")))
    assert access.origins == ("*.home",)
    assert [
        entry in warning
        for entry, warning in zip(("'host.local'", "'192.168.1.5/24'", "'http://*'"), warnings, strict=True)
    ] == [True] * 3


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.5",
        "192.168.1.5:7125",
        "[fe80::1]:7125",
        "[::1]",
        "localhost",
        "localhost:7125",
        "voron",
        "Voron.local",
        "voron.local.",
        "voron.lan:80",
        "printer.home.arpa",
        "mainsailos.fritz.box",
        "printer.tail1234.ts.net:7125",
        "voron.example.org",
        "print.my-domain.com:8080",
        "my.mainsail.xyz",
        "",
    ],
)
def test_hosts_of_ours(host: str) -> None:
    """Addresses, names of home networks, our own names and those of allowed pages mean us."""
    origins = ["*.my-domain.com", "http://my.mainsail.xyz"]
    access, _ = configured_access(["0.0.0.0/0"], origins, ["Voron.example.org"])
    assert access.allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7125",
        "192.168.1.5.evil.example",
        "voron.local.evil.example",
        "local.evil",
        "evillocal.com",
        "fritz.box.evil.example",
        "evilfritz.box",
        "[evil.example]",
        "my-domain.com.evil.example",
        "xvoron.example.org",
        "evil.example:80@192.168.1.5",
    ],
)
def test_hosts_of_others(host: str) -> None:
    """Any other name is somebody else's, to whom the DNS may have given our address; a lone * allows none."""
    origins = ["*.my-domain.com", "*"]
    access, _ = configured_access(["0.0.0.0/0"], origins, ["voron.example.org"])
    assert not access.allows_host(host)
