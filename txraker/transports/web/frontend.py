"""What a browser shows at ``/``: the files of a front-end, or our own welcome page.

Contract: ours; Moonraker leaves this to nginx.

These files are for everybody, without a login and by whatever name this machine is reached: a login page must
load before anybody can log in, and they are published on the web anyway. A page that gives its own name our
address (DNS rebinding) can read them and learns nothing; it is the API that asks who calls, by which name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from attrs import define
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker.errors import NotFound
from txraker.server_warnings import ServerWarnings
from txraker.transports.web.conditions import Range
from txraker.transports.web.cors import header_values
from txraker.transports.web.frontend_files import (
    ENCODINGS,
    WELCOME_NAMES,
    Answer,
    Wish,
    look,
    what_is_wrong,
)
from txraker.transports.web.resources import Leaf
from txraker.transports.web.sending import Sending, nothing_more

API_ROOMS = frozenset({"access", "api", "debug", "klippysocket", "machine", "printer", "server", "websocket"})
"""First names of paths that are never a front-end's: what isn't known there is an error of the API's."""

_OF_A_FRONT_END = ((b"X-Frame-Options", b"SAMEORIGIN"), (b"Referrer-Policy", b"same-origin"))
_OF_OUR_PAGE = (
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"same-origin"),
    (
        b"Content-Security-Policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
        b"img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    ),
)


@implementer(IResource)
@define(eq=False, repr=False)
class Frontend(Leaf):
    """Serves the front-end in ``folder``; as long as there is none, the welcome page.

    ``prefix`` is the route prefix with its slash. A folder that can't be used is a warning until it can be.
    """

    _sending: Sending
    _warnings: ServerWarnings
    folder: Path | None = None
    prefix: str = ""

    def __attrs_post_init__(self) -> None:
        if self.folder is not None:
            self._warn(what_is_wrong(self.folder))

    def takes(self, method: bytes, path: bytes) -> bool:
        """Say whether a request is for a page or one of its files; ``path`` has no prefix any more."""
        if method not in (b"GET", b"HEAD"):
            return False
        names = names_in(path)
        if not names:
            return True
        return names in WELCOME_NAMES if self.folder is None else names[0] not in API_ROOMS

    def respond(self, request: Request) -> None:
        path = request.path.removeprefix(self.prefix.encode())
        if not path:
            self._lead_inside(request)
            return
        work = self._answer(request, _wish(request, path))
        self.write_outcome(request, work, nothing_more, cancel=False)

    def _lead_inside(self, request: Request) -> None:
        """Lead to the path with a slash at its end, from which the page's own addresses are counted."""
        request.setResponseCode(307)
        request.setHeader(b"Location", self.prefix.rpartition("/")[2].encode() + b"/")
        request.setHeader(b"Content-Length", b"0")
        request.finish()

    async def _answer(self, request: Request, wish: Wish) -> None:
        """Write the response. Raises NotFound."""
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        problem, answer = await self._sending.off_thread(partial(look, self.folder, wish))
        self._warn(problem)
        if answer is None:
            raise NotFound("Not Found")
        try:
            if not gone:
                await self._write(request, answer)
        finally:
            if answer.content is not None:
                answer.content.close()

    async def _write(self, request: Request, answer: Answer) -> None:
        _write_headers(request, answer)
        if answer.content is None:
            request.finish()
        else:
            size = answer.content.version.size
            request.setHeader(b"Content-Length", b"%d" % size)
            await self._sending.body(request, answer.content, Range(0, size))

    def _warn(self, problem: str) -> None:
        if problem:
            self._warnings.put("frontend_path", problem)
        else:
            self._warnings.drop("frontend_path")


def names_in(path: bytes) -> tuple[str, ...]:
    """Return the names in a request's path, decoded once; an empty one is there for a slash too many."""
    if path == b"/":
        return ()
    if b"%" not in path:
        return tuple(path.decode("utf-8", "replace").split("/")[1:])
    return tuple(unquote_to_bytes(name).decode("utf-8", "replace") for name in path.split(b"/")[1:])


def accepted_encodings(values: Iterable[str]) -> tuple[str, ...]:
    """Return those of our codings that the values of ``Accept-Encoding`` take, the best first (RFC 9110)."""
    weights: dict[str, float] = {}
    for value in ",".join(values).lower().split(","):
        coding, _, parameters = value.partition(";")
        weights[coding.strip()] = _weight(parameters)
    weighed = {ours: weights.get(ours, weights.get("*", 0.0)) for ours in ENCODINGS}
    return tuple(sorted((ours for ours in weighed if weighed[ours] > 0), key=lambda ours: -weighed[ours]))


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _wish(request: Request, path: bytes) -> Wish:
    names = names_in(path)
    looks_like_a_view = not names or "." not in names[-1]
    return Wish(
        names,
        looks_like_a_view and any("text/html" in value for value in header_values(request, "Accept")),
        accepted_encodings(header_values(request, "Accept-Encoding")),
        ",".join(header_values(request, "If-None-Match")),
    )


def _write_headers(request: Request, answer: Answer) -> None:
    file = answer.file
    request.responseHeaders.removeHeader(b"Content-Security-Policy")
    for name, value in _OF_OUR_PAGE if answer.is_welcome else _OF_A_FRONT_END:
        request.setHeader(name, value)
    request.responseHeaders.addRawHeader(b"Vary", b"Accept-Encoding")
    request.setHeader(b"Cache-Control", file.cache_control)
    request.setHeader(b"ETag", file.etag.encode())
    if answer.content is None:
        request.setResponseCode(304)
        return
    request.setHeader(b"Content-Type", file.content_type.encode())
    if file.encoding:
        request.setHeader(b"Content-Encoding", file.encoding.encode())
