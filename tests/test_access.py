"""Who is trusted, where a request really comes from, and which pages may use the API."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from txraker.access import (
    LONGEST_NAME,
    Access,
    Network,
    client_addresses,
    configured_access,
    is_origin_pattern,
    parse_address,
    parse_host_name,
    parse_network,
)

PROXIES: tuple[Network, ...] = tuple(map(ip_network, ("10.0.0.2", "10.1.0.0/16", "2001:db8:1::/64")))
"""Those that are listed in tests of proxies."""


def trusting(*networks: str) -> Access:
    """Make an access that trusts networks."""
    return Access(frozenset(ip_network(network) for network in networks))


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
        (["127.0.0.1:"], []),
        (["127.0.0.1:123456"], []),
        (["127.0.0.1:٣"], []),
        (["[127.0.0.1]:80"], []),
        (["[127.0.0.1:80]"], []),
        (["[::1"], []),
        (["::1]"], []),
        (["[::1]80"], []),
        (["[[::1]]"], []),
        (['"[::1]"'], []),
        (["for=127.0.0.1"], []),
        (["127.0.0.1 "], ["127.0.0.1;"]),
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


@pytest.mark.parametrize(
    ("peer", "forwarded", "real", "addresses"),
    [
        ("10.0.0.2", ["192.168.1.7"], [], ["192.168.1.7"]),
        ("::ffff:10.0.0.2", ["192.168.1.7"], [], ["192.168.1.7"]),
        ("2001:db8:1::5", [], ["192.168.1.7"], ["192.168.1.7"]),
        ("127.0.0.1", ["192.168.1.7"], [], ["192.168.1.7"]),
        ("10.0.0.3", ["192.168.1.7"], ["192.168.1.7"], ["10.0.0.3"]),
        ("10.0.0.2", ["192.168.1.7, 10.0.0.3"], [], ["10.0.0.3"]),
        ("127.0.0.1", ["1.1.1.1, 192.168.1.7, 10.1.2.3", "10.0.0.2"], [], ["192.168.1.7"]),
        ("127.0.0.1", ["1.1.1.1, garbage, 10.0.0.2"], [], ["garbage"]),
        ("127.0.0.1", ["192.168.1.7, unknown"], [], ["unknown"]),
        ("127.0.0.1", ["192.168.1.7,"], [], [""]),
        ("127.0.0.1", ["192.168.1.7, 10.0.0.2"], ["10.0.0.2"], ["192.168.1.7"]),
        ("127.0.0.1", ["10.0.0.2"], ["192.168.1.7"], ["192.168.1.7"]),
        ("127.0.0.1", ["192.168.1.7"], ["192.168.1.8"], ["192.168.1.7", "192.168.1.8"]),
        ("127.0.0.1", ["192.168.1.7"], ["192.168.1.7"], ["192.168.1.7"]),
        ("10.0.0.2", [], [], ["10.0.0.2"]),
        ("127.0.0.1", ["10.0.0.2"], [], ["10.0.0.2"]),
        ("127.0.0.1", ["10.1.0.9, 10.0.0.2"], ["10.0.0.2"], ["10.1.0.9", "10.0.0.2"]),
        ("10.0.0.2", ["10.1.0.9, 127.0.0.1"], [], ["10.1.0.9"]),
    ],
)
def test_listed_proxies(peer: str, forwarded: list[str], real: list[str], addresses: list[str]) -> None:
    """Listed proxies and those on this machine are believed one after the other, and nobody further on is.

    Where there are only proxies the first of them is the client.
    """
    assert client_addresses(peer, forwarded, real, PROXIES) == tuple(addresses)


@pytest.mark.parametrize("hop", ["127.0.0.1", "::1", "127.0.0.1:80", "[::1]:80", "::ffff:127.0.0.1"])
def test_loopback_of_another_machine(hop: str) -> None:
    """The loopback address that a proxy elsewhere names is that proxy's machine, and not ours."""
    assert client_addresses("10.0.0.2", [hop], [], PROXIES) == ("10.0.0.2",)
    assert client_addresses("10.0.0.2", [], [hop], PROXIES) == ("10.0.0.2",)
    assert client_addresses("127.0.0.1", [f"{hop}, 10.0.0.2"], [], PROXIES) == ("10.0.0.2",)


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("192.168.1.7:5000", "192.168.1.7"),
        ("192.168.1.7:5", "192.168.1.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[fe80::1%eth0]:443", "fe80::1%eth0"),
        ("[::ffff:192.168.1.7]:80", "::ffff:192.168.1.7"),
        ("192.168.1.700:5000", "192.168.1.700:5000"),
        ("unknown:80", "unknown:80"),
        ("[unknown:1]:80", "[unknown:1]:80"),
    ],
)
def test_ports(hop: str, address: str) -> None:
    """The port that some proxies write beside an address is taken off; what is no address stays as it is."""
    assert client_addresses("127.0.0.1", [f"1.1.1.1, {hop}, 10.0.0.2:80"], [], PROXIES) == (address,)
    assert client_addresses("127.0.0.1", [], [hop]) == (address,)


@given(st.text() | st.ip_addresses().map(str), st.lists(st.text()), st.lists(st.text()))
@example("10.0.0.3", ["127.0.0.1"], ["127.0.0.1"])
@example("10.0.0.2 ", ["127.0.0.1"], ["127.0.0.1"])
@example("127.0.0.1:80", ["192.168.1.7"], ["192.168.1.7"])
def test_nobody_elses_word(peer: str, forwarded: list[str], real: list[str]) -> None:
    """From anywhere but this machine and listed proxies, headers change nothing."""
    if not Access(frozenset((*PROXIES, ip_network("127.0.0.0/8"), ip_network("::1")))).trusts(peer):
        assert client_addresses(peer, forwarded, real, PROXIES) == (peer,)


proxies = st.sampled_from(
    ["127.0.0.1", "::1", "10.0.0.2", "10.1.77.1", "2001:db8:1::9", "::ffff:10.0.0.2", "10.0.0.2:80"]
)
strangers = st.sampled_from(["192.168.1.7", "2001:db8:2::1", "unknown", "10.0.0.3", "8.8.8.8", "10.0.0.2x"])
forgeries = st.lists(st.text() | strangers | proxies, max_size=4)


@given(proxies, forgeries, strangers, st.lists(proxies, max_size=4), st.data())
def test_forged_hops(
    peer: str, forged: list[str], client: str, passed: list[str], data: st.DataObject
) -> None:
    """Whatever a client writes to the left of what proxies add, it is the one who asks."""
    peer = peer.removesuffix(":80")
    hops = [*forged, client, *passed]
    cut = data.draw(st.integers(0, len(hops) - 1))
    lines = [", ".join(hops[:cut]), ",".join(hops[cut:])] if cut else [" , ".join(hops)]
    assert client_addresses(peer, lines, [], PROXIES) == (client,)
    assert client_addresses(peer, [], lines, PROXIES) == (client,)
    assert client in client_addresses(peer, lines, forged, PROXIES)


@given(proxies, st.lists(st.text() | strangers | proxies), st.lists(st.text() | strangers | proxies))
def test_nobody_is_made_up(peer: str, forwarded: list[str], real: list[str]) -> None:
    """Somebody always asks, and it is nobody but the peer and those whom the headers name."""
    peer = peer.removesuffix(":80")
    addresses = client_addresses(peer, forwarded, real, PROXIES)
    named = {hop.strip() for value in forwarded + real for hop in value.split(",")}
    named |= {hop.removesuffix(":80") for hop in named}
    assert addresses
    assert {address for address in addresses if parse_address(address) is not None} <= named | {peer}


@pytest.mark.parametrize("text", ["host.local", "*", "", "192.168.1", "192.168.1.0/33", "1.2.3.4/x"])
def test_no_network(text: str) -> None:
    """What is no network is none."""
    assert parse_network(text) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my-printer.lan", "my-printer.lan"),
        ("My-Printer.LAN.", "my-printer.lan."),
        ("voron", "voron"),
        ("3d-printer.2nd.home", "3d-printer.2nd.home"),
        ("192.168.1.5.example", "192.168.1.5.example"),
        ("xn--drucker-n4a.lan", "xn--drucker-n4a.lan"),
        ("localhost.lan", "localhost.lan"),
        ("a" * 63 + ".lan", "a" * 63 + ".lan"),
        ("a." * 126 + "b", "a." * 126 + "b"),
        ("a." * 126 + "b.", "a." * 126 + "b."),
    ],
)
def test_host_names(text: str, name: str) -> None:
    """A host name is labels of letters, digits and hyphens, whichever way it is written."""
    assert parse_host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a..b", ".lan", "a_b.lan", "-a.lan", "a-.lan", "a b", "a,b", "a\n", "a/24", "a%b"),
        *("http://a.lan", "user@a.lan", "a.lan:", "[a.lan]", "drücker.lan", "\u212aelvin.lan"),
        *("192.168.1", "192.168.1.256", "2130706433", "0x7f.1", "0x7f000001", "0x", "a.0X7F", "1.2.3.4."),
        *("::1", "fe80::", "a" * 64 + ".lan", "a." * 126 + "bc"),
    ],
)
def test_no_host_name(text: str) -> None:
    """What isn't made like a name is none, nor what a resolver would take for an address."""
    assert parse_host_name(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*.lan", "wildcard"),
        ("printer-*.lan", "wildcard"),
        ("*", "wildcard"),
        ("printer.lan:7125", "port"),
        ("192.168.1.5:7125", "port"),
        ("localhost", "127.0.0.1 and ::1"),
        ("Printer.Localhost.", "127.0.0.1 and ::1"),
    ],
)
def test_useless_host_names(text: str, reason: str) -> None:
    """What is almost a name, and a name that can't be a client's, is an error with its reason."""
    with pytest.raises(ValueError, match=reason):
        parse_host_name(text)


@given(st.text() | st.text("aZ09-.*:x_/", max_size=300))
def test_any_host_name(text: str) -> None:
    """Any text is a name or none, and a name is no longer than names are and no address."""
    try:
        name = parse_host_name(text)
    except ValueError:
        return
    if name is not None:
        assert name == text.lower()
        assert len(name.removesuffix(".")) <= LONGEST_NAME
        assert parse_network(name) is None


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
    configured = configured_access([], [pattern])
    assert configured.warnings == ()
    assert configured.access.allows_origin(origin) is allowed


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
    access = configured_access(["192.168.1.0/24", "::1"], ["http://printer.home"]).access
    assert access.allows_origin("http://192.168.1.7")
    assert access.allows_origin("http://192.168.1.7:8080")
    assert access.allows_origin("http://[::1]:8080")
    assert not access.allows_origin("http://192.168.2.7")
    assert not access.allows_origin("http://[::1")
    assert not Access(trusted=frozenset({ip_network("192.168.1.0/24")})).allows_origin("http://192.168.1.7")


@given(st.text())
def test_any_origin(origin: str) -> None:
    """Any text is an origin that is decided on."""
    access = configured_access(["192.168.1.0/24"], ["http://a.home", "*://b.home:*"]).access
    assert access.allows_origin(origin) in (True, False)


def test_configured() -> None:
    """What can't be used is warned of and widens nothing."""
    configured = configured_access(
        ["192.168.1.0/24", "10.0.0.5", "host_.local", "192.168.1.5/24", "::1", "*.lan", "host.lan:80"],
        ["*.home", "http://*"],
    )
    access = configured.access
    assert access.trusted == frozenset(map(ip_network, ("192.168.1.0/24", "10.0.0.5/32", "::1/128")))
    assert (access.origins, access.proxies, configured.trusted_names) == (("*.home",), (), ())
    unusable = ["'host_.local'", "'192.168.1.5/24'", "'*.lan'", "'host.lan:80'", "'http://*'"]
    assert [
        entry in warning and warning.endswith("; it has no effect.")
        for entry, warning in zip(unusable, configured.warnings, strict=True)
    ] == [True] * len(unusable)


def test_configured_names() -> None:
    """Host names among the trusted clients are kept apart, each once, and trust nobody by themselves."""
    configured = configured_access(["Printer.lan", "10.0.0.5", "voron", "printer.LAN"], [], ["Own"])
    assert configured.trusted_names == ("printer.lan", "voron")
    assert configured.access.trusted == frozenset({ip_network("10.0.0.5")})
    assert configured.access.names == ("own",)
    assert configured.warnings == ()


def test_configured_proxies() -> None:
    """Proxies are addresses and networks; a name, and a network of everybody, is warned of and none."""
    everybody = ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"]
    configured = configured_access(
        [], [], trusted_proxies=["10.0.0.2", "2001:db8::/32", "proxy.lan", "10.0.0.2/8", *everybody]
    )
    assert configured.access.proxies == (ip_network("10.0.0.2"), ip_network("2001:db8::/32"))
    assert configured.access.trusted == frozenset()
    assert [
        f"trusted_proxies entry '{entry}' {reason}" in warning
        for (entry, reason), warning in zip(
            [
                ("proxy.lan", "is no address or network"),
                ("10.0.0.2/8", "has host bits set"),
                *((entry, "is everybody") for entry in everybody),
            ],
            configured.warnings,
            strict=True,
        )
    ] == [True] * 5


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
    access = configured_access(["0.0.0.0/0"], origins, ["Voron.example.org"]).access
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
    access = configured_access(["0.0.0.0/0"], origins, ["voron.example.org"]).access
    assert not access.allows_host(host)
