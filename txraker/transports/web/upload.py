"""``POST /server/files/upload``: a file that is written to disk as it comes.

The body never is in memory as a whole: it is read, checked and written by a worker thread in pieces, and
the client waits when the disk is slower than the network. Contract: "File upload" of the file management
documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import quote

import msgspec
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer

from txraker.access import origin
from txraker.api.caller import Caller, Transport
from txraker.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    PayloadTooLarge,
)
from txraker.files.uploads import FIELDS, Upload, Uploaded, Uploads
from txraker.reactor import OffThread
from txraker.transports.web.cors import add_cors_headers, header
from txraker.transports.web.multipart_form import FormReader, boundary_of
from txraker.transports.web.request import LINGER_KNOWN, LimitedRequest
from txraker.transports.web.resources import Leaf, add_general_headers, write_json

PATH = "/server/files/upload"

PIECE = 512 * 1024
"""Bytes that are handed to the worker thread at once. At most two pieces of an upload are in memory."""

FORM_ROOM = 64 * 1024
"""Bytes that a form may have beside its file."""


class _Lost(Exception):
    """The client is gone, or was refused: there is nobody to tell anything."""


@define(eq=False, repr=False)
class UploadSink:
    """Takes the body of an upload.

    What goes wrong while the body comes is refused at once, as ``tell`` puts it, and later is the outcome.
    """

    _request: LimitedRequest
    _upload: Upload
    _form: FormReader
    _longest: int
    _off_thread: OffThread
    _tell: Callable[[Exception], ApiError]
    _pieces: list[bytes] = field(factory=list, init=False)
    _waiting: int = field(default=0, init=False)
    _enough: int = field(default=1, init=False)
    _received: int = field(default=0, init=False)
    _is_whole: bool = field(default=False, init=False)
    _is_lost: bool = field(default=False, init=False)
    _more: Deferred[None] | None = field(default=None, init=False)
    _turn: Deferred[None] | None = field(default=None, init=False)
    _outcome: Deferred[Uploaded] = field(factory=Deferred, init=False)

    def start(self, turn: Deferred[None], leave: Callable[[], None]) -> Deferred[None]:
        """Begin when it is our turn; return what fires when everything is over."""
        self._turn = turn
        self._request.connection.hold()
        return Deferred.fromCoroutine(self._run(turn, leave))

    def write(self, data: bytes) -> None:
        """Take a piece of the body, and no more for now if there is enough for a while."""
        if self._is_lost:
            return
        self._received += len(data)
        if self._received > self._longest:
            self._fail(_too_large(self._longest))
            return
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE:
            self._request.connection.hold()
        if self._waiting >= self._enough:
            self._wake()

    def lost(self) -> None:
        """Give it up: the rest won't come."""
        self._is_lost = True
        if self._turn is not None:
            self._turn.cancel()
        self._wake()

    def whole(self) -> Deferred[Uploaded]:
        """Hear that everything has come; return what fires with what becomes of it."""
        self._is_whole = True
        self._wake()
        return self._outcome

    async def _run(self, turn: Deferred[None], leave: Callable[[], None]) -> None:
        try:
            await turn
        except CancelledError:
            return
        self._turn = None
        try:
            uploaded = await self._receive()
        except _Lost:
            pass
        except Exception as fault:
            self._fail(self._tell(fault))
        else:
            self._outcome.callback(uploaded)
        finally:
            leave()

    async def _receive(self) -> Uploaded:
        """Take pieces as long as there are any, then put the file in place, or leave nothing behind."""
        try:
            while pieces := await self._take():
                await self._off_thread(partial(self._feed, pieces))
            self._form.end()
            return await self._upload.complete(self._form.fields)
        finally:
            await self._off_thread(self._upload.discard)

    def _feed(self, pieces: Sequence[bytes]) -> None:
        """Read on in the form; in a worker thread."""
        for data in pieces:
            self._form.feed(data)

    async def _take(self) -> list[bytes]:
        """Return what has come, once it is worth the trouble; nothing at the end.

        The first bytes are always worth it: they may tell that the file can't be saved.
        """
        if not self._is_whole and self._waiting < self._enough and not self._is_lost:
            self._request.connection.go_on()
            self._more = Deferred()
            await self._more
        if self._is_lost:
            raise _Lost
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        self._enough = PIECE
        if not self._is_whole:
            self._request.connection.go_on()
        return pieces

    def _wake(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            more.callback(None)

    def _fail(self, error: ApiError) -> None:
        if self._is_whole:
            self._outcome.errback(error)
        elif not self._is_lost:
            self._request.refuse(error, LINGER_KNOWN)
            self.lost()


@implementer(IResource)
@define(eq=False, repr=False)
class UploadResource(Leaf):
    """Where files are sent to. ``open_sink`` takes their bodies, as soon as there is a request's head."""

    _uploads: Uploads
    _off_thread: OffThread
    _prefix: str = ""
    _under_way: set[Deferred[None]] = field(factory=set, init=False)

    def open_sink(self, request: LimitedRequest, length: int | None) -> UploadSink | None:
        """Return what takes a request's body; None when it is no upload. Raises ApiError to refuse it."""
        if request.method != b"POST" or request.path != f"{self._prefix}{PATH}".encode():
            return None
        add_general_headers(request)
        try:
            return self._open(request, length)
        except ApiError as error:
            if isinstance(error, Forbidden):
                self.door.note_refusal(request, error)
            raise
        except Exception as fault:
            raise self._tell(fault) from None

    async def finished(self) -> None:
        """Return when no upload is under way: those whose clients are there go on to their ends."""
        for upload in list(self._under_way):
            await upload

    def respond(self, request: Request) -> None:
        limited: LimitedRequest = request  # type: ignore[assignment]  # our site makes no others
        if isinstance(limited.sink, UploadSink):
            self.write_outcome(request, limited.sink.whole(), self._write_uploaded, cancel=False)
            return
        if request.method != b"OPTIONS":
            raise MethodNotAllowed("Files are sent by POST", ("POST", "OPTIONS"))
        request.setHeader(b"Allow", b"POST, OPTIONS")
        request.setResponseCode(204)
        request.finish()

    def _open(self, request: LimitedRequest, length: int | None) -> UploadSink:
        add_cors_headers(request, self.door.access)
        self.refuse_foreign(request)
        caller = self.door.caller(request, Transport.HTTP)
        upload = self._uploads.upload(caller, length or 0)
        boundary = boundary_of(header(request, "Content-Type") or "")
        if boundary is None:
            raise BadRequest("A file is sent as multipart/form-data")
        if (header(request, "Content-Encoding") or "identity").strip().lower() != "identity":
            raise BadRequest("An upload can't be compressed as a whole")
        longest = self._uploads.largest + FORM_ROOM
        if length is not None and length > longest:
            raise _too_large(longest)
        form = FormReader(boundary, FIELDS, upload.begin)
        sink = UploadSink(request, upload, form, longest, self._off_thread, self._tell)
        self._start(sink, self._who(caller))
        return sink

    def _start(self, sink: UploadSink, who: str | None) -> None:
        turns = self._uploads.turns
        under_way = sink.start(turns.wait(who), partial(turns.leave, who))
        self._under_way.add(under_way)
        under_way.addBoth(lambda _: self._under_way.discard(under_way))

    def _who(self, caller: Caller) -> str | None:
        """Return whose turn it is: an address, None where many are behind an address."""
        return None if self.door.access.is_proxy(caller.address) else origin(caller.address)

    def _tell(self, fault: Exception) -> ApiError:
        if isinstance(fault, ApiError):
            return fault
        return InternalError(self.door.report_fault("an upload", fault))

    def _write_uploaded(self, request: Request, uploaded: Uploaded) -> None:
        request.setHeader(b"Location", self._location(request, uploaded).encode("latin-1", "replace"))
        write_json(request, 201, msgspec.json.encode(uploaded))

    def _location(self, request: Request, uploaded: Uploaded) -> str:
        item = uploaded.item
        path = f"{self._prefix}/server/files/{quote(item.root)}/{quote(item.path)}"
        host = header(request, "Host")
        scheme = "https" if request.isSecure() else "http"
        return f"{scheme}://{host}{path}" if host else path


def _too_large(longest: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"A file has at most {longest - FORM_ROOM} bytes: see max_upload_size")
