"""A request whose size is limited before any work is done for it.

twisted.web keeps a body whole, in memory or in a temporary file, before a resource sees the request. Here a
body over the limit is refused as soon as its length is known: from Content-Length before the first byte,
or else when the limit is passed. A body that may be longer, an upload, goes to a sink as it comes.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request

from txraker.api.caller import Caller
from txraker.errors import ApiError, PayloadTooLarge, Unauthorized

if TYPE_CHECKING:
    from txraker.transports.web.channel import TrackedChannel

LONGEST_BODY = 5 * 1024 * 1024
"""Bytes of an API request's body: the arguments of one call."""

LONGEST_UNTRUSTED_BODY = 64 * 1024
"""Bytes of a body that are read from somebody who isn't trusted, to tell so in the way of the protocol."""

LINGER = 2.0
"""Seconds for which a refused client may go on sending, so that it gets to read why it was refused."""

LINGER_KNOWN = 10.0
"""Seconds for which somebody known may: some clients read the reason only when they have sent everything."""

JSON = b"application/json; charset=UTF-8"


def error_body(error: ApiError) -> bytes:
    """Return the JSON text that tells an HTTP client what went wrong."""
    return msgspec.json.encode({"error": {"code": error.http_status, "message": str(error)}})


class BodySink(Protocol):
    """Takes a body as it comes. Its request can be held back by ``hold`` and ``go_on`` of the channel."""

    def write(self, data: bytes) -> None:
        """Take a piece of the body."""

    def lost(self) -> None:
        """Hear that the rest of the body won't come."""


class LimitedRequest(Request):
    """A request that is refused, with its connection, when its body is too long.

    ``caller`` is who makes it, once that was looked at. ``sink`` takes its body, if not memory does;
    ``is_whole`` says that the body has come.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller: Caller | None = None
        self.sink: BodySink | None = None
        self.is_whole = False
        self._body = BytesIO()
        self._received = 0
        self._longest = LONGEST_BODY
        self._refused = False

    def gotLength(self, length: int | None) -> None:
        """Learn the body's length, None if the client didn't tell."""
        self.content = self._body
        channel = self.connection
        # Twisted tells these after the body only; the path may hold a token.
        self.method, self.uri = channel._command, _origin_form(channel._path)
        self.path = self.uri.partition(b"?")[0]
        try:
            self.sink = channel.site.open_sink(self, length)
        except ApiError as error:
            self.refuse(error)
        if self.sink is not None:
            channel.expect_progress()
        elif not self._refused:
            self._limit(length)

    @property
    def connection(self) -> TrackedChannel:
        """The connection it came by."""
        channel: TrackedChannel = self.channel  # type: ignore[assignment]  # our site makes no others
        return channel

    @property
    def received(self) -> int:
        """Bytes of the body that have come."""
        return self._received

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._refused:
            return
        self._received += len(data)
        if self.sink is not None:
            self.sink.write(data)
        elif self._received > self._longest:
            self._refuse_length()
        else:
            self._body.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Go on to the resource; a connection whose request was refused has been read to its end."""
        self.is_whole = True
        if self._refused:
            channel = self.connection
            channel.site.reactor.callLater(0, channel.loseConnection)
        else:
            super().requestReceived(command, _origin_form(path), version)

    def process(self) -> None:
        """Have the site's resource answer, which knows the way.

        Twisted's is to decode the path, go down a tree of resources, and look whether they encode.
        """
        site = self.connection.site
        self.site = site
        self.setHeader(b"Date", _date(int(site.reactor.seconds())))
        try:
            self.render(site.resource)
        except Exception:
            self.processingFailed(Failure())

    def connectionLost(self, reason: Failure) -> None:
        """Tell the sink that there won't be more, and whoever waits for the request's end."""
        if self.sink is not None and not self.is_whole:
            self.sink.lost()
        super().connectionLost(reason)

    def refuse(self, error: ApiError, linger: float = LINGER) -> None:
        """Say what is wrong before the body has come as a whole; what still comes for a time is dropped."""
        self._refused = True
        self.requestHeaders.removeHeader(b"Expect")  # nothing more is expected
        body = error_body(error)
        self.responseHeaders.setRawHeaders(b"Content-Type", [JSON])
        self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        channel, status = self.connection, HTTPStatus(error.http_status)
        channel.writeHeaders(b"HTTP/1.1", b"%d" % status, status.phrase.encode(), self.responseHeaders)
        channel.write(body)
        channel.go_on()
        transport = channel.transport
        transport.loseWriteConnection()
        channel.site.reactor.callLater(linger, transport.abortConnection)

    def _limit(self, length: int | None) -> None:
        if length is not None and length <= LONGEST_UNTRUSTED_BODY:
            return  # whoever sends it
        if not self.connection.site.trusts(self):
            self._longest = LONGEST_UNTRUSTED_BODY
        if length is not None and length > self._longest:
            self._refuse_length()

    def _refuse_length(self) -> None:
        if self._longest < LONGEST_BODY:
            self.refuse(Unauthorized())
        else:
            self.refuse(PayloadTooLarge(f"The request's body is longer than {LONGEST_BODY} bytes"))


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    text: bytes = datetimeToString(second)
    return text


def _origin_form(target: bytes) -> bytes:
    """Return a request target without scheme and host, which a client may send although it is no proxy's."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return target
    return b"/" + rest.partition(b"/")[2]
