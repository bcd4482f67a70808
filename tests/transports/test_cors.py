"""Which requests come from web pages that have no business here."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.test.requesthelper import DummyRequest

from txraker.access import configured_access
from txraker.transports.web.cors import add_cors_headers, is_foreign, is_of_unknown_page

ACCESS = configured_access(["192.168.1.0/24"], ["http://good.example"]).access

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def request(method: str = "GET", **headers: str) -> Any:
    """Make a request to printer.local."""
    made = DummyRequest([])
    made.method = method.encode()
    for name, value in {"Host": "printer.local:7125", **headers}.items():
        made.requestHeaders.setRawHeaders(name.replace("_", "-"), [value])
    return made


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://good.example"}, False),
        ({"Origin": "http://good.example.evil.example"}, True),
        ({"Origin": "http://192.168.1.5"}, False),
        ({"Origin": "http://printer.local:7125"}, False),
        ({"Origin": "http://printer.local:8080"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, True),
        ({"Sec_Fetch_Site": "same-origin"}, False),
        ({"Sec_Fetch_Site": "none"}, False),
    ],
)
def test_foreign(headers: dict[str, str], expected: bool) -> None:
    """A page is foreign unless it is ours or allowed, as far as the browser says so."""
    assert is_foreign(request(**headers), ACCESS) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"User_Agent": "curl/8.5"}, False),
        ({"User_Agent": FIREFOX}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://evil.example/"}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://printer.local.evil.example/"}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://evil.example/printer.local"}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://printer.local@evil.example/"}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://[::1"}, True),
        ({"User_Agent": FIREFOX, "Referer": "about:blank"}, True),
        ({"User_Agent": FIREFOX, "Referer": "http://printer.local/dashboard"}, False),
        ({"User_Agent": FIREFOX, "Referer": "http://PRINTER.local:8080/"}, False),
        ({"User_Agent": FIREFOX, "Referer": "http://good.example/page"}, False),
        ({"User_Agent": FIREFOX, "Sec_Fetch_Site": "none"}, False),
        ({"User_Agent": FIREFOX, "Origin": "http://good.example"}, False),
    ],
)
def test_unknown_page(headers: dict[str, str], expected: bool) -> None:
    """A browser that doesn't say for which page it asks must refer to one of ours or an allowed one."""
    assert is_of_unknown_page(request(**headers), ACCESS) is expected


def test_private_network() -> None:
    """A preflight that asks for a private network is granted to an allowed page, and to no other."""
    name = "Access-Control-Allow-Private-Network"
    for origin, granted in (("http://good.example", ["true"]), ("http://evil.example", None)):
        asked = request("OPTIONS", Origin=origin, Access_Control_Request_Private_Network="true")
        add_cors_headers(asked, ACCESS)
        assert asked.responseHeaders.getRawHeaders(name) == granted
