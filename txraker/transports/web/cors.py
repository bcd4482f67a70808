"""Cross-origin headers: which web pages may read our answers."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.web.server import Request

from txraker.access import Access

_ALLOWED_METHODS = b"GET, POST, PUT, DELETE, OPTIONS"
_ALLOWED_HEADERS = (
    b"Origin, Accept, Content-Type, X-Requested-With, X-CRSF-Token, Authorization, X-Access-Token, X-Api-Key"
)
_EVERY_BROWSER = "Mozilla/"
"""How browsers call themselves, all of them; no page can change that."""


def header(request: Request, name: str) -> str | None:
    """Return the last value of a header, whatever bytes it has; None without one."""
    values = request.requestHeaders.getRawHeaders(name.encode())
    return values[-1].decode("latin-1") if values else None


def header_values(request: Request, name: str) -> list[str]:
    """Return all values of a header, whatever bytes they have."""
    values = request.requestHeaders.getRawHeaders(name.encode())
    return [value.decode("latin-1") for value in values] if values else []


def add_cors_headers(request: Request, access: Access) -> None:
    """Let the page that asks read the answer, if its origin is allowed; preflights are told what may come."""
    origin = header(request, "Origin")
    if origin is None:
        return
    request.setHeader(b"Vary", b"Origin")
    if not access.allows_origin(origin):
        return
    request.setHeader(b"Access-Control-Allow-Origin", origin.encode("latin-1", "ignore"))
    if request.method == b"OPTIONS":
        request.setHeader(b"Access-Control-Allow-Methods", _ALLOWED_METHODS)
        request.setHeader(b"Access-Control-Allow-Headers", _ALLOWED_HEADERS)
        if header(request, "Access-Control-Request-Private-Network") == "true":
            request.setHeader(b"Access-Control-Allow-Private-Network", b"true")


def is_foreign(request: Request, access: Access) -> bool:
    """Say whether a request comes from a web page that is neither ours nor allowed.

    Browsers say where from by ``Origin``, and where they leave that out, by ``Sec-Fetch-Site``.
    """
    origin = header(request, "Origin")
    if origin is None:
        return header(request, "Sec-Fetch-Site") == "cross-site"
    if access.allows_origin(origin):
        return False
    return origin.partition("://")[2] != header(request, "Host")


def is_of_unknown_page(request: Request, access: Access) -> bool:
    """Say whether a browser makes a request and leaves open for which page.

    Of a GET over plain HTTP to another machine browsers send neither ``Origin`` nor ``Sec-Fetch-Site``, be it
    for a picture, a form or a link. Then a page of this machine, on whatever port, or an allowed one must be
    the ``Referer``. A stranger's page can leave that out, but not put another name there.
    """
    if header(request, "Origin") is not None or header(request, "Sec-Fetch-Site") is not None:
        return False
    if not (header(request, "User-Agent") or "").startswith(_EVERY_BROWSER):
        return False
    try:
        referrer = urlsplit(header(request, "Referer") or "")
        ours = urlsplit(f"//{header(request, 'Host') or ''}").hostname
    except ValueError:
        return True
    is_ours = referrer.hostname is not None and referrer.hostname == ours
    return not (is_ours or access.allows_origin(f"{referrer.scheme}://{referrer.netloc}"))
