"""Cross-origin headers: which web pages may read our answers."""

from __future__ import annotations

from twisted.web.server import Request

from txraker.access import Access

_ALLOWED_METHODS = b"GET, POST, PUT, DELETE, OPTIONS"
_ALLOWED_HEADERS = (
    b"Origin, Accept, Content-Type, X-Requested-With, X-CRSF-Token, Authorization, X-Access-Token, X-Api-Key"
)


def header(request: Request, name: str) -> str | None:
    """Return the last value of a header, whatever bytes it has; None without one."""
    values = header_values(request, name)
    return values[-1] if values else None


def header_values(request: Request, name: str) -> list[str]:
    """Return all values of a header, whatever bytes they have."""
    return [value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name.encode(), [])]


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
